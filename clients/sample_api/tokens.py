"""Access tokens: asked about at the provider each time (RFC 7662), so that what a school ends is over at once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from flask import Request

from clients.sample_api.proofs import ALGS, BadProof, Proofs
from clients.sample_api.settings import Settings

TIMEOUT = 10
_ADVICE = (
    (
        requests.exceptions.SSLError,
        "its certificate is not trusted; REQUESTS_CA_BUNDLE names the file of its authority",
    ),
    (requests.exceptions.Timeout, f"it did not answer within {TIMEOUT} seconds"),
    (requests.exceptions.ConnectionError, "nothing answers at that address; SAMPLE_API_ISSUER names it"),
    (KeyError, "its metadata names no introspection_endpoint"),
)
"""Explanations for the log when the provider cannot be reached, the most specific first."""

log = logging.getLogger(__name__)


class Refused(Exception):
    """The request is refused; `challenge` makes the header of RFC 6750 §3 and RFC 9449 §7.1."""

    def __init__(self, status: int, error: str | None = None, scheme: str = "Bearer", **more: str) -> None:
        super().__init__(error or "no token")
        self.status, self.error, self.scheme, self.more = status, error, scheme, more

    def challenge(self, metadata: str) -> str:
        """The value of `WWW-Authenticate`, which names our metadata (RFC 9728 §5.1)."""
        parameters = {"error": self.error, **self.more, "resource_metadata": metadata}
        if self.scheme == "DPoP":
            parameters["algs"] = " ".join(ALGS)
        return f"{self.scheme} " + ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value)


@dataclass(frozen=True, slots=True)
class Token:
    """An active token: its scheme, client, school and scopes."""

    scheme: str
    client_id: str
    estab_id: str | None
    estab_status: str | None
    scopes: frozenset[str]


class Tokens:
    """Checks tokens by introspection at the provider, whose metadata is fetched on first use."""

    def __init__(self, settings: Settings, http: requests.Session, now: Callable[[], float]) -> None:
        self._settings, self._http, self._proofs = settings, http, Proofs(now)
        self._introspection: str | None = None

    def of(self, api_request: Request) -> Token:
        """The token of a request. Raises `Refused`."""
        scheme, token = _token_in_header(api_request)
        claims = self._introspect(token)
        audience = claims.get("aud", [])
        if self._settings.resource not in ([audience] if isinstance(audience, str) else audience):
            raise Refused(401, "invalid_token", scheme)
        bound_to = claims.get("cnf", {}).get("jkt")
        if (scheme == "DPoP") != (bound_to is not None):
            raise Refused(401, "invalid_token", scheme)
        if bound_to is not None and self._proof_key(api_request, token) != bound_to:
            raise Refused(401, "invalid_dpop_proof", "DPoP")
        scopes = frozenset(claims.get("scope", "").split())
        return Token(scheme, claims["client_id"], claims.get("estab_id"), claims.get("estab_status"), scopes)

    def _proof_key(self, api_request: Request, token: str) -> str:
        sent = api_request.headers.getlist("DPoP")
        if len(sent) != 1 or "," in sent[0]:  # WSGI joins two headers by a comma
            raise Refused(401, "invalid_dpop_proof", "DPoP")
        try:
            return self._proofs.key_of(
                sent[0], method=api_request.method, url=self._settings.resource + api_request.path, token=token
            )
        except BadProof:
            raise Refused(401, "invalid_dpop_proof", "DPoP") from None

    def _introspect(self, token: str) -> dict[str, Any]:
        """The introspection response. Raises `Refused` if the token is not active or the provider cannot be reached."""
        credentials = self._settings.client_id, self._settings.client_secret
        try:
            response = self._http.post(self._address(), data={"token": token}, auth=credentials, timeout=TIMEOUT)
            response.raise_for_status()
            claims: dict[str, Any] = response.json()
        except (requests.RequestException, KeyError) as fault:
            log.warning("cannot ask %s about a token: %s", self._settings.issuer, _explanation(fault))
            raise Refused(503, "temporarily_unavailable") from None
        if claims.get("active") is not True:
            raise Refused(401, "invalid_token")
        return claims

    def _address(self) -> str:
        if self._introspection is None:
            at = f"{self._settings.issuer}/.well-known/oauth-authorization-server"
            self._introspection = str(self._http.get(at, timeout=TIMEOUT).json()["introspection_endpoint"])
        return self._introspection


def _explanation(fault: Exception) -> str:
    """An explanation for the log, without the token and without our secret."""
    if isinstance(fault, requests.HTTPError) and fault.response is not None:
        status = fault.response.status_code
        secret = (
            "; is SAMPLE_API_CLIENT_SECRET_FILE the newest one, and were we restarted since?" if status == 401 else ""
        )
        return f"it answered {status}{secret}"
    return next((words for kind, words in _ADVICE if isinstance(fault, kind)), f"its answer cannot be read: {fault}")


def _token_in_header(api_request: Request) -> tuple[str, str]:
    """The scheme and the token in the `Authorization` header; a token in the query is refused."""
    if "access_token" in api_request.args:
        raise Refused(400, "invalid_request")
    scheme, _, token = api_request.headers.get("Authorization", "").partition(" ")
    scheme_name = {"bearer": "Bearer", "dpop": "DPoP"}.get(scheme.lower())
    if scheme_name is None or not token.strip():
        raise Refused(401)
    return scheme_name, token.strip()
