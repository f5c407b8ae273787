"""Look a password up in a file of breached passwords, if an operator has installed one (`passwords.breached_file`).

The file is that of Have I Been Pwned, ordered by hash: one line for each password, its SHA-1 in upper-case hexadecimal,
a colon, and how often it was seen. It has tens of gigabytes, so it is searched on disk by bisection, some forty reads.
Nothing leaves this machine. SHA-1 is the hash that the file has; we store none.
"""

import hashlib
import re
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from idp.foundation import runtime

_HASH_LENGTH: Final = 40
_LINE: Final = re.compile(rb"[0-9A-F]{40}:[0-9]+\r?\n?")
MAX_LINE_LENGTH: Final = 80
"""Bytes of the longest line that is read; those of the published file have about 45."""

_log = structlog.get_logger("idp.estabs")


def is_breached(password: str) -> bool:
    """Whether the installed file has the password; False without a file.

    A file that cannot be read is logged as an error and refuses nothing, because no school could set a password
    otherwise; `idp doctor` reports it as well.
    """
    path = runtime.settings().passwords.file
    if path is None:
        return False
    try:
        with path.open("rb", buffering=0) as file:
            return _contains(file, path.stat().st_size, _hash(password))
    except OSError as error:
        _log.error("breached passwords", error=type(error).__name__)
        return False


def file_problem(path: Path) -> str | None:
    """Why the file cannot be searched, for an operator; None if its first lines have the right form."""
    try:
        with path.open("rb") as file:
            lines = [file.readline(MAX_LINE_LENGTH) for _ in range(3)]
    except OSError as error:
        return f"cannot be read: {error.strerror or type(error).__name__}"
    lines = [line for line in lines if line]
    if not lines:
        return "is empty"
    if not all(_LINE.fullmatch(line) for line in lines):
        return "is not a list of SHA-1 hashes, each with a colon and a number"
    return None if lines == sorted(lines) else "is not ordered by hash"


def _hash(password: str) -> bytes:
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.sha1(data, usedforsecurity=False).hexdigest().upper().encode("ascii")


def _contains(file: BinaryIO, size: int, wanted_hash: bytes) -> bool:
    """Whether a line of the ordered file begins with the hash `wanted_hash`.

    It bisects by bytes, because lines differ in length. Only lines that begin in [low, high) can match; `low` is always
    the beginning of a line.
    """
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        start, line = _line_from(file, middle, low)
        if start >= high:  # no line begins in the upper half
            high = middle
            continue
        line_hash = line[:_HASH_LENGTH]
        if line_hash == wanted_hash:
            return True
        if line_hash < wanted_hash:
            low = start + len(line)
        else:
            high = middle
    return False


def _line_from(file: BinaryIO, position: int, low: int) -> tuple[int, bytes]:
    """The first line that begins at `position` or later, and where; `low` is known to begin one.

    Reads the byte before, so that a line which begins exactly at `position` is found.
    """
    if position == low:
        file.seek(position)
        return position, _first_line(file.read(MAX_LINE_LENGTH))
    file.seek(position - 1)
    data = file.read(2 * MAX_LINE_LENGTH)
    newline = data.find(b"\n")
    if newline < 0:
        return position + len(data), b""
    return position + newline, _first_line(data[newline + 1 :])


def _first_line(data: bytes) -> bytes:
    end = data.find(b"\n")
    return data if end < 0 else data[: end + 1]
