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
"""What to tell the operator when the provider cannot be asked, the most particular first."""

log = logging.getLogger(__name__)


class Refused(Exception):
    """The request is not let through; `challenge` is what RFC 6750 §3 and RFC 9449 §7.1 answer with."""

    def __init__(self, status: int, error: str | None = None, scheme: str = "Bearer", **more: str) -> None:
        super().__init__(error or "no token")
        self.status, self.error, self.scheme, self.more = status, error, scheme, more

    def challenge(self, metadata: str) -> str:
        """The header's value, which leads to our metadata (RFC 9728 §5.1)."""
        said = {"error": self.error, **self.more, "resource_metadata": metadata}
        if self.scheme == "DPoP":
            said["algs"] = " ".join(ALGS)
        return f"{self.scheme} " + ", ".join(f'{name}="{value}"' for name, value in said.items() if value)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is good now: how it came, whose it is, for which school, and for which areas of ours."""

    scheme: str
    client_id: str
    estab_id: str | None
    estab_status: str | None
    scopes: frozenset[str]


class Tokens:
    """Knows the provider by its metadata alone, which is read when it is needed first."""

    def __init__(self, settings: Settings, http: requests.Session, now: Callable[[], float]) -> None:
        self._ours, self._http, self._proofs = settings, http, Proofs(now)
        self._introspection: str | None = None

    def of(self, asked: Request) -> Token:
        """The token that came with a request; raises `Refused`."""
        scheme, token = _presented(asked)
        said = self._told(token)
        audience = said.get("aud", [])
        if self._ours.resource not in ([audience] if isinstance(audience, str) else audience):
            raise Refused(401, "invalid_token", scheme)
        bound_to = said.get("cnf", {}).get("jkt")
        if (scheme == "DPoP") != (bound_to is not None):
            raise Refused(401, "invalid_token", scheme)
        if bound_to is not None and self._proven(asked, token) != bound_to:
            raise Refused(401, "invalid_dpop_proof", "DPoP")
        scopes = frozenset(said.get("scope", "").split())
        return Token(scheme, said["client_id"], said.get("estab_id"), said.get("estab_status"), scopes)

    def _proven(self, asked: Request, token: str) -> str:
        sent = asked.headers.getlist("DPoP")
        if len(sent) != 1 or "," in sent[0]:  # WSGI joins two headers by a comma
            raise Refused(401, "invalid_dpop_proof", "DPoP")
        try:
            return self._proofs.key_of(sent[0], method=asked.method, url=self._ours.resource + asked.path, token=token)
        except BadProof:
            raise Refused(401, "invalid_dpop_proof", "DPoP") from None

    def _told(self, token: str) -> dict[str, Any]:
        """What the provider says of it; raises `Refused` where that is nothing, or it does not answer."""
        us = self._ours.client_id, self._ours.client_secret
        try:
            answer = self._http.post(self._address(), data={"token": token}, auth=us, timeout=TIMEOUT)
            answer.raise_for_status()
            said: dict[str, Any] = answer.json()
        except (requests.RequestException, KeyError) as fault:
            log.warning("cannot ask %s about a token: %s", self._ours.issuer, _why(fault))
            raise Refused(503, "temporarily_unavailable") from None
        if said.get("active") is not True:
            raise Refused(401, "invalid_token")
        return said

    def _address(self) -> str:
        if self._introspection is None:
            at = f"{self._ours.issuer}/.well-known/oauth-authorization-server"
            self._introspection = str(self._http.get(at, timeout=TIMEOUT).json()["introspection_endpoint"])
        return self._introspection


def _why(fault: Exception) -> str:
    """In words for our operator; neither the token nor our secret stands in any of them."""
    if isinstance(fault, requests.HTTPError) and fault.response is not None:
        status = fault.response.status_code
        secret = (
            "; is SAMPLE_API_CLIENT_SECRET_FILE the newest one, and were we restarted since?" if status == 401 else ""
        )
        return f"it answered {status}{secret}"
    return next((words for kind, words in _ADVICE if isinstance(fault, kind)), f"its answer cannot be read: {fault}")


def _presented(asked: Request) -> tuple[str, str]:
    """Scheme and token of the header, which is the only place for it."""
    if "access_token" in asked.args:
        raise Refused(400, "invalid_request")
    scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
    known = {"bearer": "Bearer", "dpop": "DPoP"}.get(scheme.lower())
    if known is None or not token.strip():
        raise Refused(401)
    return known, token.strip()
