"""Reads what is stored about one school, for the views that serve it.

Every function takes a `Database.snapshot()` or the connection of a `Database.read()`, which read one snapshot. Data
is the stored JSON with all members: `fields` filters it.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Connection, Dialect, LargeBinary, Select, and_, bindparam, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from clients.xporter.database import Snapshot
from clients.xporter.tables import collections, records, schools

FETCH_SIZE: Final = 500
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
    data: bytes | None


class Rows(NamedTuple):
    """Records by column: a named tuple for each record would take as long as reading the rows."""

    ids: Sequence[str]
    versions: Sequence[int]
    data: bytes
    """A JSON array of the data of all; null for those that are deleted."""


Transaction: TypeAlias = Connection | Snapshot


def school(connection: Transaction, estab_id: str) -> School | None:
    """The school, if anything of it is stored."""
    rows = _rows(connection, _school_statement, estab_id=estab_id)
    return School(*rows[0]) if rows else None


def school_and_collection(
    connection: Transaction, estab_id: str, collection: str
) -> tuple[School, Collection | None] | None:
    """The school, if anything of it is stored, and how much there is of one of its collections."""
    rows = _rows(connection, _school_and_collection_statement, estab_id=estab_id, collection=collection)
    if not rows:
        return None
    return _state(rows[0])


def all_collections(connection: Transaction, school_id: int) -> dict[str, Collection]:
    """All collections of the school that were ever received, by name."""
    rows = _rows(connection, _all_collections_statement, school_id=school_id)
    return {row[0]: Collection(*row) for row in rows}


def page_of_school(
    connection: Transaction,
    estab_id: str,
    collection: str,
    *,
    limit: int,
    after: str | None = None,
    since: int = 0,
    **filters: str | None,
) -> tuple[School, Collection | None, Rows] | None:
    """`school_and_collection` with a page: the `changes` since a version, or with `after` a `page` of the records.

    On PostgreSQL it is one statement, because each takes as long as the records of a page.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    given = {name: value for name, value in filters.items() if value is not None}
    place = {"since": since} if after is None else {"after": after, **given}
    page_statement = _changes_statement if after is None else _page_statement
    if is_sqlite:
        state = school_and_collection(connection, estab_id, collection)
        if state is None:
            return None
        rows = _rows(
            connection, page_statement, tuple(given), school_id=state[0].id, collection=collection, limit=limit, **place
        )  # fmt: skip
        return *state, _by_columns(rows)
    make = _changes_of_school_statement if after is None else _page_of_school_statement
    rows = _rows(connection, make, tuple(given), estab_id=estab_id, collection=collection, limit=limit, **place)
    if not rows:
        return None
    *state_columns, ids, versions, data = rows[0]
    return *_state(state_columns), Rows(ids or (), versions or (), b"[" + (data or b"") + b"]")


def page(
    connection: Transaction,
    school_id: int,
    collection: str,
    *,
    after: str = "",
    limit: int,
    student: str | None = None,
    date_from: str | None = None,
    date_to: str | None = None,
) -> Rows:
    """At most `limit` records in the order of their ids, from the first after `after`; dates are inclusive."""
    filters = {"student": student, "date_from": date_from, "date_to": date_to}
    given = {name: value for name, value in filters.items() if value is not None}
    rows = _rows(
        connection, _page_statement, tuple(given), school_id=school_id, collection=collection, after=after, limit=limit,
        **given,
    )  # fmt: skip
    return _by_columns(rows)


def pages(connection: Transaction, school_id: int, collection: str, **filters: str | None) -> Iterator[Rows]:
    """All records in the same order, read in batches."""
    after = ""
    while (rows := page(connection, school_id, collection, after=after, limit=FETCH_SIZE, **filters)).ids:
        yield rows
        after = rows.ids[-1]


def find_record(connection: Transaction, school_id: int, collection: str, record_id: str) -> Record | None:
    """The record, if it is there and not deleted."""
    rows = _rows(connection, _record_statement, school_id=school_id, collection=collection, id=record_id)
    return Record(*rows[0]) if rows else None


# Statements are compiled once for each kind of database, and rows are taken from the driver as they come: otherwise
# SQLAlchemy takes longer for a page than everything else together.


def _rows(
    connection: Transaction, make: Callable[..., Select[Any]], variant: tuple[str, ...] = (), **values: Any
) -> list[Any]:
    """All rows of the statement that `make` makes of the variant, with these values."""
    text, names, constants = _compiled(make, variant, connection.dialect)
    given = constants | values
    cursor: Any = connection.connection.cursor()
    try:
        if names:
            cursor.execute(text, [given[name] for name in names])
        else:
            cursor.execute(text, given, binary=True)
        return list(cursor.fetchall())
    finally:
        cursor.close()


def _state(columns: Sequence[Any]) -> tuple[School, Collection | None]:
    school_columns, collection_columns = columns[: len(_SCHOOL)], columns[len(_SCHOOL) :]
    return School(*school_columns), Collection(*collection_columns) if collection_columns[0] is not None else None


def _by_columns(rows: Sequence[tuple[str, int, bytes | None]]) -> Rows:
    if not rows:
        return Rows((), (), b"[]")
    ids, versions, data = zip(*rows, strict=True)
    return Rows(ids, versions, b"[" + b",".join([text or b"null" for text in data]) + b"]")


@cache
def _compiled(
    make: Callable[..., Select[Any]], variant: tuple[str, ...], dialect: Dialect
) -> tuple[str, tuple[str, ...], dict[str, Any]]:  # fmt: skip
    """The SQL, the names of its positional parameters in their order, and the parameters that already have a value."""
    compiled = make(*variant).compile(dialect=dialect)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), tuple(compiled.positiontup or ()), constants


class _Utf8(FunctionElement[bytes]):
    """A text as UTF-8: to decode it and encode it again is slow where it has letters like ë."""

    inherit_cache = True
    type = LargeBinary()


@compiles(_Utf8, "sqlite")
def _in_sqlite(element: _Utf8, compiler: Any, **how: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **how)} AS BLOB)"


@compiles(_Utf8, "postgresql")
def _in_postgresql(element: _Utf8, compiler: Any, **how: Any) -> str:
    return f"convert_to({compiler.process(element.clauses, **how)}, 'UTF8')"


_SCHOOL: Final = tuple(schools.c[name] for name in School._fields)
_COLLECTION: Final = tuple(collections.c[name] for name in Collection._fields)


def _school_statement() -> Select[Any]:
    return select(*_SCHOOL).where(schools.c.estab_id == bindparam("estab_id"))


def _all_collections_statement() -> Select[Any]:
    return select(*_COLLECTION).where(collections.c.school_id == bindparam("school_id"))


def _school_and_collection_statement() -> Select[Any]:
    same = and_(collections.c.school_id == schools.c.id, collections.c.collection == bindparam("collection"))
    both = select(*_SCHOOL, *_COLLECTION).select_from(schools.outerjoin(collections, same))
    return both.where(schools.c.estab_id == bindparam("estab_id"))


def _page_statement(*filters: str) -> Select[Any]:
    return _page(bindparam("school_id"), _Utf8(records.c.data), *filters)


def _changes_statement() -> Select[Any]:
    return _changes(bindparam("school_id"), _Utf8(records.c.data))


def _page_of_school_statement(*filters: str) -> Select[Any]:
    return _with_state(_page(schools.c.id, records.c.data, *filters), "id")


def _changes_of_school_statement() -> Select[Any]:
    return _with_state(_changes(schools.c.id, records.c.data), "version")


def _record_statement() -> Select[Any]:
    present = _in_collection(bindparam("school_id"), _Utf8(records.c.data)).where(records.c.deleted_at.is_(None))
    return present.where(records.c.id == bindparam("id"))


def _page(school_id: Any, data: Any, *filters: str) -> Select[Any]:
    conditions = {
        "student": records.c.student == bindparam("student"), "date_from": records.c.date >= bindparam("date_from"),
        "date_to": records.c.date <= bindparam("date_to"),
    }  # fmt: skip
    present = _in_collection(school_id, data).where(records.c.deleted_at.is_(None), records.c.id > bindparam("after"))
    filtered = present.where(*(conditions[name] for name in filters))
    return filtered.order_by(records.c.id).limit(bindparam("limit"))


def _changes(school_id: Any, data: Any) -> Select[Any]:
    newer = _in_collection(school_id, data).where(records.c.version > bindparam("since"))
    return newer.order_by(records.c.version).limit(bindparam("limit"))


def _in_collection(school_id: Any, data: Any) -> Select[Any]:
    is_collection = records.c.collection == bindparam("collection")
    return select(records.c.id, records.c.version, data.label("data")).where(
        records.c.school_id == school_id, is_collection
    )


def _with_state(page: Select[Any], order: str) -> Select[Any]:
    """A row with the school, the collection, and the columns of the page, each as one value."""
    rows = page.correlate(schools).subquery("page").lateral()
    by = rows.c[order]
    ids, versions = (func.array_agg(aggregate_order_by(rows.c[name], by)) for name in ("id", "version"))
    data = func.string_agg(func.coalesce(rows.c.data, "null"), aggregate_order_by(literal_column("','"), by))
    columns = select(ids.label("ids"), versions.label("versions"), _Utf8(data).label("data")).lateral("columns")
    both = _school_and_collection_statement()
    return both.add_columns(columns.c.ids, columns.c.versions, columns.c.data).join(columns, true())
