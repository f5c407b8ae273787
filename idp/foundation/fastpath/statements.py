"""Statements on busy paths: compiled once, then handed straight to the database's driver.

SQLAlchemy defines what a statement is and how its values are written and read; running one through it takes three
times as long as the driver does (docs/figures.md). The connection and its transaction are the request's own. A SELECT
is part of a transaction that has begun, and begins none: under READ COMMITTED each statement sees what is committed
when it starts, in a transaction or not. Where anything listens to SQLAlchemy's cursor events or errors, SQLAlchemy runs
the statement, so that its listeners get every event.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update

from idp.foundation import database
from idp.foundation.fastpath import libpq, rows
from idp.foundation.fastpath.rows import RowT

Core = Select[Any] | Insert | Update | Delete
Source = Core | Callable[[str], Core]
"""A Core statement, or what makes one for a database of the given name, all of whose values are bound by name."""
Processor = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement compiled for one kind of database."""

    core: Core
    only_reads: bool
    """Whether it is a SELECT, and so needs no transaction."""
    sql: str
    order: tuple[str, ...]
    """The names of its parameters by position."""
    fixed: Mapping[str, Any]
    """Values that are part of the statement."""
    write: Mapping[str, Processor]
    read: tuple[tuple[int, Processor], ...]

    def bound(self, values: dict[str, Any]) -> list[Any]:
        """`values` as the driver takes them."""
        if self.fixed:
            values.update(self.fixed)
        for name, process in self.write.items():
            values[name] = process(values[name])
        return [values[name] for name in self.order]

    def to_python(self, fetched: Sequence[Any]) -> list[Any]:
        """The values of a row of the driver."""
        values = list(fetched)
        for index, process in self.read:
            values[index] = process(values[index])
        return values


class _Prepared:
    """The common base of both kinds of statement."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._compiled: dict[str, _Compiled] = {}
        if not callable(source):
            self._check(source)

    def _check(self, core: Core) -> None:
        """Raise `TypeError` where the columns of the statement are not those that were declared."""
        raise NotImplementedError

    def _run(self, values: dict[str, Any]) -> tuple[Sequence[Any] | None, int]:
        """Run it: the values of the first row, and how many rows it changed."""
        connection = database.connection()
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name) or self._compile(dialect)
        if _has_listeners(connection):
            return _run_by_sqlalchemy(connection, compiled, values)
        if not (compiled.only_reads or connection.in_transaction() or _is_autocommit(connection)):
            connection.begin()
        run = libpq.run if dialect.name == "postgresql" else _run_by_cursor
        try:
            fetched, count = run(connection, compiled.sql, compiled.bound(values))
        except dialect.loaded_dbapi.Error as error:
            raise database.wrap_driver_error(error, compiled.sql, connection) from error
        return None if fetched is None else compiled.to_python(fetched), count

    def _compile(self, dialect: Dialect) -> _Compiled:
        core = self._source
        if callable(core):
            core = core(dialect.name)
            self._check(core)
        compiled = self._compiled[dialect.name] = _compile(core, dialect)
        return compiled


class Statement(_Prepared, Generic[RowT]):
    """A statement that returns rows of the type `row`, which has its columns (`rows`)."""

    def __init__(self, row: type[RowT], source: Source) -> None:
        self._row, self._make = row, rows.maker(row)
        super().__init__(source)

    def one(self, **values: Any) -> RowT | None:
        """Run it; returns the first row, or None. At most one row can match."""
        row = self._run(values)[0]
        return None if row is None else self._make(row)

    def _check(self, core: Core) -> None:
        rows.check(self._row, list(core.exported_columns))


class WriteStatement(_Prepared):
    """A statement that changes rows and returns none."""

    def run(self, **values: Any) -> int:
        """Run it; returns the number of changed rows."""
        return self._run(values)[1]

    def _check(self, core: Core) -> None:
        if columns := list(core.exported_columns):
            raise TypeError(f"the statement gives {', '.join(column.name for column in columns)}, and has no row type")


def _is_autocommit(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("autocommit"))


def _has_listeners(connection: Connection) -> bool:
    """Whether anything listens to statements or their errors, on the engine or on all engines.

    These three events are those that instrumentation uses. Others (`before_execute`, `do_execute`), and listeners on
    a single connection, are not sent where nothing listens to one of them: to look at a connection's own would cost
    four times as much as the engine's, for each request.
    """
    events = connection.engine.dispatch
    return bool(events.before_cursor_execute or events.after_cursor_execute or connection.dialect.dispatch.handle_error)


def _run_by_sqlalchemy(
    connection: Connection, compiled: _Compiled, values: dict[str, Any]
) -> tuple[Sequence[Any] | None, int]:
    result = connection.execute(compiled.core, values, execution_options={"preserve_rowcount": True})
    return (result.first(), -1) if result.returns_rows else (None, result.rowcount)


def _run_by_cursor(connection: Connection, sql: str, values: list[Any]) -> tuple[Sequence[Any] | None, int]:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, values)
        row = cursor.fetchone() if cursor.description else None  # SQLite completes it only then
        return row, cursor.rowcount
    finally:
        cursor.close()


def _numbered(dialect: Dialect) -> Dialect:
    """A dialect like this one that writes `$1` for the first value, as PostgreSQL does."""
    make: Callable[..., Dialect] = type(dialect)
    return make(paramstyle="numeric_dollar")


def _compile(core: Core, dialect: Dialect) -> _Compiled:
    """Compile `core`; for PostgreSQL, with the placeholders of its client library."""
    if dialect.name == "postgresql":
        dialect = _numbered(dialect)
    compiled = core.compile(dialect=dialect)
    if (only_reads := isinstance(core, Select)) and " FOR " in str(compiled):
        raise TypeError("a statement that locks rows needs a transaction: use database.lock")
    binds = {name: bind for bind, name in compiled.bind_names.items()}
    columns = list(core.exported_columns)
    return _Compiled(
        core=core,
        only_reads=only_reads,
        sql=str(compiled),
        order=tuple(compiled.positiontup or ()),
        fixed={name: bind.effective_value for name, bind in binds.items() if not bind.required},
        write={
            name: process
            for name, bind in binds.items()
            if (process := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        },
        read=tuple(
            (index, process)
            for index, column in enumerate(columns)
            if (process := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        ),
    )
