"""The public keys that a client registers (RFC 7517)."""

import json
from collections.abc import Collection
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from idp.keys import jwts

MAX_KEYS = 20
"""How many keys one set may have."""
MIN_RSA_BITS = 2048
"""The shortest RSA key that is accepted."""
CURVES = frozenset({"P-256", "P-384", "P-521", "Ed25519"})
"""The curves of the elliptic keys that a key set may have."""
SIGNING_CURVES = frozenset(jwts.CURVES.values())
"""Those of `CURVES` with which a client can sign. A key set may have others, for other readers."""
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def parse(text: str) -> dict[str, Any] | None:
    """The key set in `text`, which may also be a single key; None if `text` is blank. It is not validated.

    Raises `ValueError` if `text` is not a JSON object.
    """
    if not text.strip():
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("This is not JSON. Paste a key set, as RFC 7517 describes it.") from None
    if not isinstance(document, dict):
        raise ValueError("This is not a JSON object. Paste a key set, as RFC 7517 describes it.")  # noqa: TRY004
    return {"keys": document["keys"]} if "keys" in document else {"keys": [document]}


def validate(jwks: dict[str, Any]) -> dict[str, Any]:
    """The key set, if it has only public keys that are strong enough; raises `ValueError` saying what is wrong."""
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS:
        raise ValueError(f"must be a key set with 1 to {MAX_KEYS} keys")
    for key in keys:
        parse_key(key)
    kids = [key.get("kid") for key in keys if key.get("kid") is not None]
    if len(set(kids)) != len(kids):
        raise ValueError("has two keys with the same kid")
    return jwks


def usable(jwks: dict[str, Any]) -> dict[str, Any]:
    """A published key set, without the keys that we cannot read or that are too weak: RFC 7517 §5 has them passed over.

    Keys with one name are alternatives (§4.5). Raises `ValueError` if none is left, if there are too many, or if one is
    private, which is then no secret any more.
    """
    keys = jwks.get("keys")
    if has_private_key(jwks) or not isinstance(keys, list) or len(keys) > MAX_KEYS:
        return validate(jwks)  # which says what is wrong
    usable_keys = [key for key in keys if _is_usable(key)]
    return {"keys": usable_keys} if usable_keys else validate({"keys": []})


def _is_usable(key: object) -> bool:
    try:
        parse_key(key)
    except ValueError:
        return False
    return True


def can_sign(key: dict[str, Any], algs: Collection[str]) -> bool:
    """Whether something that is signed with this valid key, by one of `algs`, would be accepted."""
    return key.get("use", "sig") == "sig" and any(_suits(key, alg) for alg in algs)


def _suits(key: dict[str, Any], alg: str) -> bool:
    has_same_alg = jwts.is_same_algorithm(key.get("alg", alg), alg)
    return has_same_alg and (key.get("crv") == jwts.CURVES[alg] if alg in jwts.CURVES else key["kty"] == "RSA")


def has_private_key(jwks: dict[str, Any]) -> bool:
    """Whether a key of the set, or what stands in its place, has a private or shared part."""
    keys = jwks.get("keys")
    return isinstance(keys, list) and any(isinstance(key, dict) and _PRIVATE & key.keys() for key in keys)


def parse_key(key: object) -> RSAKey | ECKey | OKPKey:
    """The public key of a JWK; raises `ValueError` saying what is wrong, also if the key is private or too weak."""
    if not isinstance(key, dict) or not isinstance(key.get("kid", ""), str):
        raise ValueError("has a key that is not an object with a kid")  # noqa: TRY004  pydantic wants ValueError
    if _PRIVATE & key.keys():
        raise ValueError("has a private or shared key in it: register public keys only, and stop using that key")
    try:
        public_key = JWKRegistry.import_key(key)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        raise ValueError("has a key that cannot be read") from None
    if isinstance(public_key, RSAKey):
        if public_key.raw_value.key_size < MIN_RSA_BITS:
            raise ValueError(f"has an RSA key of fewer than {MIN_RSA_BITS} bits")
        return public_key
    if not isinstance(public_key, ECKey | OKPKey) or key.get("crv") not in CURVES:
        raise ValueError("has a key that is neither RSA nor on P-256, P-384, P-521 or Ed25519")
    return public_key
