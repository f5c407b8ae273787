"""Reading what is stored about one school, for the views that serve it. Nothing here changes anything.

Every function takes the connection of a `Database.read()`: what is read in one such block is of one moment. Data comes
as the stored JSON text, whole: what the caller may see of it is not decided here.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, select

from clients.xporter.tables import collections, records, schools

STREAMED: Final = 1000
"""Records that are fetched at a time where all are."""


class School(NamedTuple):
    """A school of which data was received, or is on its way."""

    id: int
    estab_id: str
    epoch: str
    """Belongs into each cursor: it changes when everything of the school was deleted."""
    mis: str | None
    version: int
    """Of the newest change; the next delta begins after it."""
    forgotten_version: int
    """A cursor whose version is lower has expired: deletions since are forgotten."""
    last_extract_at: float | None
    """When an extract was applied last; None: no data was ever received."""


class Collection(NamedTuple):
    """How much there is of one collection; a collection that never came has none of these."""

    collection: str
    total: int
    version: int
    changed_at: float


class Record(NamedTuple):
    """One record; `data` is None once it is deleted."""

    id: str
    version: int
    data: str | None


_RECORD: Final = (records.c.id, records.c.version, records.c.data)
_SCHOOL: Final = tuple(schools.c[name] for name in School._fields)
_COLLECTION: Final = tuple(collections.c[name] for name in Collection._fields)


def school(connection: Connection, estab_id: str) -> School | None:
    """The school, if anything of it is stored."""
    row = connection.execute(select(*_SCHOOL).where(schools.c.estab_id == estab_id)).one_or_none()
    return School(*row) if row else None


def all_collections(connection: Connection, school_id: int) -> dict[str, Collection]:
    """All collections of the school that ever came, by name."""
    rows = connection.execute(select(*_COLLECTION).where(collections.c.school_id == school_id))
    return {row.collection: Collection(*row) for row in rows}


def page(
    connection: Connection,
    school_id: int,
    collection: str,
    *,
    after: str = "",
    limit: int,
    student: str | None = None,
    date_from: str | None = None,
    date_to: str | None = None,
) -> list[Record]:
    """At most `limit` records in the order of their ids, from the first after `after`; dates are inclusive."""
    statement = _present(school_id, collection, student, date_from, date_to)
    statement = statement.where(records.c.id > after).order_by(records.c.id).limit(limit)
    return [Record(*row) for row in connection.execute(statement)]


def stream(
    connection: Connection,
    school_id: int,
    collection: str,
    *,
    student: str | None = None,
    date_from: str | None = None,
    date_to: str | None = None,
) -> Iterator[Record]:
    """All of them in the same order, without holding them in memory."""
    after = ""
    while rows := page(
        connection, school_id, collection, after=after, limit=STREAMED, student=student, date_from=date_from,
        date_to=date_to,
    ):  # fmt: skip
        yield from rows
        after = rows[-1].id


def changes(connection: Connection, school_id: int, collection: str, *, since: int, limit: int) -> list[Record]:
    """At most `limit` records of a version higher than `since`, lowest first, with those deleted since."""
    statement = (
        select(*_RECORD)
        .where(records.c.school_id == school_id, records.c.collection == collection, records.c.version > since)
        .order_by(records.c.version)
        .limit(limit)
    )
    return [Record(*row) for row in connection.execute(statement)]


def one(connection: Connection, school_id: int, collection: str, record_id: str) -> Record | None:
    """The record, if it is there and not deleted."""
    statement = _present(school_id, collection).where(records.c.id == record_id)
    row = connection.execute(statement).one_or_none()
    return Record(*row) if row else None


def several(connection: Connection, school_id: int, collection: str, ids: Sequence[str]) -> list[Record]:
    """Those of the records with these ids that are there; at most a thousand ids."""
    statement = _present(school_id, collection).where(records.c.id.in_(ids))
    return [Record(*row) for row in connection.execute(statement)]


def _present(
    school_id: int,
    collection: str,
    student: str | None = None,
    date_from: str | None = None,
    date_to: str | None = None,
) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [
        records.c.school_id == school_id,
        records.c.collection == collection,
        records.c.deleted_at.is_(None),
    ]
    if student is not None:
        conditions.append(records.c.student == student)
    if date_from is not None:
        conditions.append(records.c.date >= date_from)
    if date_to is not None:
        conditions.append(records.c.date <= date_to)
    return select(*_RECORD).where(*conditions)
