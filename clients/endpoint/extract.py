"""Make an extract: NDJSON, compressed by gzip; a header line, and then a line for each record.

The header names the collections that are complete, and in `kept` those that could not be read: the receiver keeps what
it has of these. Both are known only at the end, so records are written to a temporary file first and copied from there.
The receiver also keeps a record whose row cannot be read: the line of that record has its key, and `kept` instead of
data.
"""

import gzip
import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from .errors import DiskFull, ExtractFailed, TooFewRecords, is_disk_full
from .home import Home, Pending
from .readers import Reader
from .records import COLLECTIONS, REFERENCES, REQUIRED, Problems, Record, UnreadableReport

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 1 << 20
STABLE_COLLECTIONS: Final = ("students", "contacts", "staff")
"""Collections in which half of the records cannot be gone since the last extract: a smaller export is not believed.

Others may shrink like that, for example marks when a year begins.
"""
MAX_SMALL_COLLECTION_SIZE: Final = 20
"""A stable collection of at most this many records may lose any number of them, but not all."""
PROGRESS_EVERY: Final = 500
"""Progress is shown whenever this many more records have been read."""

Progress = Callable[[str, int], None]
"""Called with a collection and the number of its records read so far."""


@dataclass
class Extract:
    """An extract, and the problems that were noticed while it was made."""

    pending: Pending
    problems: Problems
    complete: list[str]
    failed: dict[str, str]
    """Why a collection could not be read, by its name."""


def make(
    home: Home, mis: str, made_at: str, reader: Reader, previous: Mapping[str, int], progress: Progress
) -> Extract:
    """Read all collections of the MIS and write the extract into the folder of `home`.

    `made_at` is the time by the provider's clock, in ISO 8601 (UTC). `previous` has the number of records in the last
    extract, by collection.

    Raises `ExtractFailed` if no collection could be read, `TooFewRecords` if a stable one has less than half of its
    previous records, and `DiskFull`.
    """
    identifier = str(uuid.uuid4())
    records, extract = home.extracts / f"{identifier}.ndjson", home.extracts / f"{identifier}.gz"
    try:
        with records.open("xb") as file:
            writer = _RecordWriter(file, reader, progress)
            for collection in COLLECTIONS:
                writer.add(collection)
        if not writer.counts:
            raise ExtractFailed("Nothing could be read from the MIS.", next(iter(writer.failed.values()), ""))
        _check_counts(previous, writer.present)
        complete = list(writer.counts)
        header = {"format": 1, "mis": mis, "made_at": made_at, "complete": complete, "kept": list(writer.failed)}
        size, digest = _pack(header, records, extract)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(str(home.folder)) from error
        raise
    finally:
        records.unlink(missing_ok=True)
    note = " ".join(f"{name}: {reason}" for name, reason in writer.failed.items())
    pending = Pending(identifier, extract.name, size, digest, made_at, writer.counts, note)
    return Extract(pending, writer.problems, complete, writer.failed)


class _RecordWriter:
    """Writes records to the temporary file, and counts them."""

    def __init__(self, file: IO[bytes], reader: Reader, progress: Progress) -> None:
        self._file, self._reader, self._progress = file, reader, progress
        self._keys: dict[str, set[str]] = {}
        """The keys of complete collections, to which records may refer."""
        self.counts: dict[str, int] = {}
        self.failed: dict[str, str] = {}
        self.problems = Problems()

    @property
    def present(self) -> dict[str, int]:
        """How many records there are in each collection that was read, including those whose rows cannot be read."""
        return {collection: len(self._keys[collection]) for collection in self.counts}

    def add(self, collection: str) -> None:
        """Add a collection; if it cannot be read to its end, none of its records are added."""
        start, keys, count = self._file.tell(), set(), 0
        try:
            for record in self._reader.read(collection, self.problems):
                line: dict[str, Any] = {"collection": collection, "key": record.key}
                if record.data is None:
                    line["kept"] = True
                else:
                    data = self._without_dangling_references(collection, record, record.data)
                    if data is None:
                        continue
                    line["data"], count = data, count + 1
                    if count % PROGRESS_EVERY == 0:
                        self._progress(collection, count)
                keys.add(record.key)
                self._file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        except UnreadableReport as error:
            log.warning("%s could not be read and stay as they are: %s", collection, error)
            self.failed[collection] = str(error)
            self._file.seek(start)
            self._file.truncate()
            return
        self._keys[collection], self.counts[collection] = keys, count
        self._progress(collection, count)

    def _without_dangling_references(
        self, collection: str, record: Record, data: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The data without references to records that the MIS does not have; None if a required member is one."""
        data = dict(data)
        for member, target in REFERENCES.get(collection, {}).items():
            keys = self._keys.get(target)
            if keys is None or member not in data:
                continue
            value = data[member]
            if isinstance(value, list):
                items = [item for item in value if (item["student"] if isinstance(item, dict) else item) in keys]
                if len(items) < len(value):
                    self._report(record, member, f"refers to {target} that are not there; they were left out")
                data[member] = items
            elif value not in keys:
                if member in REQUIRED[collection]:
                    self._report(record, member, f"refers to {target} that are not there; the record was left out")
                    return None
                self._report(record, member, f"refers to {target} that are not there; the reference was left out")
                del data[member]
        return data

    def _report(self, record: Record, member: str, message: str) -> None:
        self.problems.add(record.source, record.row, member, message)


def _check_counts(previous: Mapping[str, int], current: Mapping[str, int]) -> None:
    shrunk = [
        f"{current[name]} {name} ({previous[name]} before)"
        for name in STABLE_COLLECTIONS
        if name in current and previous.get(name, 0) and _has_shrunk(previous[name], current[name])
    ]
    if shrunk:
        raise TooFewRecords(", ".join(shrunk))


def _has_shrunk(previous_count: int, current_count: int) -> bool:
    is_small = previous_count <= MAX_SMALL_COLLECTION_SIZE
    return not current_count or (not is_small and current_count < previous_count / 2)


def _pack(header: Mapping[str, Any], records: Path, extract: Path) -> tuple[int, str]:
    """Write the file, or none if that fails; returns its size in bytes and its SHA-256 in hex."""
    try:
        with records.open("rb") as source, extract.open("xb") as target:
            with gzip.GzipFile(fileobj=target, mode="wb", mtime=0, filename="") as gzip_file:
                gzip_file.write(json.dumps(header).encode() + b"\n")
                for chunk in iter(lambda: source.read(CHUNK_BYTES), b""):
                    gzip_file.write(chunk)
            target.flush()
        digest = hashlib.sha256()
        with extract.open("rb") as file:
            for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
                digest.update(chunk)
        return extract.stat().st_size, digest.hexdigest()
    except BaseException:
        extract.unlink(missing_ok=True)
        raise
