"""The public keys that a client registers (RFC 7517)."""

from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

MOST = 20
"""Keys in a set."""
SMALLEST_RSA = 2048
"""Bits."""
CURVES = frozenset({"P-256", "P-384", "P-521", "Ed25519"})
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def checked(jwks: dict[str, Any]) -> dict[str, Any]:
    """The set, if it holds nothing but public keys that are strong enough; raises `ValueError` saying what is wrong."""
    listed = jwks.get("keys")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST:
        raise ValueError(f"must be a key set with 1 to {MOST} keys")
    for key in listed:
        read(key)
    named = [key.get("kid") for key in listed if key.get("kid") is not None]
    if len(set(named)) != len(named):
        raise ValueError("has two keys with the same kid")
    return jwks


def read(key: object) -> RSAKey | ECKey | OKPKey:
    """The public key behind a JWK, if it is one and strong enough; raises `ValueError` saying what is wrong."""
    if not isinstance(key, dict) or not isinstance(key.get("kid", ""), str):
        raise ValueError("has a key that is not an object with a kid")  # noqa: TRY004  pydantic wants ValueError
    if _PRIVATE & key.keys():
        raise ValueError("has a private or shared key in it: register public keys, and replace that one")
    try:
        found = JWKRegistry.import_key(key)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        raise ValueError("has a key that cannot be read") from None
    if isinstance(found, RSAKey):
        if found.raw_value.key_size < SMALLEST_RSA:
            raise ValueError(f"has an RSA key of fewer than {SMALLEST_RSA} bits")
        return found
    if not isinstance(found, ECKey | OKPKey) or key.get("crv") not in CURVES:
        raise ValueError("has a key that is neither RSA nor on P-256, P-384, P-521 or Ed25519")
    return found
