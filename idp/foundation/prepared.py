"""Statements on busy paths: compiled once, then handed straight to the database's driver.

SQLAlchemy says what a statement is and how its values are written and read; running one through it takes three
times as long as the driver does (docs/figures.md). The connection and its transaction are the request's own.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update
from sqlalchemy.exc import DBAPIError

from idp.foundation.database import connection

Statement = Select[Any] | Insert | Update | Delete
Processor = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in the words of one kind of database."""

    sql: str
    order: tuple[str, ...] | None
    """The names of its parameters by position; None where the driver takes them by name."""
    fixed: Mapping[str, Any]
    """Values that stand in the statement itself."""
    write: Mapping[str, Processor]
    read: tuple[tuple[int, Processor], ...]
    row: Callable[[list[Any]], Any]
    gives_rows: bool

    def bound(self, values: dict[str, Any]) -> Any:
        """`values` as the driver takes them."""
        if self.fixed:
            values.update(self.fixed)
        for name, process in self.write.items():
            values[name] = process(values[name])
        return values if self.order is None else [values[name] for name in self.order]

    def to_row(self, fetched: Any) -> Any:
        """A named tuple made from a row of the driver."""
        values = list(fetched)
        for place, process in self.read:
            values[place] = process(values[place])
        return self.row(values)


class Prepared:
    """A Core statement, or what makes one for a database of the given name, all of whose values are bound by name."""

    def __init__(self, statement: Statement | Callable[[str], Statement]) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def one(self, **values: Any) -> Any:
        """Run it; the first row it gives, whose fields are its columns, or None. At most one can match."""
        compiled, found, _ = self._run(values)
        return None if found is None else compiled.to_row(found)

    def run(self, **values: Any) -> int:
        """Run it; how many rows it changed."""
        return self._run(values)[2]

    def _run(self, values: dict[str, Any]) -> tuple[_Compiled, Any, int]:
        here = connection()
        dialect = here.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            made = self._statement(dialect.name) if callable(self._statement) else self._statement
            compiled = self._compiled[dialect.name] = _compile(made, dialect)
        if not here.in_transaction() and "autocommit" not in here.get_execution_options():
            here.begin()
        bound = compiled.bound(values)
        cursor = here.connection.cursor()
        if here.dispatch.before_cursor_execute:  # for listeners to SQLAlchemy's statement events
            here.dispatch.before_cursor_execute(here, cursor, compiled.sql, bound, None, False)
        try:
            cursor.execute(compiled.sql, bound)
            found = cursor.fetchone() if compiled.gives_rows else None  # SQLite may keep what it has done only here
        except dialect.loaded_dbapi.Error as fault:
            raise _wrap_driver_error(fault, compiled.sql, here) from fault
        else:
            return compiled, found, cursor.rowcount
        finally:
            cursor.close()


def _wrap_driver_error(fault: Exception, sql: str, here: Connection) -> BaseException:
    """The driver's error as SQLAlchemy's `DBAPIError`, without the bound values.

    When a connection was lost, its whole pool is invalidated: a restarted database has closed all of them.
    """
    lost = here.dialect.is_disconnect(fault, here.connection.dbapi_connection, None)  # type: ignore[arg-type]
    if lost:
        here.engine.pool._invalidate(here.connection, fault)  # noqa: SLF001  as SQLAlchemy does
        here.invalidate(fault)
    return DBAPIError.instance(
        sql, None, fault, here.dialect.loaded_dbapi.Error, hide_parameters=True, connection_invalidated=lost,
        dialect=here.dialect,
    )  # fmt: skip


def _compile(statement: Statement, dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    binds = {name: bind for bind, name in compiled.bind_names.items()}
    columns = list(statement.exported_columns)
    row: Any = namedtuple("Row", [column.name for column in columns])  # type: ignore[misc]  # noqa: PYI024
    return _Compiled(
        sql=str(compiled),
        order=tuple(compiled.positiontup or ()) if compiled.positional else None,
        fixed={name: bind.effective_value for name, bind in binds.items() if not bind.required},
        write={
            name: process
            for name, bind in binds.items()
            if (process := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        },
        read=tuple(
            (place, process)
            for place, column in enumerate(columns)
            if (process := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        ),
        row=row._make,
        gives_rows=bool(columns),
    )
