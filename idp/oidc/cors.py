"""Who may call us from a script in a browser: apps without a secret, from where they are registered to live.

Token, PAR, userinfo and revocation only; never with cookies. The keys and the metadata anybody may read
(`discovery`); pages and authorize nobody (RFC 9700 §2.6).
"""

import time
from typing import Final
from urllib.parse import urlsplit

from flask import Response, request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from idp.foundation import runtime
from idp.foundation.database import session
from idp.partners.models import Client

ENDPOINTS: Final = frozenset({"oidc.token", "oidc.push", "oidc.userinfo", "oidc.revoke"})
FRESH: Final = 30.0
"""Seconds the list of origins may be old."""
HEADERS: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, DPoP",
    "Access-Control-Expose-Headers": "DPoP-Nonce, WWW-Authenticate",
    "Access-Control-Max-Age": "600",
}


def allow(response: Response) -> Response:
    """Let the script read the answer if its origin is one of a public client's."""
    if (origin := request.environ.get("HTTP_ORIGIN")) is None or request.endpoint not in ENDPOINTS:
        return response
    response.vary.add("Origin")
    if origin in _origins():
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers.update(HEADERS)
    return response


def _origins() -> frozenset[str]:
    """Where public clients live, read now and then."""
    kept: dict[str, tuple[float, frozenset[str]]] = runtime.kept("idp.oidc.origins", dict)
    read_at, found = kept.get("public", (float("-inf"), frozenset()))
    if time.monotonic() - read_at >= FRESH:
        public = Client.enabled.is_(True), Client.token_endpoint_auth_method == "none"  # noqa: S105  a method's name
        try:
            lists = session().scalars(select(Client.redirect_uris).where(*public)).all()
        except SQLAlchemyError:  # the answer itself says by now that the database is away
            session().rollback()
            return found
        found = frozenset(_origin(uri) for uris in lists for uri in uris if uri.startswith(("https://", "http://")))
        kept["public"] = time.monotonic(), found
    return found


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
