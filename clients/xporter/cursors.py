"""Cursors: positions in a collection at which a read continues, valid for one school, client and set of scopes.

A cursor is a position and an authentication code (keyed BLAKE2, RFC 7693), whose key is the school's `epoch`. The key
never leaves the database, and is replaced when everything of the school is deleted. The code covers the client, the
scopes and the members that they name, so a cursor expires when these change: a delta has no newly granted members of
unchanged records, and cannot say which members are to be deleted.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from clients.xporter.problems import Problem
from clients.xporter.storage import School

MAX_CURSOR_LENGTH: Final = 1024
_CODE_BYTES: Final = 16


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a read continues: after the id `after` in a listing, or after `version` in the changes."""

    collection: str
    kind: Literal["listing", "changes"]
    version: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    """For a listing, the school's version when it began: a delta has the changes since."""
    after: str = ""
    student: str | None = None
    date_from: str | None = None
    date_to: str | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Position).decode


def write(position: Position, school: School, bound_to: bytes) -> str:
    """The cursor of a position; `bound_to` stands for what it is valid for: client, scopes, members."""
    content = _encode(position)
    return base64.urlsafe_b64encode(_code(content, school, bound_to) + content).decode().rstrip("=")


class Cursor(NamedTuple):
    """A cursor as it was sent. Its position must not be used for a response before `check`."""

    position: Position
    code: bytes
    content: bytes

    def check(self, school: School, bound_to: bytes) -> None:
        """Raise `Problem` (`cursor_expired`) unless it is valid for this, and not too old."""
        is_ours = hmac.compare_digest(self.code, _code(self.content, school, bound_to))
        if not is_ours or self.position.version < school.forgotten_version:
            raise Problem("cursor_expired")


def read(text: str) -> Cursor:
    """The cursor that was sent. Raises `Problem` (`invalid_request`) if the text is not one."""
    if len(text) > MAX_CURSOR_LENGTH:
        raise Problem("invalid_request", "The cursor is not one of ours.")
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        code, content = decoded[:_CODE_BYTES], decoded[_CODE_BYTES:]
        position = _decode(content)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise Problem("invalid_request", "The cursor is not one of ours.") from None
    if b"\\u0000" in content:  # PostgreSQL has no text with it
        raise Problem("invalid_request", "The cursor is not one of ours.")
    return Cursor(position, code, content)


def _code(content: bytes, school: School, bound_to: bytes) -> bytes:
    # A third of the time of HMAC, whose hash OpenSSL looks up by its name each time.
    key = school.epoch.encode()
    return hashlib.blake2b(content + b"\0" + bound_to, key=key, digest_size=_CODE_BYTES).digest()
