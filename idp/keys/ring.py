"""Sign tokens, verify them, and publish the keys.

A key is published before it signs, so that every partner has fetched it by then; after its successor takes
over it verifies until the last token it signed has expired, and from then on verifies nothing
(security.md S42). Its public half is kept for ever, because a logout hint may be of any age.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Final

from idp.foundation import clock, runtime
from idp.foundation.fastpath import compact_jws
from idp.keys import cache, jwts
from idp.keys.cache import forget
from idp.keys.key import ALGS, Key
from idp.keys.rotation import (
    OnlySigner,
    RotationUnderWay,
    UnknownKey,
    check_retirable,
    ensure,
    list_keys,
    retire,
    rotate,
)

__all__ = [
    "ALGS",
    "NoSigningKey",
    "OnlySigner",
    "RotationUnderWay",
    "TokenNotVerified",
    "UnknownKey",
    "check_retirable",
    "ensure",
    "forget",
    "jwks",
    "list_keys",
    "retire",
    "rotate",
    "sign",
    "verify",
    "verify_hint",
]  # fmt: skip


MAX_TOKEN_LENGTH: Final = 8192
"""In characters; a longer token is refused unread."""


class TokenNotVerified(Exception):
    """The token is not valid. The message is for the log; the caller chooses the response."""


class NoSigningKey(Exception):
    """There is no key to sign with; `ensure` creates one."""


def sign(claims: Mapping[str, Any], *, alg: str = "ES256", typ: str = "at+jwt") -> str:
    """A compact JWS of `claims` by the key of `alg` that signs now. Raises `NoSigningKey`, `UnsealError`."""
    key = cache.signer(alg)
    if key is None:
        raise NoSigningKey(f"no key signs {alg}")
    return compact_jws.sign(_header(key, typ), claims, cache.private_half(key))


def verify(token: str, *, typ: str, algs: Collection[str] = ALGS) -> dict[str, Any]:
    """The claims of a valid token of ours. Raises `TokenNotVerified`.

    The signature is a published key's, `typ` exactly this, `alg` one of `algs`; it has not expired, and its
    `nbf` and `iat` are no further ahead than another machine's clock may be (`tokens.skew`). Issuer and
    audience are the caller's to check.
    """
    now = clock.now()
    claims = _verified_claims(token, typ, algs, lambda key: key.may_verify(now))
    _check_times(claims, now.timestamp())
    return claims


def verify_hint(token: str, *, typ: str = "JWT", algs: Collection[str] = ALGS) -> dict[str, Any]:
    """The claims of a token that we signed at any time, with any of our keys. Raises `TokenNotVerified`.

    Only for `id_token_hint` (RP-Initiated Logout 1.0 §2), which identifies a person but grants nothing.
    """
    return _verified_claims(token, typ, algs, lambda _key: True)


def jwks() -> tuple[bytes, str]:
    """The published keys as a JWK Set (RFC 7517 §5), ready to be sent, and its strong `ETag`."""
    now = clock.now()
    return _document(tuple(key for key in cache.keys().values() if key.may_verify(now)))


@lru_cache(maxsize=8)
def _document(published: tuple[Key, ...]) -> tuple[bytes, str]:
    """The JWK Set of these keys, and its `ETag`; computed again only when the published keys change."""
    body = json.dumps({"keys": [key.public_jwk for key in published]}, separators=(",", ":")).encode("ascii")
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _verified_claims(token: str, typ: str, algs: Collection[str], usable: Callable[[Key], bool]) -> dict[str, Any]:
    """The claims, after verifying the signature. The header is checked before a key is chosen."""
    try:
        presented = jwts.parse(token, max_length=MAX_TOKEN_LENGTH)
        _check_signature(token, _key_for(presented.header, typ, usable), frozenset(algs))
    except jwts.InvalidJwt as error:
        raise TokenNotVerified(str(error)) from error
    return presented.claims


@lru_cache(maxsize=1024)
def _check_signature(token: str, key: Key, algs: frozenset[str]) -> None:
    """Check the signature by this key. Raises `InvalidJwt`.

    Cached, because resource servers send one token many times: a valid signature stays valid. Whether the
    key may still verify, and the token's times, are checked anew at each use.
    """
    jwts.verify(jwts.parse(token, max_length=MAX_TOKEN_LENGTH), [key.public], algs)


def _key_for(header: Mapping[str, Any], typ: str, usable: Callable[[Key], bool]) -> Key:
    """The key for `header`, which must equal the header that we write for it; keys in the token are ignored."""
    for read_keys in (cache.keys, cache.reread):  # an unknown key may have been created a moment ago
        key = read_keys().get(str(header.get("kid")))
        if key is not None and header == _header(key, typ):
            if not usable(key):
                raise TokenNotVerified("the key no longer verifies")
            return key
    raise TokenNotVerified(f"not the header of a {typ} by a key of ours")


def _header(key: Key, typ: str) -> dict[str, str]:
    """The protected header of our tokens (RFC 7515 §4.1; `typ` against confusion, RFC 8725 §3.11)."""
    return {"typ": typ, "alg": key.alg, "kid": key.kid}


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    """`exp` is required and must be in the future (RFC 7519 §4.1.4); `nbf` and `iat`, if present, must not be."""
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if "exp" not in times or not all(type(value) is int for value in times.values()):
        raise TokenNotVerified("it has no `exp`, or one of its times is not a whole number")
    if now >= times["exp"]:
        raise TokenNotVerified("it has expired")
    ahead = now + runtime.settings().tokens.skew
    if any(times[name] > ahead for name in ("nbf", "iat") if name in times):
        raise TokenNotVerified("it is not valid yet")
