"""Applies an extract that was checked, in one transaction.

Records are compared with the stored ones by a digest, so an extract with the same records changes nothing, and only
changed records get a new version. The school's row is locked: of two extracts of one school, one waits for the other.
"""

import hashlib
import secrets
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from clients.xporter import extracts
from clients.xporter.database import Database, inserting
from clients.xporter.extract_file import Content, ExtractFile
from clients.xporter.extracts import Extract
from clients.xporter.tables import collections, records, schools

BATCH_SIZE: Final = 5_000
"""How many rows one statement writes."""
_ID_BYTES: Final = 9
_ID_CHARACTERS: Final = 12
"""The length of `_ID_BYTES` in base64."""
_DELETED: Final = {"data": None, "student": None, "date": None, "digest": b""}

_COLUMNS: Final = (
    "school_id", "collection", "id", "key", "data", "digest", "version", "student", "date", "deleted_at",
)  # fmt: skip
_LOCK = select(schools).where(schools.c.id == bindparam("school")).with_for_update()
_UPDATE = (
    update(records)
    .where(
        records.c.school_id == bindparam("where_school"),
        records.c.collection == bindparam("where_collection"),
        records.c.id == bindparam("where_id"),
    )
    .values({name: bindparam(name) for name in ("data", "digest", "version", "student", "date", "deleted_at")})
)


class ExtractRefused(Exception):
    """The extract contradicts what is stored. The message is the code of the refusal; `Content` has the problems."""


def apply(database: Database, extract: Extract, file: ExtractFile, content: Content, now: float) -> bool:
    """Apply the extract; False if it is no longer being checked.

    Raises `ExtractRefused`, after which nothing is changed.
    """
    with database.write() as connection:
        school = connection.execute(_LOCK, {"school": extract.school_id}).one_or_none()
        if school is None:
            return False
        if school.last_made_at is not None and extract.made_at < school.last_made_at:
            content.add_problem(1, "superseded: an extract that was made later has been applied.", None, "made_at")
            raise ExtractRefused("superseded")
        changes = _Changes(connection, extract.school_id, int(school.version), now)
        if school.mis not in {None, extract.mis}:
            changes.delete_all()  # keys of another system identify other people
        changes.read(content)
        if content.problems:
            raise ExtractRefused("invalid_content")
        changes.write(file, content)
        counts = changes.finish(content)
        connection.execute(
            update(schools)
            .where(schools.c.id == extract.school_id)
            .values(version=changes.version, mis=extract.mis, last_made_at=extract.made_at, last_extract_at=now)
        )
        applied = {"state": "applied", "counts": counts, "applied_at": now, "changed_at": now}
        if not extracts.finish(connection, extract, **applied):
            connection.rollback()
            return False
        return True


def refuse(database: Database, extract: Extract, refusal: str, content: Content, now: float) -> bool:
    """Refuse the extract with the code `refusal`; False if it is no longer being checked."""
    values = {"state": "refused", "refusal": refusal, "problems": content.problems, "changed_at": now}
    with database.write() as connection:
        return extracts.finish(connection, extract, **values)


class _Changes:
    """The changes that an extract makes to the records of a school, written in batches."""

    def __init__(self, connection: Connection, school_id: int, version: int, now: float) -> None:
        self._connection, self._school_id, self._now = connection, school_id, now
        self.version = version
        self._number = version
        """The number in the newest id, for the order in which rows are stored; random characters make ids unique."""
        self._ids: dict[str, dict[str, str]] = {}
        """By collection and key, the ids of the records to which others may refer: stored ones and new ones."""
        self._stored: dict[str, dict[str, tuple[str, bytes | None]]] = {}
        """By collection and key, the id and digest of each stored record; the digest of a deleted one is None."""
        self._unknown: dict[str, set[str]] = {}
        """By collection, keys that the extract keeps but that were never received: references to them are dropped."""
        self._counts: dict[str, dict[str, int]] = {}
        self._changed: set[str] = set()
        self._random: list[str] = []
        self._updates: list[dict[str, Any]] = []

    def delete_all(self) -> None:
        """Delete all records, and replace their keys, so that no key of the extract matches one of them."""
        in_school = records.c.school_id == self._school_id
        present = select(records.c.collection, records.c.id, records.c.deleted_at).where(in_school)
        for row in self._connection.execute(present).all():
            if row.deleted_at is None:
                self._delete(row.collection, row.id)
        self._flush()
        self._connection.execute(update(records).where(in_school).values(key=records.c.id))

    def read(self, content: Content) -> None:
        """Read the stored records, choose ids for new ones, and check that references lead to a record."""
        for collection in content.collections | content.referred.keys():
            rows = self._connection.execute(
                select(records.c.key, records.c.id, records.c.digest, records.c.deleted_at).where(
                    records.c.school_id == self._school_id, records.c.collection == collection
                )
            )
            stored = self._stored[collection] = {
                key: (record_id, digest if deleted_at is None else None) for key, record_id, digest, deleted_at in rows
            }
            ids: dict[str, str] = {}
            if collection not in content.complete:
                ids = {key: record_id for key, (record_id, digest) in stored.items() if digest is not None}
            for key in content.keys.get(collection, ()):
                ids[key] = stored[key][0] if key in stored else self._new_id()
            for key in content.kept.get(collection, ()):
                record_id, digest = stored.get(key, ("", None))
                if digest is None:
                    self._unknown.setdefault(collection, set()).add(key)
                else:
                    ids[key] = record_id
            self._ids[collection] = ids
        for target, referred in content.referred.items():
            ids = self._ids[target]
            if target in content.kept_whole:
                self._unknown[target] = referred.keys() - ids.keys()
            unknown = self._unknown.get(target, ())
            for key, (line, collection, member) in referred.items():
                if key not in ids and key not in unknown:
                    content.add_problem(
                        line, f"It refers to a record of {target} that is not there.", collection, member
                    )

    def write(self, file: ExtractFile, content: Content) -> None:
        """Write each record that is new or changed."""
        rows = self._new_rows(file, content)
        is_finished = False
        while not is_finished:
            with inserting(self._connection, records, _COLUMNS) as insert_row:
                for row in rows:
                    if row is None:
                        break
                    insert_row(row)
                else:
                    is_finished = True
            self._flush()

    def _new_rows(self, file: ExtractFile, content: Content) -> Iterator[tuple[Any, ...] | None]:
        """The rows of new records; None after each batch of changed ones, which are then to be written."""
        encode = msgspec.json.Encoder().encode
        for collection, key, reader, record in file.records():
            if self._unknown and not reader.forget(record, self._unknown):
                del content.keys[collection][key]
                continue
            reader.resolve(record, self._ids)
            data = encode(record)
            digest = hashlib.blake2b(data, digest_size=16).digest()
            record_id, before = self._stored[collection].get(key, (None, None))
            if before == digest:
                continue
            student, day = reader.student_of(record), reader.date_of(record)
            self._count(collection, "added" if before is None else "changed")
            if record_id is None:
                self.version += 1
                new_id, text = self._ids[collection][key], data.decode()
                yield self._school_id, collection, new_id, key, text, digest, self.version, student, day, None
            else:
                values = {"data": data.decode(), "digest": digest, "student": student, "date": day, "deleted_at": None}
                self._change(collection, record_id, values)
                if len(self._updates) >= BATCH_SIZE:
                    yield None

    def _new_id(self) -> str:
        """A new id: a rising number and random characters. Rows written together are neighbours, which is faster."""
        self._number += 1
        if not self._random:  # one at a time they take a tenth of a first extract
            many = secrets.token_urlsafe(1000 * _ID_BYTES)
            self._random = [many[start : start + _ID_CHARACTERS] for start in range(0, len(many), _ID_CHARACTERS)]
        return f"{self._number:09x}{self._random.pop()}"

    def finish(self, content: Content) -> dict[str, dict[str, int]]:
        """Delete what is absent from complete collections, and return the counts by collection."""
        for collection in sorted(content.complete):
            received, kept = content.keys.get(collection, {}), content.kept.get(collection, ())
            for key, (record_id, digest) in self._stored[collection].items():
                if digest is not None and key not in received and key not in kept:
                    self._delete(collection, record_id)
        self._flush()
        return {name: self._total(name) for name in sorted(content.collections | self._counts.keys())}

    def _total(self, collection: str) -> dict[str, int]:
        """The counts of a collection, whose row is written if it has changed or is new."""
        counts = {"added": 0, "changed": 0, "removed": 0} | self._counts.get(collection, {})
        condition = and_(collections.c.school_id == self._school_id, collections.c.collection == collection)
        before = self._connection.execute(select(collections.c.total).where(condition)).scalar()
        total = (before or 0) + counts["added"] - counts["removed"]
        if before is None or collection in self._changed:
            self._connection.execute(delete(collections).where(condition))
            key = {"school_id": self._school_id, "collection": collection}
            row = key | {"total": total, "version": self.version, "changed_at": self._now}
            self._connection.execute(insert(collections).values(row))
        return counts | {"total": total}

    def _count(self, collection: str, kind: str) -> None:
        counts = self._counts.setdefault(collection, {"added": 0, "changed": 0, "removed": 0})
        counts[kind] += 1
        self._changed.add(collection)

    def _change(self, collection: str, record_id: str, values: dict[str, Any]) -> None:
        self.version += 1
        key = {"where_school": self._school_id, "where_collection": collection, "where_id": record_id}
        self._updates.append(key | values | {"version": self.version})

    def _delete(self, collection: str, record_id: str) -> None:
        self._count(collection, "removed")
        self._change(collection, record_id, _DELETED | {"deleted_at": self._now})
        if len(self._updates) >= BATCH_SIZE:
            self._flush()

    def _flush(self) -> None:
        if self._updates:
            self._connection.execute(_UPDATE, self._updates)
        self._updates = []
