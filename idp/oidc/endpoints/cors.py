"""Who may call us from a script in a browser: apps without a secret, from where they are registered to live.

Token, PAR, userinfo and revocation only; never with cookies. The keys and the metadata anybody may read
(`discovery`); pages and authorize allow no origin (RFC 9700 §2.6).
"""

import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flask import Response, request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from idp.foundation.database import session
from idp.foundation.runtime import PerApplication
from idp.partners import registry, uris
from idp.partners.models import Client, Partner

ENDPOINTS: Final = frozenset({"oidc.token", "oidc.push", "oidc.userinfo", "oidc.revoke"})
DOCUMENTS: Final = frozenset({"oidc.metadata", "oidc.jwks"})
FOR_ANYBODY: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "600",
}
"""What a preflight for our keys and metadata is told: libraries send headers that make browsers ask first."""
FRESH: Final = registry.CACHE_SECONDS
"""Seconds the list of origins may be old, as everything else that operators change."""
PUBLIC: Final = (
    select(Client.redirect_uris)
    .join(Partner)
    .where(Client.token_endpoint_auth_method == "none", Client.enabled, Partner.disabled_at.is_(None))  # noqa: S105  a method's name
)
HEADERS: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, DPoP",
    "Access-Control-Expose-Headers": "DPoP-Nonce, WWW-Authenticate",
    "Access-Control-Max-Age": "600",
}


def allow(response: Response) -> Response:
    """Let the script read the answer if its origin is one of a public client's."""
    if (origin := request.environ.get("HTTP_ORIGIN")) is None:
        return response
    if request.endpoint in DOCUMENTS and request.method == "OPTIONS":
        response.headers.update(FOR_ANYBODY)
    if request.endpoint not in ENDPOINTS:
        return response
    response.vary.add("Origin")
    if _portless(origin) in _origins():
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers.update(HEADERS)
    return response


def _origins() -> frozenset[str]:
    """Where public clients live; read once a second while scripts call, a row for each such client."""
    cached = _ORIGINS.get()
    if time.monotonic() - cached.read_at >= FRESH:
        try:
            registered = session().scalars(PUBLIC).all()
        except SQLAlchemyError:  # the answer itself says by now that the database is away
            session().rollback()
            return cached.origins
        cached.origins = frozenset(
            _portless(_origin(uri)) for each in registered for uri in each if uri.startswith(("https://", "http://"))
        )
        cached.read_at = time.monotonic()
    return cached.origins


@dataclass(slots=True)
class _Origins:
    """Origins of public clients, and when they were read (monotonic seconds)."""

    origins: frozenset[str] = frozenset()
    read_at: float = float("-inf")


_ORIGINS: Final = PerApplication(_Origins)


def _origin(uri: str) -> str:
    """The origin as a browser writes it: without the port that goes without saying (RFC 6454 §6.2)."""
    parts = urlsplit(uri)
    usual = {"https": ":443", "http": ":80"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.removesuffix(usual)}"


def _portless(origin: str) -> str:
    """The origin; that of an app on the person's own machine less its port, which is another each time."""
    host, _, port = origin.rpartition(":")
    return host if host in registry.LOOPBACK_ORIGINS and uris.is_port(port) else origin
