"""Read what is stored about one school, for the views that serve it.

Data is the stored JSON with all members: `fields` filters it.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Dialect,
    LargeBinary,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from clients.xporter.snapshots import Snapshot
from clients.xporter.tables import collections, records, schools

FETCH_SIZE: Final = 500
"""How many records are fetched at a time when all of a collection are read."""


class School(NamedTuple):
    """A school of which an extract was announced or applied."""

    id: int
    estab_id: str
    epoch: str
    """The key of the school's cursors; a new one after everything of the school was deleted."""
    mis: str | None
    version: int
    """The version of the newest change; the next delta begins after it."""
    forgotten_version: int
    """A cursor whose version is lower has expired: deletions since are forgotten."""
    last_extract_at: float | None
    """When an extract was last applied; None if no data was ever received."""


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
    """Records by column, each made one value by the database: to read a row for each takes half as long again."""

    ids: Sequence[str]
    versions: Sequence[int]
    """Only of changes."""
    data: bytes
    """A JSON array of the data of all; null for those that are deleted."""


def school(snapshot: Snapshot, estab_id: str) -> School | None:
    """The school, if anything of it is stored."""
    rows = _rows(snapshot, _school_statement, estab_id=estab_id)
    return School(*rows[0]) if rows else None


def school_and_collection(
    snapshot: Snapshot, estab_id: str, collection: str
) -> tuple[School, Collection | None] | None:
    """The school, if anything of it is stored, and how much there is of one of its collections."""
    rows = _rows(snapshot, _school_and_collection_statement, estab_id=estab_id, collection=collection)
    if not rows:
        return None
    return _state(rows[0])


def school_and_collections(snapshot: Snapshot, estab_id: str) -> tuple[School | None, dict[str, Collection]]:
    """The school, if anything of it is stored, and its `all_collections`; in one statement."""
    states = [_state(row) for row in _rows(snapshot, _school_and_collections_statement, estab_id=estab_id)]
    return states[0][0] if states else None, {state.collection: state for _, state in states if state}


def all_collections(snapshot: Snapshot, school_id: int) -> dict[str, Collection]:
    """All collections of the school that were ever received, by name."""
    rows = _rows(snapshot, _all_collections_statement, school_id=school_id)
    return {row[0]: Collection(*row) for row in rows}


def page_of_school(
    snapshot: Snapshot,
    estab_id: str,
    collection: str,
    *,
    limit: int,
    after: str | None = None,
    since: int = 0,
    **filters: str | None,
) -> tuple[School, Collection | None, Rows] | None:
    """`school_and_collection` with a page: the `changes` since a version, or with `after` a `page` of the records.

    It is one statement, because each takes as long as many records.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    bounds = {"since": since} if after is None else {"after": after, **given}
    build = _changes_of_school_statement if after is None else _page_of_school_statement
    [row] = _rows(snapshot, build, tuple(given), estab_id=estab_id, collection=collection, limit=limit, **bounds)
    *state, ids, versions, data = row
    if state[0] is None:
        return None
    return *_state(state), _by_columns(ids, versions, data)


def page(
    snapshot: Snapshot,
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
        snapshot, _page_statement, tuple(given), school_id=school_id, collection=collection, after=after, limit=limit,
        **given,
    )  # fmt: skip
    return _by_columns(*rows[0])


def pages(snapshot: Snapshot, school_id: int, collection: str, **filters: str | None) -> Iterator[Rows]:
    """All records in the same order, read in batches."""
    after = ""
    while (rows := page(snapshot, school_id, collection, after=after, limit=FETCH_SIZE, **filters)).ids:
        yield rows
        after = rows.ids[-1]


def record_of_school(
    snapshot: Snapshot, estab_id: str, collection: str, record_id: str
) -> tuple[School, Collection | None, Record | None] | None:
    """`school_and_collection` with one record, if it is there and not deleted; in one statement."""
    rows = _rows(snapshot, _record_of_school_statement, estab_id=estab_id, collection=collection, id=record_id)
    if not rows:
        return None
    *state, found_id, version, data = rows[0]
    return *_state(state), Record(found_id, version, data) if found_id is not None else None


# Statements are compiled once for each kind of database, and rows are taken from the driver as they come: otherwise
# SQLAlchemy takes longer for a page than everything else together.


def _rows(
    snapshot: Snapshot, make: Callable[..., Select[Any]], variant: tuple[str, ...] = (), **values: Any
) -> list[Any]:
    """All rows of the statement that `make` builds for this variant, with these values."""
    sql, names, constants = _compiled(make, variant, snapshot.dialect)
    given = constants | values
    return snapshot.rows(sql, [given[name] for name in names])


def _state(columns: Sequence[Any]) -> tuple[School, Collection | None]:
    school_columns, collection_columns = columns[: len(_SCHOOL)], columns[len(_SCHOOL) :]
    return School(*school_columns), Collection(*collection_columns) if collection_columns[0] is not None else None


def _by_columns(ids: str | None, versions: str | None, data: bytes | None) -> Rows:
    numbers = [int(version) for version in versions.split(",")] if versions else ()
    return Rows(ids.split(",") if ids else (), numbers, b"".join((b"[", data or b"", b"]")))


@cache
def _compiled(
    make: Callable[..., Select[Any]], variant: tuple[str, ...], dialect: Dialect
) -> tuple[str, Sequence[str], dict[str, Any]]:
    """The SQL, the names of its parameters in their order, and those that already have a value."""
    compiled = make(*variant).compile(dialect=dialect)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), compiled.positiontup or (), constants


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


class _Joined(FunctionElement[str]):
    """The texts of all rows with a comma, which is in no id of ours, between each two."""

    inherit_cache = True
    type = Text()


@compiles(_Joined, "sqlite")
def _joined_in_sqlite(element: _Joined, compiler: Any, **how: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **how)})"


@compiles(_Joined, "postgresql")
def _joined_in_postgresql(element: _Joined, compiler: Any, **how: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **how)}, ',')"


_SCHOOL: Final = tuple(schools.c[name] for name in School._fields)
_COLLECTION: Final = tuple(collections.c[name] for name in Collection._fields)
_IS_COLLECTION: Final = and_(
    collections.c.school_id == schools.c.id, collections.c.collection == bindparam("collection")
)  # fmt: skip
_SCHOOL_ID: Final = select(schools.c.id).where(schools.c.estab_id == bindparam("estab_id")).scalar_subquery()


def _school_statement() -> Select[Any]:
    return select(*_SCHOOL).where(schools.c.estab_id == bindparam("estab_id"))


def _all_collections_statement() -> Select[Any]:
    return select(*_COLLECTION).where(collections.c.school_id == bindparam("school_id"))


def _school_and_collections_statement() -> Select[Any]:
    every = schools.outerjoin(collections, collections.c.school_id == schools.c.id)
    return select(*_SCHOOL, *_COLLECTION).select_from(every).where(schools.c.estab_id == bindparam("estab_id"))


def _school_and_collection_statement() -> Select[Any]:
    both = select(*_SCHOOL, *_COLLECTION).select_from(schools.outerjoin(collections, _IS_COLLECTION))
    return both.where(schools.c.estab_id == bindparam("estab_id"))


def _page_statement(*filters: str) -> Select[Any]:
    return _columns(_page(bindparam("school_id"), *filters), with_versions=False)


def _page_of_school_statement(*filters: str) -> Select[Any]:
    return _with_state(_columns(_page(_SCHOOL_ID, *filters), with_versions=False))


def _changes_of_school_statement() -> Select[Any]:
    newer = _in_collection(_SCHOOL_ID).where(records.c.version > bindparam("since"))
    return _with_state(_columns(newer.order_by(records.c.version).limit(bindparam("limit")), with_versions=True))


def _record_of_school_statement() -> Select[Any]:
    is_record = and_(
        records.c.school_id == schools.c.id, records.c.collection == bindparam("collection"),
        records.c.id == bindparam("id"), records.c.deleted_at.is_(None),
    )  # fmt: skip
    both = _school_and_collection_statement().outerjoin(records, is_record)
    return both.add_columns(records.c.id, records.c.version, _Utf8(records.c.data))


def _page(school_id: ColumnElement[int], *filters: str) -> Select[Any]:
    conditions = {
        "student": records.c.student == bindparam("student"), "date_from": records.c.date >= bindparam("date_from"),
        "date_to": records.c.date <= bindparam("date_to"),
    }  # fmt: skip
    present = _in_collection(school_id).where(records.c.deleted_at.is_(None), records.c.id > bindparam("after"))
    filtered = present.where(*(conditions[name] for name in filters))
    return filtered.order_by(records.c.id).limit(bindparam("limit"))


def _in_collection(school_id: ColumnElement[int]) -> Select[Any]:
    is_collection = records.c.collection == bindparam("collection")
    return select(records.c.id, records.c.version, records.c.data).where(
        records.c.school_id == school_id, is_collection
    )


def _columns(page: Select[Any], *, with_versions: bool) -> Select[Any]:
    """One row with the columns of the page, each as one value, in the order of its rows.

    Both databases join the rows of a subquery with a limit in the order in which it has them.
    """
    rows = page.subquery("page")
    versions = _Joined(cast(rows.c.version, Text)) if with_versions else null()
    data = _Joined(func.coalesce(rows.c.data, literal_column("'null'")))
    columns: list[ColumnElement[Any]] = [_Joined(rows.c.id), versions, _Utf8(data)]
    return select(*(column.label(name) for name, column in zip(Rows._fields, columns, strict=True)))


def _with_state(columns: Select[Any]) -> Select[Any]:
    """The same row behind the school and the collection; their columns are null where there are none.

    SQLite would copy the page once more, were it not the left side of an outer join.
    """
    of_page = columns.subquery("columns")
    is_school = schools.c.estab_id == bindparam("estab_id")
    all_of_it = of_page.outerjoin(schools, is_school).outerjoin(collections, _IS_COLLECTION)
    return select(*_SCHOOL, *_COLLECTION, *of_page.c).select_from(all_of_it)
