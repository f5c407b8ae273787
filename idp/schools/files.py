"""Open register files: unpack them, determine their encoding, and read them as text.

The register declares no encoding and is often not UTF-8, so the encoding is determined by one pass over the bytes
before any line is read. A zip is unpacked to temporary files, with every size capped.
"""

import codecs
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final

from idp.schools.gias import FileRefused

MAX_FILE_BYTES: Final = 500_000_000
"""The largest file that is read; the real register has 60 million bytes."""
MAX_ENTRIES: Final = 50
"""How many files a zip may contain."""
MAX_RATIO: Final = 200
"""How many times as large as its compressed form a file may be; the register is ten times as large."""

_BLOCK: Final = 1 << 20
_UNDEFINED: Final = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))
"""Bytes that are undefined in Windows-1252."""
_DATE_IN_NAME = re.compile(r"edubasealldata(\d{8})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """One open file. `size` is in bytes; `replaced` counts bytes that are undefined in its encoding."""

    name: str
    stream: BinaryIO
    size: int
    encoding: str
    replaced: int

    @property
    def dated(self) -> date | None:
        """The date in its name, if it has the form of the register's site."""
        match = _DATE_IN_NAME.search(self.name)
        try:
            return date.fromisoformat(match[1]) if match else None
        except ValueError:
            return None

    @contextmanager
    def text(self) -> Iterator[TextIOWrapper]:
        """The text of the file from its beginning; line ends are not converted, as the csv module requires."""
        self.stream.seek(0)
        text = TextIOWrapper(self.stream, self.encoding, errors="replace", newline="")
        try:
            yield text
        finally:
            text.detach()  # leaves the stream open; the caller closes it


@dataclass(frozen=True, slots=True)
class Sources:
    """The register, and its links file where there is one."""

    schools: Source
    links: Source | None


@contextmanager
def open_sources(path: Path, links: Path | None = None) -> Iterator[Sources]:
    """The register at `path`, a CSV file or a zip with it; `links` takes precedence over a links file in the zip.

    Raises `FileRefused` if there is no register in it.
    """
    with _open_files(path, links) as (register, links_file):
        yield Sources(_inspect(*register), _inspect(*links_file) if links_file else None)


NamedFile = tuple[str, BinaryIO]


@contextmanager
def _open_files(path: Path, links: Path | None) -> Iterator[tuple[NamedFile, NamedFile | None]]:
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                with _open_optional(links) as links_file:
                    yield (path.name, file), links_file
                return
            with zipfile.ZipFile(file) as archive, _unpack(archive, r"edubasealldata.*\.csv") as register:
                if register is None:
                    raise FileRefused(
                        f"{path.name} has no edubasealldata….csv in it. Please check that it is the register."
                    )
                with _open_optional(links) if links else _unpack(archive, r"links_edubasealldata.*\.csv") as links_file:
                    yield register, links_file
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError) as error:
        raise FileRefused(f"{path.name} is a damaged or locked zip. Please take it from its source again.") from error
    except OSError as error:
        raise FileRefused(f"{error.filename or path} cannot be opened: {error.strerror}.") from error


@contextmanager
def _open_optional(path: Path | None) -> Iterator[NamedFile | None]:
    if path is None:
        yield None
    else:
        with path.open("rb") as file:
            yield path.name, file


@contextmanager
def _unpack(archive: zipfile.ZipFile, pattern: str) -> Iterator[NamedFile | None]:
    """The one entry whose name matches, in a temporary file; None if there is none."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise FileRefused(f"The zip has {len(entries)} files in it, and a register's has a few.")
    matches = [entry for entry in entries if re.fullmatch(pattern, Path(entry.filename).name, re.IGNORECASE)]
    if len(matches) > 1:
        raise FileRefused(f"The zip has more than one register in it: {', '.join(e.filename for e in matches)}.")
    if not matches:
        yield None
        return
    entry = matches[0]
    if entry.file_size > min(MAX_FILE_BYTES, MAX_RATIO * max(entry.compress_size, 1)):
        raise FileRefused(
            f"{entry.filename} in the zip unpacks to {entry.file_size:,} bytes, more than a register has."
        )
    with TemporaryFile() as file:
        with archive.open(entry) as compressed:
            while block := compressed.read(_BLOCK):  # the zip module reads no more than `file_size`
                file.write(block)
        yield Path(entry.filename).name, file


def _inspect(name: str, stream: BinaryIO) -> Source:
    """Determine the encoding. Raises `FileRefused` if the file is a web page, empty or too large."""
    stream.seek(0)
    start = stream.read(512)
    if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"<":
        raise FileRefused(
            f"{name} is a web page, not the register: the site may have shown an error instead of the file. "
            "Please download it again, and look at it before you import it."
        )
    is_utf8, undefined, size = _scan(stream)
    if not size:
        raise FileRefused(f"{name} is empty. Please download it again.")
    if size > MAX_FILE_BYTES:
        raise FileRefused(f"{name} has {size:,} bytes, more than a register has.")
    return Source(name, stream, size, "utf-8-sig" if is_utf8 else "cp1252", 0 if is_utf8 else undefined)


def _scan(stream: BinaryIO) -> tuple[bool, int, int]:
    """Read the file once: whether it is UTF-8, how many bytes are undefined in Windows-1252, and its size."""
    stream.seek(0)
    decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    undefined = size = 0
    has_bom = stream.read(3) == codecs.BOM_UTF8
    stream.seek(0)
    while block := stream.read(_BLOCK):
        undefined += len(block) - len(block.translate(None, _UNDEFINED))
        size += len(block)
        if decoder:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                decoder = None
    if decoder:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            decoder = None
    return has_bom or decoder is not None, undefined, size
