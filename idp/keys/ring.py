"""The key ring: what we sign with, what we verify, and what partners see of it.

A key is published before it signs, so that every partner has fetched it by then; when its successor takes
over it goes on verifying until the last token it signed has expired, and from then on verifies nothing
(security.md S42). Its public half is kept for ever, because a logout hint may be of any age.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

from idp.foundation import clock, runtime
from idp.foundation.fastpath import compact_jws
from idp.keys import held
from idp.keys.held import forget
from idp.keys.key import ALGS, Key
from idp.keys.rotation import (
    OnlySigner,
    RotationUnderWay,
    UnknownKey,
    check_retirable,
    ensure,
    listing,
    retire,
    rotate,
)

__all__ = [
    "ALGS", "BadToken", "NoSigningKey", "OnlySigner", "RotationUnderWay", "UnknownKey", "check_retirable", "ensure",
    "forget", "jwks", "listing", "retire", "rotate", "sign", "verify", "verify_hint",
]  # fmt: skip


class BadToken(Exception):
    """Not a token of ours that is good now. The message is for the log; the caller knows what to answer."""


class NoSigningKey(Exception):
    """There is no key to sign with; `ensure` makes one."""


def sign(claims: Mapping[str, Any], *, alg: str = "ES256", typ: str = "at+jwt") -> str:
    """A compact JWS of `claims` by the key of `alg` that signs now. Raises `NoSigningKey`, `CannotUnseal`."""
    key = held.signer(alg)
    if key is None:
        raise NoSigningKey(f"no key signs {alg}")
    return compact_jws.signed(compact_jws.header(alg, typ, key.kid), claims, held.signer_for(key))


def verify(token: str, *, typ: str, algs: Collection[str] = ALGS) -> dict[str, Any]:
    """The claims of a token of ours that is good now, or `BadToken`.

    The signature is a published key's, `typ` exactly this, `alg` one of `algs`; it has not expired, and its
    `nbf` and `iat` are no further ahead than another machine's clock may be (`tokens.skew`). Issuer and
    audience are the caller's to check.
    """
    now = clock.now()
    claims = _read(token, typ, algs, lambda key: key.verifies(now))
    _check_times(claims, now.timestamp())
    return claims


def verify_hint(token: str, *, typ: str = "JWT", algs: Collection[str] = ALGS) -> dict[str, Any]:
    """The claims of a token that we signed once, however long ago and with whichever key, or `BadToken`.

    For `id_token_hint` alone (RP-Initiated Logout 1.0 §2): it says who that was, and gives no right.
    """
    return _read(token, typ, algs, lambda _key: True)


def jwks() -> tuple[bytes, str]:
    """The published keys as a JWK Set (RFC 7517 §5), ready to be sent, and its strong `ETag`."""
    now = clock.now()
    return _document(tuple(key for key in held.keys().values() if key.verifies(now)))


@lru_cache(maxsize=8)
def _document(published: tuple[Key, ...]) -> tuple[bytes, str]:
    """Made once for each version of the ring."""
    body = json.dumps({"keys": [key.public_jwk for key in published]}, separators=(",", ":")).encode("ascii")
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _read(token: str, typ: str, algs: Collection[str], usable: Callable[[Key], bool]) -> dict[str, Any]:
    """The claims under a signature of ours. The header is judged before a key is chosen, the payload after."""
    try:
        parts = compact_jws.parts(token)
        if not _key_for(parts.header, typ, algs, usable).verifier(parts.signed, parts.signature):
            raise BadToken("the signature is wrong")
        return parts.claims()
    except (ValueError, RecursionError) as error:
        raise BadToken(f"cannot be read: {error}") from error


def _key_for(header: bytes, typ: str, algs: Collection[str], usable: Callable[[Key], bool]) -> Key:
    """The key that `header` names, byte for byte as we write it for that key; never a key the token brings."""
    for known in (held.keys, held.fresh):  # one that we do not know may have been made a moment ago
        for key in known().values():
            if header == compact_jws.header(key.alg, typ, key.kid) and key.alg in algs:
                if not usable(key):
                    raise BadToken("the key verifies no longer")
                return key
    raise BadToken(f"not the header of a {typ} by a key of ours, with an alg that is accepted here")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    """`exp` must be there and ahead (RFC 7519 §4.1.4); `nbf` and `iat` may be there, and not too far ahead."""
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if "exp" not in times or not all(type(value) is int for value in times.values()):
        raise BadToken("it does not say when it ends, or not in a number")
    if now >= times["exp"]:
        raise BadToken("it has expired")
    ahead = now + runtime.settings().tokens.skew
    if any(times[name] > ahead for name in ("nbf", "iat") if name in times):
        raise BadToken("it is not good yet")
