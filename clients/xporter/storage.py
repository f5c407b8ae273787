"""Reads what is stored about one school, for the views that serve it.

Every function takes the connection of a `Database.read()` block, which reads one snapshot. Data is the stored JSON text
with all members: `fields` filters it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Dialect, Select, and_, bindparam, select

from clients.xporter.tables import collections, records, schools

STREAMED: Final = 1000
"""Records that are fetched at a time where all are."""


class School(NamedTuple):
    """A school of which an extract was announced or applied."""

    id: int
    estab_id: str
    epoch: str
    """The key of the school's cursors; a new one after everything of the school was deleted."""
    mis: str | None
    version: int
    """Of the newest change; the next delta begins after it."""
    forgotten_version: int
    """A cursor whose version is lower has expired: deletions since are forgotten."""
    last_extract_at: float | None
    """When an extract was applied last; None: no data was ever received."""


class Collection(NamedTuple):
    """The size and version of one collection; there is none for a collection that was never received."""

    collection: str
    total: int
    version: int
    changed_at: float


class Record(NamedTuple):
    """One record; `data` is None once it is deleted."""

    id: str
    version: int
    data: str | None


Row = tuple[str, int, str | None]
"""A `Record` as the driver returns it: for a page, making named tuples would take as long as reading the rows."""

_RECORD: Final = (records.c.id, records.c.version, records.c.data)
_SCHOOL: Final = tuple(schools.c[name] for name in School._fields)
_COLLECTION: Final = tuple(collections.c[name] for name in Collection._fields)


def school(connection: Connection, estab_id: str) -> School | None:
    """The school, if anything of it is stored."""
    rows = _rows(connection, _school_statement, estab_id=estab_id)
    return School(*rows[0]) if rows else None


def school_and_collection(
    connection: Connection, estab_id: str, collection: str
) -> tuple[School, Collection | None] | None:
    """The school, if anything of it is stored, and how much there is of one of its collections."""
    rows = _rows(connection, _school_and_collection_statement, estab_id=estab_id, collection=collection)
    if not rows:
        return None
    of_school, of_collection = rows[0][: len(_SCHOOL)], rows[0][len(_SCHOOL) :]
    return School(*of_school), Collection(*of_collection) if of_collection[0] is not None else None


def all_collections(connection: Connection, school_id: int) -> dict[str, Collection]:
    """All collections of the school that were ever received, by name."""
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
) -> list[Row]:
    """At most `limit` records in the order of their ids, from the first after `after`; dates are inclusive."""
    filters = {"student": student, "date_from": date_from, "date_to": date_to}
    given = {name: value for name, value in filters.items() if value is not None}
    return _rows(
        connection, _page_statement, tuple(given), school_id=school_id, collection=collection, after=after, limit=limit,
        **given,
    )  # fmt: skip


def stream(
    connection: Connection,
    school_id: int,
    collection: str,
    *,
    student: str | None = None,
    date_from: str | None = None,
    date_to: str | None = None,
) -> Iterator[Record]:
    """All records in the same order, read in batches."""
    after = ""
    while rows := page(
        connection, school_id, collection, after=after, limit=STREAMED, student=student, date_from=date_from,
        date_to=date_to,
    ):  # fmt: skip
        yield from map(Record._make, rows)
        after = rows[-1][0]


def changes(connection: Connection, school_id: int, collection: str, *, since: int, limit: int) -> list[Record]:
    """At most `limit` records of a version higher than `since`, lowest first, with those deleted since."""
    rows = _rows(
        connection, _changes_statement, school_id=school_id, collection=collection, since=since, limit=limit
    )  # fmt: skip
    return list(map(Record._make, rows))


def find_record(connection: Connection, school_id: int, collection: str, record_id: str) -> Record | None:
    """The record, if it is there and not deleted."""
    rows = _rows(connection, _record_statement, school_id=school_id, collection=collection, id=record_id)
    return Record(*rows[0]) if rows else None


# Statements are compiled once for each kind of database, and rows are taken from the driver as they come: otherwise
# SQLAlchemy takes longer for a page than everything else together.


def _rows(
    connection: Connection, make: Callable[..., Select[Any]], variant: tuple[str, ...] = (), **values: Any
) -> list[Any]:
    """All rows of the statement that `make` makes of the variant, with these values."""
    text, names, constants = _compiled(make, variant, connection.dialect)
    given = constants | values
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text, [given[name] for name in names] if names else given)
        return list(cursor.fetchall())
    finally:
        cursor.close()


@cache
def _compiled(
    make: Callable[..., Select[Any]], variant: tuple[str, ...], dialect: Dialect
) -> tuple[str, tuple[str, ...], dict[str, Any]]:  # fmt: skip
    """The SQL, the names of its positional parameters in their order, and the parameters that already have a value."""
    compiled = make(*variant).compile(dialect=dialect)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), tuple(compiled.positiontup or ()), constants


def _school_statement() -> Select[Any]:
    return select(*_SCHOOL).where(schools.c.estab_id == bindparam("estab_id"))


def _school_and_collection_statement() -> Select[Any]:
    same = and_(collections.c.school_id == schools.c.id, collections.c.collection == bindparam("collection"))
    both = select(*_SCHOOL, *_COLLECTION).select_from(schools.outerjoin(collections, same))
    return both.where(schools.c.estab_id == bindparam("estab_id"))


def _page_statement(*filters: str) -> Select[Any]:
    conditions = {
        "student": records.c.student == bindparam("student"), "date_from": records.c.date >= bindparam("date_from"),
        "date_to": records.c.date <= bindparam("date_to"),
    }  # fmt: skip
    present = _of_collection().where(records.c.deleted_at.is_(None), records.c.id > bindparam("after"))
    filtered = present.where(*(conditions[name] for name in filters))
    return filtered.order_by(records.c.id).limit(bindparam("limit"))


def _changes_statement() -> Select[Any]:
    newer = _of_collection().where(records.c.version > bindparam("since"))
    return newer.order_by(records.c.version).limit(bindparam("limit"))


def _record_statement() -> Select[Any]:
    return _of_collection().where(records.c.deleted_at.is_(None), records.c.id == bindparam("id"))


def _of_collection() -> Select[Any]:
    is_collection = records.c.collection == bindparam("collection")
    return select(*_RECORD).where(records.c.school_id == bindparam("school_id"), is_collection)
