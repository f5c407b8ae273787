"""CORS: scripts of public clients may call an endpoint, from the origins of the clients' redirect URIs.

Only token, PAR, userinfo and revocation may be called so, and never with cookies. Keys and metadata may be read from
any origin (`discovery`); pages and authorize allow no origin (RFC 9700 §2.6).
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
"""Endpoints that apps in a browser call."""
DOCUMENTS: Final = frozenset({"oidc.metadata", "oidc.jwks"})
"""Documents that pages of any origin may read."""
ANY_ORIGIN_HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "600",
}
"""For the preflight of keys and metadata: libraries send headers that make browsers send one."""
CACHE_SECONDS: Final = registry.CACHE_SECONDS
"""How old the list of origins may be; the same for everything that operators change."""
_PUBLIC_CLIENTS: Final = (
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
"""For `ENDPOINTS`, if the origin is that of a public client."""


def allow(response: Response) -> Response:
    """Let a script read the response if its origin is that of a public client."""
    if (origin := request.environ.get("HTTP_ORIGIN")) is None:
        return response
    if request.endpoint in DOCUMENTS and request.method == "OPTIONS":
        response.headers.update(ANY_ORIGIN_HEADERS)
    if request.endpoint not in ENDPOINTS:
        return response
    response.vary.add("Origin")
    if _without_loopback_port(origin) in _origins():
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers.update(HEADERS)
    return response


def _origins() -> frozenset[str]:
    """The origins of public clients; read once a second while scripts call."""
    cached = _ORIGINS.get()
    if time.monotonic() - cached.read_at >= CACHE_SECONDS:
        try:
            registered = session().scalars(_PUBLIC_CLIENTS).all()
        except SQLAlchemyError:  # the view's response already reports that the database is unreachable
            session().rollback()
            return cached.origins
        cached.origins = frozenset(
            _without_loopback_port(_origin(uri))
            for redirect_uris in registered
            for uri in redirect_uris
            if uri.startswith(("https://", "http://"))
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
    """The origin as a browser writes it: without the default port (RFC 6454 §6.2)."""
    parts = urlsplit(uri)
    default_port = {"https": ":443", "http": ":80"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.removesuffix(default_port)}"


def _without_loopback_port(origin: str) -> str:
    """The origin; without its port for a loopback address, where an app has another port each time."""
    host, _, port = origin.rpartition(":")
    return host if host in registry.LOOPBACK_ORIGINS and uris.is_port(port) else origin
