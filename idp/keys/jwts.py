"""Parse and verify JWTs: strictly, with a key that we choose, and within their times.

Our own tokens (`ring`), and what clients sign: client assertions, request objects and DPoP proofs. A header that refers
to a key elsewhere, or that requires an unknown extension, is refused before any key is used (security.md S21).
"""

import inspect
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeVar

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from idp.foundation import clock, descriptions

Key = RSAKey | ECKey | OKPKey | OctKey
T = TypeVar("T")

ASYMMETRIC: Final = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
STRICT_ALGS: Final = ("PS256", "ES256", "EdDSA", "Ed25519")
"""Those of `ASYMMETRIC` that `fapi2` and DPoP allow (FAPI 2.0 Security Profile §5.4.1)."""
CURVES: Final = {"ES256": "P-256", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
"""The curve of the key, for each algorithm of `ASYMMETRIC` that has one."""
SYMMETRIC: Final = ("HS256",)
EDDSA_NAMES: Final = frozenset({"EdDSA", "Ed25519"})
"""Two names of one algorithm: RFC 8037 calls it `EdDSA`, RFC 9864 names it after its curve."""
REFUSED_MEMBERS: Final = frozenset({"jku", "x5u", "x5c", "crit", "b64", "zip"})
"""Header members that refer to a key elsewhere, or require an extension that is not supported."""
MAX_TIME: Final = 2**53
"""The largest time accepted, in seconds since 1970: above it a double does not hold every integer."""
MILLISECONDS_SUSPECTED_FROM: Final = 10**11
"""A claim further ahead of our clock than this many seconds, 3,000 years, was given in milliseconds."""
MAX_DEPTH: Final = 64
"""How deep objects and lists may be nested: no claim needs more, and code that walks through them may recurse."""
MAX_CACHED_HEADER_BYTES: Final = 1536
"""A longer header is not cached; one with an RSA key of 4096 bits is shorter."""

_REGISTRY: Final = jws.JWSRegistry(algorithms=[*ASYMMETRIC, *SYMMETRIC], strict_check_header=False)
"""It ignores header members that it does not know (RFC 7515 §4); those that must be understood are refused above."""
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_KEY_TYPES: Final[dict[str, type[Any]]] = {
    "RS256": RSAKey, "PS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey, "Ed25519": OKPKey,
    "HS256": OctKey,
}  # fmt: skip


class InvalidJwt(Exception):
    """The JWT is not accepted. The message says why, for the log; the caller decides how much the response may say."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A parsed JWT whose signature is not verified yet; `signed` is the input of the `signature`."""

    head: bytes
    signed: bytes
    signature: bytes
    header: Mapping[str, Any]
    claims: dict[str, Any]

    @property
    def alg(self) -> str:
        """The algorithm in its header."""
        return str(self.header["alg"])

    @property
    def kid(self) -> str | None:
        """The key id in its header."""
        kid = self.header.get("kid")
        return kid if isinstance(kid, str) else None


def parse(text: str, *, max_length: int = 8192, jwk_in_header: bool = False) -> Presented:
    """Parse a compact JWS of at most `max_length` characters, without verifying it. Raises `InvalidJwt`."""
    if len(text) > max_length or not _COMPACT.fullmatch(text):
        raise InvalidJwt(f"must be a compact JWS of at most {max_length} characters")
    signed, _, signature = text.encode("ascii").rpartition(b".")
    head, _, payload = signed.partition(b".")
    try:
        presented = Presented(head, signed, urlsafe_b64decode(signature), cached_read(header, head), _object(payload))
    except (JoseError, ValueError, TypeError, RecursionError, KeyError) as error:
        raise InvalidJwt(f"cannot be read: {type(error).__name__}") from error
    if REFUSED_MEMBERS & presented.header.keys() or ("jwk" in presented.header and not jwk_in_header):
        raise InvalidJwt("the header has a member that is not accepted, such as jku, x5u or crit")
    return presented


def cached_read(read: Callable[[bytes], T], head: bytes) -> T:
    """Call `read`, which has a cache; for a large header without the cache, which could otherwise fill the memory."""
    return read(head) if len(head) <= MAX_CACHED_HEADER_BYTES else inspect.unwrap(read)(head)


@lru_cache(maxsize=512)
def header(head: bytes) -> Mapping[str, Any]:
    """The header in the first part of a JWS, cached because it is the same in every proof by one key.

    Raises `ValueError`, `TypeError`, `RecursionError` or `JoseError` if it is invalid.
    """
    members = _object(head)
    if not isinstance(members.get("alg"), str):
        raise TypeError("it names no algorithm")
    _REGISTRY.check_header(members)
    return MappingProxyType(members)


def verify(presented: Presented, keys: Iterable[Key], algs: Collection[str]) -> None:
    """Check the signature with the key that the header names, or any that is suitable. Raises `InvalidJwt`."""
    if presented.alg not in algs:
        raise InvalidJwt(f"alg is {descriptions.format_value(presented.alg)}; accepted is {', '.join(algs)}")
    known = list(keys)
    for key in known:
        if not isinstance(key, _KEY_TYPES[presented.alg]) or not _is_suitable(key, presented):
            continue
        algorithm = _REGISTRY.get_alg(key.get("alg", presented.alg))  # under the name that the key has for it
        try:
            algorithm.check_key(key)
            if algorithm.verify(presented.signed, presented.signature, key):
                return
        except (JoseError, ValueError, TypeError):
            continue
    if presented.kid is not None and known and all(key.get("kid") not in {None, presented.kid} for key in known):
        raise InvalidJwt("none of the keys that are known has the kid of its header")
    raise InvalidJwt("the signature is by none of the keys that are known")


def check_type(presented: Presented, expected: str) -> None:
    """Raise `InvalidJwt` if the header types the JWT as another kind than `expected` (RFC 8725 §3.11).

    Kinds end with `+jwt`. One without a type, or with a general one such as `JWT`, is accepted: most clients send that.
    """
    typ = str(presented.header.get("typ", "")).lower().removeprefix("application/")
    if typ.endswith("+jwt") and typ != expected:
        raise InvalidJwt(f"typ is {descriptions.format_value(typ)}; expected is {expected}, or no typ")


def is_same_algorithm(first: object, second: object) -> bool:
    """Whether two names mean one algorithm: `EdDSA` means `Ed25519`, as no other curve is accepted (RFC 9864)."""
    return first == second or {first, second} == EDDSA_NAMES


def check_times(claims: dict[str, Any], *, skew: int, leeway: int, max_lifetime: int | None = None) -> None:
    """Check `exp`, which must be at most `max_lifetime` seconds ahead, `nbf` and `iat`.

    The signer's clock may be ahead of ours by `skew` seconds and behind it by `leeway`. Raises `InvalidJwt`, which says
    by how many seconds the clocks differ.
    """
    now = clock.now().timestamp()
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    for name, value in times.items():
        if not _is_time(value):
            raise InvalidJwt(f"{name} must be a number of seconds since 1970")
    if "exp" in times and now >= times["exp"] + leeway:
        raise InvalidJwt(f"exp is {_seconds(now - times['exp'])} behind our clock; at most {leeway} are accepted")
    if max_lifetime is not None and "exp" not in times:
        raise InvalidJwt("exp is missing")
    if max_lifetime is not None and times["exp"] > now + max_lifetime + skew:
        raise InvalidJwt(_too_far_ahead("exp", times["exp"] - now, max_lifetime))
    for name in ("nbf", "iat"):
        if name in times and times[name] > now + skew:
            raise InvalidJwt(_too_far_ahead(name, times[name] - now, skew))


def _too_far_ahead(name: str, seconds: float, most: int) -> str:
    """The message about a time that is too far ahead, with a hint, as JavaScript's clock counts milliseconds."""
    hint = "; it must be in seconds, not in milliseconds" if seconds > MILLISECONDS_SUSPECTED_FROM else ""
    return f"{name} is {_seconds(seconds)} ahead of our clock; at most {most} are accepted{hint}"


def _seconds(number: float) -> str:
    return f"{math.ceil(number)} seconds"


def _is_time(value: object) -> bool:
    """Whether it is a number of seconds since 1970 (RFC 7519 §2), neither NaN nor beyond `MAX_TIME`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAX_TIME


def _object(part: bytes) -> dict[str, Any]:
    text = urlsafe_b64decode(part)
    members = json.loads(text)
    if not isinstance(members, dict):
        raise TypeError("not an object")
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and _is_nested_deeper(members, MAX_DEPTH):
        raise ValueError("nested too deeply")
    return members


def _is_nested_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        containers = [member.values() if isinstance(member, dict) else member for member in level]
        level = [inner for members in containers for inner in members if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _is_suitable(key: Key, presented: Presented) -> bool:
    """Whether the key has the given id, is for signatures, and is on the algorithm's curve."""
    if isinstance(key, OctKey):
        return True
    member, kid, alg = key.get, presented.kid, presented.alg
    if kid is not None and member("kid") is not None and member("kid") != kid:
        return False
    if member("use", "sig") != "sig" or not is_same_algorithm(member("alg", alg), alg):
        return False
    return CURVES.get(alg, member("crv")) == member("crv")
