"""CSV reports in a folder, as SIMS and CMIS write them."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..records import Problems, UnreadableReport
from .tables import RECORD_KEPT, Damaged, Row

MAX_FIELD_BYTES: Final = 1_000_000
SAMPLE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class CsvFolder:
    """The reports in a folder, by file name."""

    folder: Path
    has_headings: bool = True

    def name(self, source: str) -> str:
        """The file's name."""
        return f"{source}.csv"

    def rows(self, source: str, problems: Problems) -> Iterator[tuple[int, Row]]:
        """The rows of a report. Raises `UnreadableReport` if it is missing, is cut off, or changes while it is read."""
        name = self.name(source)
        try:
            path = _find(self.folder, name)
            before = path.stat()
            with path.open(encoding=_encoding(path), errors="replace", newline="") as file:
                yield from _rows(file, name, problems)
            after = path.stat()
        except OSError as error:
            raise UnreadableReport(
                f"{name} cannot be read: {error.strerror}. Check the file and who may read it."
            ) from error
        if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
            raise UnreadableReport(f"{name} was written while it was read. It is read again next time.")


def _find(folder: Path, name: str) -> Path:
    """The file with this name, in small or capital letters."""
    if not folder.is_dir():
        raise UnreadableReport(f"The folder {folder} does not exist. Check the path and that this account may read it.")
    for path in folder.iterdir():
        if path.name.lower() == name.lower():
            if not path.is_file():  # opening a pipe would wait for a writer
                raise UnreadableReport(f"{name} cannot be read: it is not a file. Export it again.")
            return path
    raise UnreadableReport(f"{name} is not in {folder}. Check that the report is exported there under this name.")


def _encoding(path: Path) -> str:
    """The encoding, by the byte order mark. Without one: UTF-8 if the whole file is valid, else Windows-1252."""
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        if start.startswith(b"\xef\xbb\xbf"):
            return "utf-8-sig"
    try:
        with path.open(encoding="utf-8") as file:
            while file.read(SAMPLE_BYTES):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _rows(file: io.TextIOBase, name: str, problems: Problems) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(MAX_FIELD_BYTES)
    lines = _Lines(file)
    reader = csv.reader(lines, strict=False)
    headings = _headings(reader, name, problems)
    number, cut_off = 1, False
    while True:
        number += 1
        try:
            values = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            problems.add(name, number, "", f"is not CSV ({error}), so it was left out")
            continue
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(headings):
            cut_off = not lines.ended_with_newline and len(values) < len(headings)
            if cut_off:
                continue
            message = f"has {len(values)} values instead of {len(headings)}, so it was left out{RECORD_KEPT}"
            problems.add(name, number, "", message)
            yield number, Damaged(dict.fromkeys(headings, "") | dict(zip(headings, values, strict=False)))
            continue
        yield number, dict(zip(headings, values, strict=True))
    if cut_off:
        raise UnreadableReport(f"{name} is cut off in its last row. Export it again.")


def _headings(reader: Any, name: str, problems: Problems) -> list[str]:
    try:
        headings = [heading.strip() for heading in next(reader)]
    except StopIteration:
        raise UnreadableReport(f"{name} is empty: it does not even have headings. Export it again.") from None
    except csv.Error as error:
        raise UnreadableReport(f"{name} is not CSV ({error}). Export it again.") from error
    for heading in sorted({heading for heading in headings if headings.count(heading) > 1 and heading}):
        problems.add(name, 1, heading, "is the heading of two columns; the last one was taken")
    return headings


class _Lines:
    """The lines of a file without NUL characters; it knows whether the last line is complete."""

    def __init__(self, file: io.TextIOBase) -> None:
        self._file, self.ended_with_newline = file, True

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_FIELD_BYTES)
        if not line:
            raise StopIteration
        self.ended_with_newline = line.endswith(("\n", "\r"))
        return line.replace("\0", "")
