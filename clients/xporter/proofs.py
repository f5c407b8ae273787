"""DPoP proofs (RFC 9449 §4.3): each is for one request and token, recent, and accepted once."""

import hashlib
import itertools
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

ALGS = ("PS256", "ES256", "EdDSA", "Ed25519")
MAX_PROOF_LENGTH = 8192
MAX_AGE_SECONDS, MAX_SKEW_SECONDS = 60, 15
"""How old a proof may be, and how far its maker's clock may be ahead."""
MIN_RSA_BITS = 2048
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})


class InvalidProof(Exception):
    """The proof is not accepted."""


class _Headers(jws.JWSRegistry):
    max_header_length = 4096  # an RSA key exceeds joserfc's limit of 512


class Proofs:
    """Checks proofs, and remembers them for as long as they could be replayed. One object for each process.

    Several processes that serve one URL would each accept a proof once: run one, with threads.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._lock = now, threading.Lock()
        self._seen: dict[bytes, float] = {}

    def key_of(self, proof: str, *, method: str, url: str, token: str) -> str:
        """The thumbprint of the key that made `proof`. Raises `InvalidProof`."""
        try:
            return self._check(proof, method, url, token)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InvalidProof(type(error).__name__) from error

    def _check(self, proof: str, method: str, url: str, token: str) -> str:
        if len(proof) > MAX_PROOF_LENGTH:
            raise ValueError("too long")
        registry = _Headers(algorithms=ALGS, strict_check_header=False)  # unknown members are ignored (RFC 7515 §4)
        header = jws.extract_compact(proof.encode("ascii"), registry=registry).headers()
        if header["typ"] != "dpop+jwt" or header["alg"] not in ALGS:
            raise ValueError("another type or algorithm")
        key = _public(header["jwk"])
        claims = json.loads(jws.deserialize_compact(proof, key, registry=registry).payload)
        expected = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
        if claims["htm"] != method or _target(claims["htu"]) != _target(url) or claims["ath"] != expected:
            raise ValueError("made for another request or token")
        _check_times(claims, self._now())
        thumbprint: str = key.thumbprint()
        self._use_once(thumbprint, claims["jti"], claims["iat"])
        return thumbprint

    def _use_once(self, thumbprint: str, jti: object, iat: object) -> None:
        now = self._now()
        if not isinstance(iat, int | float) or not now - MAX_AGE_SECONDS <= iat <= now + MAX_SKEW_SECONDS:
            raise ValueError("too old, or made in the future")
        if not isinstance(jti, str) or not jti:
            raise ValueError("without a jti")
        proof = hashlib.sha256(f"{thumbprint} {jti}".encode()).digest()
        with self._lock:
            # The two oldest ones, so that more are deleted than added.
            for seen, expiry in list(itertools.islice(self._seen.items(), 2)):
                if expiry <= now:
                    del self._seen[seen]
            if self._seen.get(proof, now) > now:
                raise ValueError("used before")
            self._seen[proof] = now + MAX_AGE_SECONDS + MAX_SKEW_SECONDS


def _check_times(claims: dict[str, Any], now: float) -> None:
    """Raise an error after `exp` or before `nbf`, where a proof has them (RFC 7519 §4.1.4, §4.1.5)."""
    times = {name: claims[name] for name in ("exp", "nbf") if name in claims}
    if not all(isinstance(value, int | float) for value in times.values()):
        raise TypeError("a time that is not a number")
    if times.get("exp", now) < now - MAX_SKEW_SECONDS or times.get("nbf", now) > now + MAX_SKEW_SECONDS:
        raise ValueError("expired, or not valid yet")


def _public(jwk: Any) -> RSAKey | ECKey | OKPKey:
    """The key, if it is a public key and strong enough."""
    if PRIVATE_MEMBERS & jwk.keys():
        raise ValueError("a private key")
    key = JWKRegistry.import_key(jwk)
    if isinstance(key, RSAKey) and key.raw_value.key_size >= MIN_RSA_BITS:
        return key
    if isinstance(key, ECKey | OKPKey):
        return key
    raise ValueError("a key that is too weak, or none for signatures")


def _target(url: str) -> tuple[str, str | None, int | None, str]:
    """The parts of a URL that are compared, normalised (RFC 9449 §4.3, RFC 3986 §6.2.2): without query and fragment.

    Percent-encoding is undone altogether, as WSGI does for the path of the request.
    """
    parts = urlsplit(url)
    path = unquote(parts.path) or "/"
    if "/." in path:
        path = unquote(urlsplit(urljoin(url, quote(path))).path)  # without dot segments
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme), path
