"""The file of an extract: NDJSON, compressed by gzip. It is read twice, and never held in memory.

`check` reads all of it and reports problems by line. Messages name members, and quote no values: they are logged.
"""

import gzip
import io
import re
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final

import msgspec
from msgspec import Raw, Struct

from clients.xporter.shapes import MAX_KEY_LENGTH, Key, Reader

MAX_UNCOMPRESSED_BYTES: Final = 1 << 30
MAX_LINE_BYTES: Final = 256 << 10
MAX_RECORDS: Final = 2_000_000
MAX_PROBLEMS: Final = 100
FORMAT: Final = 1


class Header(Struct):
    """The first line."""

    format: int
    mis: str
    complete: list[str]
    made_at: str | None = None
    kept: list[str] = []
    """The collections of which the endpoint could not read anything."""


class Line(Struct, forbid_unknown_fields=True, gc=False):
    """Each other line: a record, or the key of one that is to stay as it is."""

    collection: str
    key: Key
    data: Raw = Raw()
    kept: bool = False
    """The MIS has the record, but the endpoint could not read it."""


@dataclass(slots=True)
class Content:
    """The content of a file. It is applied only if there are no problems."""

    mis: str = ""
    complete: frozenset[str] = frozenset()
    keys: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    """The keys of the records by collection, in their order."""
    kept: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The keys of records that stay as they are, by collection."""
    kept_whole: frozenset[str] = frozenset()
    """The collections that stay as they are. References to records of these that were never received are left out."""
    referred: dict[str, dict[str, tuple[int, str, str]]] = field(default_factory=lambda: defaultdict(dict))
    """References by the collection and the key they refer to: line, collection and member of the first."""
    problems: list[dict[str, Any]] = field(default_factory=list)

    @property
    def collections(self) -> frozenset[str]:
        """All collections that it changes or keeps records of: complete ones, and those with records."""
        return self.complete | self.keys.keys() | self.kept.keys()

    def add_problem(self, line: int, message: str, collection: str | None = None, member: str | None = None) -> None:
        """Add a problem; after `MAX_PROBLEMS` no more are added."""
        if len(self.problems) < MAX_PROBLEMS:
            problem = {"line": line, "collection": collection, "field": member, "message": message}
            self.problems.append(problem)


class _Unreadable(Exception):
    """The rest of the file cannot be read; the arguments are those of `Content.add_problem`."""


_decode_line: Final = msgspec.json.Decoder(Line).decode
_decode_header: Final = msgspec.json.Decoder(Header).decode


class ExtractFile:
    """The file, and the members that records may have, by collection."""

    def __init__(self, file: IO[bytes], members: Mapping[str, Collection[str]]) -> None:
        self._file = file
        self.readers = {collection: Reader(collection, names) for collection, names in members.items()}

    def check(self) -> Content:
        """Read all of it."""
        content = Content()
        try:
            for number, raw in self._lines():
                if number == 1:
                    self._check_header(content, raw)
                else:
                    self._check_line(content, number, raw)
                if len(content.problems) >= MAX_PROBLEMS:
                    break
        except _Unreadable as error:
            content.add_problem(*error.args)
        return content

    def records(self) -> Iterator[tuple[str, str, Reader, Struct]]:
        """Collection, key, reader and record of each line. Only for a file in which `check` saw no problem."""
        for number, raw in self._lines():
            if number > 1 and not (line := _decode_line(raw)).kept:
                reader = self.readers[line.collection]
                yield line.collection, line.key, reader, reader.decode(line.data)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each line. Raises `_Unreadable`."""
        self._file.seek(0)
        number = total = 0
        try:
            with gzip.GzipFile(fileobj=self._file) as unpacked, io.BufferedReader(unpacked, 1 << 16) as lines:
                while raw := lines.readline(MAX_LINE_BYTES + 1):
                    number, size = number + 1, len(raw)
                    total += size
                    if size > MAX_LINE_BYTES:
                        raise _Unreadable(number, f"The line has more than {MAX_LINE_BYTES} bytes.")
                    if total > MAX_UNCOMPRESSED_BYTES or number > MAX_RECORDS:
                        raise _Unreadable(number, "The file is too large when it is unpacked.")
                    if size > len(b"\r\n") or not raw.isspace():
                        yield number, raw
        except (OSError, EOFError, zlib.error) as error:
            raise _Unreadable(number + 1, f"The file is not valid gzip ({type(error).__name__}).") from None
        if number == 0:
            raise _Unreadable(1, "The file is empty.")

    def _check_header(self, content: Content, raw: bytes) -> None:
        try:
            header = _decode_header(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            content.add_problem(1, f"The first line is wrong: {_explain(error, raw)[1]}")
            raise _Unreadable(1, "Without a first line the others are not read.") from None
        if header.format != FORMAT:
            raise _Unreadable(1, f"format must be {FORMAT}.", None, "format")
        for name in header.complete:
            if name not in self.readers:
                content.add_problem(1, f"There is no collection {_quoted(name)}.", None, "complete")
        content.mis, content.complete = header.mis, frozenset(header.complete)
        content.kept_whole = frozenset(header.kept) - content.complete

    def _check_line(self, content: Content, number: int, raw: bytes) -> None:
        collection: str | None = None
        try:
            line = _decode_line(raw)
            if (reader := self.readers.get(line.collection)) is None:
                content.add_problem(number, f"There is no collection {_quoted(line.collection)}.", None, "collection")
                return
            collection = line.collection
            if line.kept == bool(line.data):
                message = "A record that is kept has no data." if line.kept else "The member data is missing."
                content.add_problem(number, message, collection, "data")
                return
            record = None if line.kept else reader.decode(line.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            member, message = _explain(error, raw)
            content.add_problem(number, message, collection, member)
            return
        keys, kept = content.keys[collection], content.kept[collection]
        if line.key in keys or line.key in kept:
            content.add_problem(number, "Another record of the collection has this key.", collection, "key")
        if "\0" in line.key:
            content.add_problem(number, "The key has a character that is not allowed.", collection, "key")
        if record is None:
            kept.add(line.key)
            return
        keys[line.key] = None
        for member, target, key in reader.referred(record):
            if key not in content.referred[target]:
                content.referred[target][key] = number, collection, member


_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_PATH = re.compile(r" - at `\$(?:\.([A-Za-z_]+))?.*`$", re.DOTALL)
_MISMATCH = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_LENGTH = re.compile(r"Expected `(\w+)` of length (>=|<=) (\d+)")
_BOUND = re.compile(r"Expected `(?:int|float)` (>=|<=) (\S+)")
_NO_DATE = re.compile(r"Invalid RFC3339 encoded (date|time)")
_TYPES = {
    "str": "text", "bool": "true or false", "int": "a whole number", "float": "a number", "array": "a list",
    "object": "an object", "null": "null", "date": "a date", "time": "a time",
}  # fmt: skip
_EXAMPLES = {"date": "a date such as 2026-03-01", "time": "a time such as 09:30:00"}


def _explain(error: Exception, raw: bytes) -> tuple[str | None, str]:
    """The member that is wrong and what is wrong with it, for the person who looks after the endpoint."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return None, "The line is not UTF-8."
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return None, "The line is not JSON."
    path = _PATH.search(text)
    member = path[1] if path else None
    if unknown := _UNKNOWN.search(text):
        return unknown[1][:MAX_KEY_LENGTH], f"There is no member {_quoted(unknown[1])}."
    if missing := _MISSING.search(text):
        return missing[1], f"The member {missing[1]} is missing."
    return member, _requirement(_PATH.sub("", text))


def _requirement(text: str) -> str:
    """What a value must be, from the message of the library, which names types of Python."""
    if mismatch := _MISMATCH.fullmatch(text):
        expected = " or ".join(_TYPES.get(name, name) for name in mismatch[1].split(" | ") if name != "null")
        return f"It must be {expected}, not {_TYPES.get(mismatch[2], mismatch[2])}."
    if length := _LENGTH.fullmatch(text):
        noun = "item" if length[1] == "array" else "character"
        bound = "at least" if length[2] == ">=" else "at most"
        return f"It must have {bound} {length[3]} {noun}{'' if length[3] == '1' else 's'}."
    if limit := _BOUND.fullmatch(text):
        return f"It must be {limit[2]} or {'more' if limit[1] == '>=' else 'less'}."
    if no_date := _NO_DATE.fullmatch(text):
        return f"It must be {_EXAMPLES[no_date[1]]}."
    return f"{text.replace('`', '')}."


def _quoted(name: str) -> str:
    return repr(name[:MAX_KEY_LENGTH])
