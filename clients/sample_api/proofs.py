"""Proofs of possession (RFC 9449 §4.3): each made for this very request and token, lately, and good once."""

import hashlib
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

ALGS = ("PS256", "ES256", "EdDSA", "Ed25519")
LONGEST = 8192
"""Characters of a proof."""
OLDEST, SKEW = 60, 15
"""Seconds since a proof was made, and how far another clock may be ahead."""
SMALLEST_RSA = 2048
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})


class BadProof(Exception):
    """Not a proof that we accept."""


class _Headers(jws.JWSRegistry):
    max_header_length = 4096  # an RSA key has to fit in, and does not into joserfc's 512


class Proofs:
    """Checks proofs, and remembers those it has seen while they could be shown again. One for each process."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._lock = now, threading.Lock()
        self._seen: dict[tuple[str, str], float] = {}

    def key_of(self, proof: str, *, method: str, url: str, token: str) -> str:
        """The thumbprint of the key that `proof` shows its maker to hold; raises `BadProof`."""
        try:
            return self._checked(proof, method, url, token)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as fault:
            raise BadProof(type(fault).__name__) from fault

    def _checked(self, proof: str, method: str, url: str, token: str) -> str:
        if len(proof) > LONGEST:
            raise ValueError("too long")
        registry = _Headers(algorithms=ALGS)
        header = jws.extract_compact(proof.encode("ascii"), registry=registry).headers()
        if header["typ"] != "dpop+jwt" or header["alg"] not in ALGS:
            raise ValueError("another type or algorithm")
        key = _public(header["jwk"])
        said = json.loads(jws.deserialize_compact(proof, key, registry=registry).payload)
        expected = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
        if said["htm"] != method or _place(said["htu"]) != _place(url) or said["ath"] != expected:
            raise ValueError("made for another request or token")
        thumbprint: str = key.thumbprint()
        self._note(thumbprint, said["jti"], said["iat"])
        return thumbprint

    def _note(self, thumbprint: str, jti: object, made: object) -> None:
        now = self._now()
        if not isinstance(made, int | float) or not now - OLDEST <= made <= now + SKEW:
            raise ValueError("made too long ago, or not yet")
        if not isinstance(jti, str) or not jti:
            raise ValueError("without a name")
        with self._lock:
            self._seen = {each: until for each, until in self._seen.items() if until > now}
            if (thumbprint, jti) in self._seen:
                raise ValueError("used before")
            self._seen[thumbprint, jti] = now + OLDEST + SKEW


def _public(jwk: Any) -> RSAKey | ECKey | OKPKey:
    """The key, if it is a public one and strong enough."""
    if PRIVATE & jwk.keys():
        raise ValueError("a private key")
    key = JWKRegistry.import_key(jwk)
    if isinstance(key, RSAKey) and key.raw_value.key_size >= SMALLEST_RSA:
        return key
    if isinstance(key, ECKey | OKPKey):
        return key
    raise ValueError("a key that is too weak, or none for signatures")


def _place(url: str) -> tuple[str, str | None, int | None, str]:
    """What counts of an address: no query and no fragment, and capitals of the host do not matter."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme), parts.path
