"""Compact JWS (RFC 7515 §7.1) whose protected headers are a few fixed ones: written once, compared byte for byte.

The algorithms are joserfc's. Its `jwt.encode` and `decode` look at each header anew, which was 7 to 15 % of a token,
introspection or userinfo request.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

MAX_LENGTH: Final = 8192
"""Characters of the longest token that is read."""

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_to_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Parts(NamedTuple):
    """A compact JWS, taken apart and not verified."""

    header: bytes
    """As it stands in the token, in base64url."""
    payload: bytes
    """Likewise."""
    signature: bytes
    """Decoded."""

    @property
    def signed(self) -> bytes:
        """What the signature is over (RFC 7515 §5.2)."""
        return self.header + b"." + self.payload

    def claims(self) -> dict[str, Any]:
        """The payload. Raises `ValueError` where it is not a JSON object, and `RecursionError`."""
        claims = json.loads(urlsafe_b64decode(self.payload))
        if not isinstance(claims, dict):
            raise ValueError("its payload is not an object")  # noqa: TRY004  as for what is no JSON
        return claims


@lru_cache(maxsize=64)
def header(alg: str, typ: str, kid: str) -> bytes:
    """The protected header of all that one key signs as `typ`, as it stands in a token (RFC 7515 §3.1)."""
    return urlsafe_b64encode(_to_json({"typ": typ, "alg": alg, "kid": kid}).encode("utf-8"))


def signed(protected: bytes, claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """The token of `claims` under the `protected` header."""
    message = protected + b"." + urlsafe_b64encode(_to_json(claims).encode("utf-8"))
    return (message + b"." + urlsafe_b64encode(sign(message))).decode("ascii")


def parts(token: str) -> Parts:
    """Take a token apart. Raises `ValueError` where it is not a compact JWS of at most `MAX_LENGTH` characters."""
    if len(token) > MAX_LENGTH or not _COMPACT.fullmatch(token):
        raise ValueError("not a compact JWS, or too long")
    protected, payload, signature = token.encode("ascii").split(b".")
    return Parts(protected, payload, urlsafe_b64decode(signature))
