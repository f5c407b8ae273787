"""The service without one of its fast paths, for `bench.fastpaths`: the library's own way takes its place.

`BENCH_WITHOUT` names the fast path; empty is the service as it is. Each function below changes the modules before the
application is built, and may return what is to be done with the application.
"""

import os
from collections.abc import Callable
from typing import Any, Final
from unittest.mock import patch

from flask import Flask, Response
from flask.sessions import SecureCookieSessionInterface
from joserfc import jwt
from joserfc.errors import JoseError

from idp.app import create_app
from idp.foundation.fastpath import default_headers, hooks, request_line, response_cache, statements
from idp.foundation.web import admission, busy_page, middleware, security
from idp.keys import held, ring
from idp.keys.key import Key
from idp.oidc import server
from idp.oidc.endpoints import introspection

Change = Callable[[], Callable[[Flask], object] | None]


def _statements() -> None:
    """SQLAlchemy executes every statement."""
    patch.object(statements, "_has_listeners", lambda _connection: True).start()


def _hooks() -> None:
    """Flask-Limiter and Flask-Login keep their hooks around every request."""
    patch.object(hooks, "remove", lambda _app, _owner: []).start()


def _response_cache() -> None:
    """Every request for a public document goes through Flask."""
    patch.object(response_cache, "keep").start()


def _form_cookie() -> None:
    """Flask reads its session cookie for every request, and asks after each whether to set it."""
    patch.object(security, "LazyCookieSessions", SecureCookieSessionInterface).start()


def _request_line() -> Callable[[Flask], object]:
    """Structlog formats the line of each request."""
    return lambda _app: request_line.configure(is_json=False)


def _compact_jws() -> None:
    """Joserfc encodes and decodes our tokens whole."""
    private: dict[str, Any] = {}

    def sign(claims: Any, *, alg: str = "ES256", typ: str = "at+jwt") -> str:
        key = held.signer(alg)
        if key is None:
            raise ring.NoSigningKey
        loaded = private.get(key.kid) or private.setdefault(key.kid, key.private())
        return jwt.encode({"typ": typ, "alg": alg, "kid": key.kid}, dict(claims), loaded, algorithms=[alg])

    def verified_claims(token: str, typ: str, algs: Any, usable: Callable[[Key], bool]) -> dict[str, Any]:
        def find(signed: Any) -> Any:
            key = held.keys().get(signed.headers().get("kid")) or held.reread().get(signed.headers().get("kid"))
            if key is None or not usable(key):
                raise ring.BadToken("no key of ours that verifies")
            return key.public

        try:
            decoded = jwt.decode(token, find, algorithms=list(algs))
        except (JoseError, ValueError) as error:
            raise ring.BadToken(str(error)) from error
        if decoded.header.get("typ") != typ:
            raise ring.BadToken("another typ")
        return decoded.claims

    patch.multiple(ring, sign=sign, _verified_claims=verified_claims).start()


def _default_headers() -> Callable[[Flask], object]:
    """An `after_request` hook sets the default headers."""
    complete = default_headers.with_default_headers
    for module in (default_headers, middleware, busy_page, response_cache):
        patch.object(module, "with_default_headers", lambda headers, _every: [*headers]).start()

    def configure(app: Flask) -> None:
        every = default_headers.default_headers(app.extensions["idp"].settings)

        @app.after_request
        def add(response: Response) -> Response:
            for name, value in complete(response.headers, every):
                response.headers.setdefault(name, value)
            return response

    return configure


def _plain_response() -> None:
    """Flask's responses everywhere."""
    for module in (server, introspection):
        patch.object(module, "PlainResponse", Response).start()


CHANGES: Final[dict[str, Change]] = {
    "statements": _statements, "hooks": _hooks, "response cache": _response_cache, "form cookie": _form_cookie,
    "request line": _request_line, "compact JWS": _compact_jws, "default headers": _default_headers,
    "plain response": _plain_response,
}  # fmt: skip
"""By the fast path's name."""


def built() -> Flask:
    """The application without the fast path that the environment names."""
    name = os.environ.get("BENCH_WITHOUT", "")
    finish = CHANGES[name]() if name else None
    app = create_app()
    if finish is not None:
        finish(app)
    admission.prepare(app)
    return app


application = built() if "BENCH_WITHOUT" in os.environ else None
