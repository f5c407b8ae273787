"""Compact JWS (RFC 7515 §7.1) with a few fixed protected headers, which are encoded once and compared as bytes.

The algorithms are those of joserfc. Its `jwt.encode` and `decode` process each header anew, which took 7 to 15 % of a
token, introspection or userinfo request.
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
    """A compact JWS, split and not verified."""

    header: bytes
    """Encoded in base64url."""
    payload: bytes
    """Encoded in base64url."""
    signature: bytes
    """Decoded."""

    @property
    def signed(self) -> bytes:
        """The signing input (RFC 7515 §5.2)."""
        return self.header + b"." + self.payload

    def claims(self) -> dict[str, Any]:
        """The claims in the payload. Raises `ValueError` if it is not a JSON object, and `RecursionError`."""
        claims = json.loads(urlsafe_b64decode(self.payload))
        if not isinstance(claims, dict):
            raise ValueError("its payload is not an object")  # noqa: TRY004  as for what is no JSON
        return claims


@lru_cache(maxsize=64)
def header(alg: str, typ: str, kid: str) -> bytes:
    """The encoded protected header for tokens of the type `typ` signed with one key (RFC 7515 §3.1)."""
    return urlsafe_b64encode(_to_json({"typ": typ, "alg": alg, "kid": kid}).encode("utf-8"))


def signed(protected: bytes, claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """The token of `claims` under the `protected` header."""
    message = protected + b"." + urlsafe_b64encode(_to_json(claims).encode("utf-8"))
    return (message + b"." + urlsafe_b64encode(sign(message))).decode("ascii")


def parts(token: str) -> Parts:
    """Split a token into its parts. Raises `ValueError` if it is no compact JWS or too long."""
    if len(token) > MAX_LENGTH or not _COMPACT.fullmatch(token):
        raise ValueError("not a compact JWS, or too long")
    protected, payload, signature = token.encode("ascii").split(b".")
    return Parts(protected, payload, urlsafe_b64decode(signature))
