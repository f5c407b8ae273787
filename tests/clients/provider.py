"""A provider that does as it is told: right answers, and every wrong one a client has to notice.

Not ours: whoever writes a client needs to see it refuse what our own provider would never send.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from joserfc import jwt
from joserfc.jwk import ECKey
from werkzeug.serving import make_server

SUBJECT = "adm_of_willow_bank"


@dataclass
class Provider:
    """Where it is, what it will say next, and what it was asked."""

    issuer: str
    client_id: str = "assembly"
    status: str = "unverified"
    scope: str = "openid profile email organisation offline_access"
    withheld: str = "school students attendance"
    claims: dict[str, Any] = field(default_factory=dict)
    """Put over the claims of the next ID Tokens."""
    about: dict[str, Any] = field(default_factory=dict)
    """Put over what userinfo says."""
    discovery: dict[str, Any] = field(default_factory=dict)
    refuses: dict[str, str] = field(default_factory=dict)
    """Error by grant type."""
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one", "use": "sig"}))
    signs_with: ECKey | None = None
    asked: dict[str, str] = field(default_factory=dict)
    """The last authorization request."""
    posted: list[dict[str, str]] = field(default_factory=list)
    """Token requests."""

    def answer(self, **other: str | None) -> str:
        """Our redirect's query: a code for what was asked last; `other` replaces parameters, None drops them."""
        said: dict[str, str | None] = {"code": "a-code", "state": self.asked["state"], "iss": self.issuer}
        return urlencode({name: value for name, value in (said | other).items() if value is not None})

    def id_token(self, **other: object) -> str:
        """An ID Token for what was asked last."""
        now = int(time.time())
        said = {
            "iss": self.issuer, "sub": SUBJECT, "aud": self.client_id, "iat": now, "exp": now + 600,
            "auth_time": now, **other, **self.claims,
        }  # fmt: skip
        return jwt.encode({"alg": "ES256", "kid": "one"}, said, self.signs_with or self.key, algorithms=["ES256"])


def _app(provider: Provider) -> Flask:
    app = Flask("provider")

    @app.get("/.well-known/openid-configuration")
    def discovery() -> ResponseReturnValue:
        at = provider.issuer
        return jsonify(
            {
                "issuer": at,
                "authorization_endpoint": f"{at}/authorize",
                "token_endpoint": f"{at}/token",
                "userinfo_endpoint": f"{at}/userinfo",
                "jwks_uri": f"{at}/jwks",
                "end_session_endpoint": f"{at}/logout",
                "id_token_signing_alg_values_supported": ["ES256"],
            }
            | provider.discovery
        )

    @app.get("/jwks")
    def jwks() -> ResponseReturnValue:
        return jsonify(keys=[provider.key.as_dict(private=False)])

    @app.post("/token")
    def token() -> ResponseReturnValue:
        provider.posted.append(request.form.to_dict() | {"authorization": request.headers.get("Authorization", "")})
        grant = request.form["grant_type"]
        if grant in provider.refuses:
            return jsonify(error=provider.refuses[grant]), 400
        first = grant == "authorization_code"
        said = {
            "access_token": "the-access-token",
            "token_type": "Bearer",
            "expires_in": 600,
            "scope": provider.scope,
            **({"withheld_scope": provider.withheld} if provider.withheld else {}),
            "id_token": provider.id_token(**({"nonce": provider.asked["nonce"]} if first else {})),
        }
        return jsonify(said | ({"refresh_token": "the-refresh-token"} if first else {}))

    @app.get("/userinfo")
    def userinfo() -> ResponseReturnValue:
        said = {
            "sub": SUBJECT,
            "name": "Grace Okafor",
            "email": "office@willowbank.example",
            "estab_id": "3124567",
            "estab_status": provider.status,
            "organisation": {"name": "Willow Bank Primary School", "urn": "900001"},
        }
        return jsonify(said | provider.about)

    return app


@contextmanager
def running() -> Iterator[Provider]:
    """A provider on a free port of this machine, until the block ends."""
    server = make_server("127.0.0.1", 0, Flask("nobody"), threaded=True)
    provider = Provider(f"http://localhost:{server.server_port}")
    server.app = _app(provider)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
