"""Register files on disk: found, unpacked, their encoding settled, ready to be read as text.

The register declares no encoding and is not UTF-8, so one quick pass over the bytes decides before a line
is read. A zip is unpacked to temporary files, with every size capped.
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

MOST_BYTES: Final = 500_000_000
"""Bytes of one file; the real register has 60 million."""
MOST_ENTRIES: Final = 50
MOST_RATIO: Final = 200
"""How far a zip may unpack; the register's text shrinks to a tenth."""

_BLOCK: Final = 1 << 20
_UNDEFINED: Final = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))
"""Bytes that mean nothing in Windows-1252."""
_DATED = re.compile(r"edubasealldata(\d{8})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """One file, open and inspected. `replaced` counts bytes that have no meaning in its encoding."""

    name: str
    stream: BinaryIO
    size: int
    encoding: str
    replaced: int

    @property
    def dated(self) -> date | None:
        """The date in its name, as the register's site gives it."""
        found = _DATED.search(self.name)
        try:
            return date.fromisoformat(found[1]) if found else None
        except ValueError:
            return None

    @contextmanager
    def text(self) -> Iterator[TextIOWrapper]:
        """Its text from the beginning, line ends as they are, as the csv module wants them."""
        self.stream.seek(0)
        text = TextIOWrapper(self.stream, self.encoding, errors="replace", newline="")
        try:
            yield text
        finally:
            text.detach()  # the stream stays open for whoever opened it


@dataclass(frozen=True, slots=True)
class Sources:
    """The register, and its links file where there is one."""

    schools: Source
    links: Source | None


@contextmanager
def opened(path: Path, links: Path | None = None) -> Iterator[Sources]:
    """The register at `path`, a CSV file or a zip with it; `links` goes before links found in the zip.

    Raises `FileRefused` where there is no register in it.
    """
    with _found(path, links) as (register, other):
        yield Sources(_inspected(*register), _inspected(*other) if other else None)


Named = tuple[str, BinaryIO]


@contextmanager
def _found(path: Path, links: Path | None) -> Iterator[tuple[Named, Named | None]]:
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                with _named(links) as other:
                    yield (path.name, file), other
                return
            with zipfile.ZipFile(file) as archive, _unpacked(archive, r"edubasealldata.*\.csv") as register:
                if register is None:
                    raise FileRefused(
                        f"{path.name} has no edubasealldata….csv in it. Please check that it is the register."
                    )
                with _named(links) if links else _unpacked(archive, r"links_edubasealldata.*\.csv") as other:
                    yield register, other
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError) as fault:
        raise FileRefused(f"{path.name} is a damaged or locked zip. Please take it from its source again.") from fault
    except OSError as fault:
        raise FileRefused(f"{fault.filename or path} cannot be opened: {fault.strerror}.") from fault


@contextmanager
def _named(path: Path | None) -> Iterator[Named | None]:
    if path is None:
        yield None
    else:
        with path.open("rb") as file:
            yield path.name, file


@contextmanager
def _unpacked(archive: zipfile.ZipFile, pattern: str) -> Iterator[Named | None]:
    """The one entry whose name fits, in a temporary file; None if there is none."""
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise FileRefused(f"The zip has {len(entries)} files in it, and a register's has a few.")
    fitting = [entry for entry in entries if re.fullmatch(pattern, Path(entry.filename).name, re.IGNORECASE)]
    if len(fitting) > 1:
        raise FileRefused(f"The zip has more than one register in it: {', '.join(e.filename for e in fitting)}.")
    if not fitting:
        yield None
        return
    entry = fitting[0]
    if entry.file_size > min(MOST_BYTES, MOST_RATIO * max(entry.compress_size, 1)):
        raise FileRefused(
            f"{entry.filename} in the zip unpacks to {entry.file_size:,} bytes, more than a register has."
        )
    with TemporaryFile() as file:
        with archive.open(entry) as packed:
            while block := packed.read(_BLOCK):  # never more than `file_size`, which the zip module holds it to
                file.write(block)
        yield Path(entry.filename).name, file


def _inspected(name: str, stream: BinaryIO) -> Source:
    """Settle the encoding, and refuse what is plainly no register or not all of it."""
    stream.seek(0)
    start = stream.read(512)
    if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"<":
        raise FileRefused(
            f"{name} is a web page, not the register: the site may have shown an error instead of the file. "
            "Please download it again, and look at it before you import it."
        )
    is_utf8, undefined, size = _read_through(stream)
    if not size:
        raise FileRefused(f"{name} is empty. Please download it again.")
    if size > MOST_BYTES:
        raise FileRefused(f"{name} has {size:,} bytes, more than a register has.")
    return Source(name, stream, size, "utf-8-sig" if is_utf8 else "cp1252", 0 if is_utf8 else undefined)


def _read_through(stream: BinaryIO) -> tuple[bool, int, int]:
    """Whether all of it is UTF-8, how many bytes Windows-1252 does not define, and the size."""
    stream.seek(0)
    decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    undefined = size = 0
    marked = stream.read(3) == codecs.BOM_UTF8
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
    return marked or decoder is not None, undefined, size
