"""Access tokens: whether a request may be served, for which school, client and scopes.

Cheap checks come first, and what they refuse never reaches the provider: the JWT itself (RFC 9068 §4: signature, `typ`,
`iss`, `aud`, `exp`), then the proof that the caller holds the key it is bound to (RFC 9449 §7). Whether the
authorisation is in force is asked by introspection (RFC 7662), whose response is used for at most one second: sharing
ends that soon after a school has stopped it.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from flask import Request
from joserfc import jws
from joserfc.errors import JoseError

from clients.xporter.problems import RETRY_SECONDS, Problem
from clients.xporter.proofs import MAX_SKEW_SECONDS, InvalidProof, Proofs
from clients.xporter.provider import Provider, ProviderUnreachable
from clients.xporter.settings import Settings

ALGORITHMS: Final = ("ES256", "RS256", "PS256", "EdDSA", "Ed25519")
"""The accepted signing algorithms of the provider, whatever its metadata says."""
TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
MAX_TOKEN_LENGTH: Final = 16_384
MAX_CACHED: Final = 10_000
ENDPOINT_SCOPE: Final = "endpoint"
_REFUSALS: Final = {
    "paused": "authorisation_paused", "withdrawn": "authorisation_ended", "expired": "authorisation_ended",
}  # fmt: skip

_REGISTRY: Final = jws.JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
"""It ignores header members that it does not know (RFC 7515 §4), and refuses a `crit` that names one."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """What a request may do: its client, its school, and the scopes granted now. A client's own token has no school."""

    scheme: str
    client_id: str
    estab_id: str | None
    estab_status: str | None
    scopes: frozenset[str]
    jkt: str | None = None
    """The thumbprint of the key that the token is bound to."""

    def require_school(self, *, verified: bool = True) -> str:
        """The Estab ID of the school, which must be `verified` by default. Raises `Problem`."""
        if self.estab_id is None:
            raise Problem("insufficient_scope", "The token was not issued for a school.", scheme=self.scheme)
        if verified and self.estab_status != "verified":
            raise Problem("school_unverified", scheme=self.scheme, estab_status=self.estab_status)
        return self.estab_id

    def require_scope(self, *names: str) -> None:
        """Raise `Problem` unless at least one of these scopes is granted."""
        if not self.scopes.intersection(names):
            raise Problem("insufficient_scope", scheme=self.scheme, scope=" ".join(sorted(names)))

    def require_endpoint(self, *, verified: bool = True) -> str:
        """The Estab ID of the school whose endpoint calls; `verified` as in `require_school`. Raises `Problem`."""
        self.require_scope(ENDPOINT_SCOPE)
        if self.jkt is None:
            raise Problem("invalid_token", "An endpoint's token must be bound to its key.", scheme=self.scheme)
        return self.require_school(verified=verified)


class Tokens:
    """Checks the tokens of requests. One object for each process."""

    def __init__(self, settings: Settings, provider: Provider, now: Callable[[], float] = time.time) -> None:
        self._settings, self._provider, self._now = settings, provider, now
        self._proofs = Proofs(now)
        self._verified: dict[bytes, tuple[dict[str, Any], str]] = {}
        self._introspected: dict[bytes, tuple[Access | str, float]] = {}
        """By the token's digest: what it gives access to, or the code of the problem with it, and when we asked.

        A token is bound to one key or to none, so its scheme and its key are always the same.
        """
        self._lock = threading.Lock()

    def check(self, request: Request) -> Access:
        """What the request may do. Raises `Problem`."""
        scheme, token = _token_in_header(request)
        name = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        try:
            claims = self._verify(token, name, scheme)
            jkt = self._check_binding(request, token, claims, scheme)
            cached = self._introspected.get(name)
            if cached is None or time.monotonic() - cached[1] >= self._settings.cache_seconds:
                asked_at = time.monotonic()
                cached = self._introspect(token, claims, scheme, jkt), asked_at
                with self._lock:
                    _remember(self._introspected, name, cached)
        except ProviderUnreachable as error:
            log.warning("cannot ask %s about a token: %s", self._settings.issuer, error)
            raise Problem("temporarily_unavailable", retry_after=RETRY_SECONDS) from None
        if isinstance(cached[0], str):
            raise Problem(cached[0], scheme=scheme)
        return cached[0]

    def _verify(self, token: str, name: bytes, scheme: str) -> dict[str, Any]:
        """The claims of the JWT. A signature is verified once, as long as its key is published."""
        try:
            verified = self._verified.get(name)
            if verified is None:
                verified = self._decode(token)
            claims, kid = verified
            is_published = self._provider.key(kid) is not None
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.info("a token was refused: %s", type(error).__name__)
            raise Problem("invalid_token", "It is not an access token of our issuer.", scheme=scheme) from None
        if not is_published or claims["exp"] <= self._now():
            raise Problem("invalid_token", "The token has expired.", scheme=scheme)
        if claims.get("nbf", 0) > self._now() + MAX_SKEW_SECONDS:  # RFC 7519 §4.1.5
            raise Problem("invalid_token", "The token is not valid yet.", scheme=scheme)
        audience = claims.get("aud")
        if self._settings.resource not in ([audience] if isinstance(audience, str) else audience or ()):
            detail = f"The token is for another API: aud does not have {self._settings.resource}. Ask for our scopes."
            raise Problem("invalid_token", detail, scheme=scheme)
        if name not in self._verified:
            with self._lock:
                _remember(self._verified, name, verified)
        return claims

    def _decode(self, token: str) -> tuple[dict[str, Any], str]:
        """The claims, and the id of the key that signed them.

        Raises `JoseError`, `ValueError`, `TypeError`, `KeyError` or `AttributeError` for a token that is not valid.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValueError("too long")
        header = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY).headers()
        if str(header["typ"]).lower() not in TYPES or header["alg"] not in ALGORITHMS:
            raise ValueError("another type or algorithm")
        kid = str(header["kid"])
        if (key := self._provider.key(kid)) is None:
            raise ValueError("signed by an unknown key")
        claims = json.loads(jws.deserialize_compact(token, key, registry=_REGISTRY).payload)
        if claims["iss"] != self._settings.issuer:
            raise ValueError("of another issuer")
        if not isinstance(claims["exp"], int | float) or not isinstance(claims["client_id"], str):
            raise TypeError("without an end or a client")  # RFC 9068 §2.2
        if not isinstance(claims.get("nbf", 0), int | float):
            raise TypeError("with a beginning that is not a number")
        return claims, kid

    def _check_binding(self, request: Request, token: str, claims: dict[str, Any], scheme: str) -> str | None:
        """The thumbprint of the key that the token is bound to and the caller holds. Raises `Problem`."""
        bound_to = (claims.get("cnf") or {}).get("jkt")
        if (scheme == "DPoP") != (bound_to is not None):
            detail = "The token needs the other scheme: DPoP if it is bound to a key, otherwise Bearer."
            raise Problem("invalid_token", detail, scheme=scheme)
        if bound_to is not None and self._proof_key(request, token, bound_to) != bound_to:
            raise Problem("invalid_dpop_proof", "The token is bound to another key.", scheme=scheme)
        return bound_to

    def _proof_key(self, request: Request, token: str, bound_to: str) -> str:
        sent = request.headers.getlist("DPoP")
        if len(sent) != 1 or "," in sent[0]:  # WSGI joins two headers by a comma
            raise Problem("invalid_dpop_proof", "There must be one DPoP header.", scheme="DPoP")
        url = self._settings.resource + quote(request.path)
        try:
            return self._proofs.key_of(sent[0], method=request.method, url=url, token=token)
        except InvalidProof:
            raise Problem("invalid_dpop_proof", scheme="DPoP") from None

    def _introspect(self, token: str, claims: dict[str, Any], scheme: str, jkt: str | None) -> Access | str:
        """What the token gives access to now, or the code of the problem with it. Raises `ProviderUnreachable`."""
        response = self._provider.introspect(token)
        if response.get("active") is not True:
            return _REFUSALS.get(str(response.get("authorisation_status")), "invalid_token")
        scopes = frozenset(str(response.get("scope", "")).split())
        school = response.get("estab_id"), response.get("estab_status")
        return Access(scheme, str(claims["client_id"]), *school, scopes, jkt)


def _remember(cache: dict[bytes, Any], name: bytes, value: Any) -> None:
    """Put the value at the end of the cache, and remove its oldest entries."""
    cache.pop(name, None)
    cache[name] = value
    while len(cache) > MAX_CACHED:
        del cache[next(iter(cache))]


def _token_in_header(request: Request) -> tuple[str, str]:
    """The scheme and the token in the `Authorization` header; a token in the query is refused (RFC 9700 §4.3.2)."""
    if "access_token" in request.args:
        detail = "Send the token in the Authorization header, not in the query."
        raise Problem("invalid_request", detail, scheme="Bearer")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    scheme_name = {"bearer": "Bearer", "dpop": "DPoP"}.get(scheme.lower())
    if scheme_name is None or not token.strip():
        raise Problem("invalid_token", "There is no access token in the Authorization header.")
    return scheme_name, token.strip()
