"""Statements run by PostgreSQL's own client library, prepared once for each connection.

psycopg's cursor converts a statement's text, looks for its plan and waits for the result in Python, each time that it
runs; for the short statements of busy paths that takes longer than all the rest. Values are written and read by
psycopg's adapters. What is used here is documented: `psycopg.pq`, which mirrors libpq, and `psycopg.adapt`.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Final, cast

import psycopg
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection, Engine, PoolProxiedConnection, event

_STATEMENTS_KEY: Final = "prepared statements"
_ROLLED_BACK: Final = "rolled back"
_NUMBERS: Final = itertools.count()
_SUCCEEDED: Final = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK})


class _PreparedStatement:
    """A statement that one connection has prepared under a name."""

    __slots__ = ("_adapters", "_formats", "_pgconn", "name")

    def __init__(self, driver: "psycopg.Connection[Any]", name: bytes, sql: str, parameters: int) -> None:
        self._pgconn, self.name = driver.pgconn, name
        self._adapters, self._formats = Transformer(driver), [PyFormat.TEXT] * parameters
        _check(self._pgconn.prepare(name, sql.encode()))

    def run(self, values: Sequence[Any]) -> tuple[Sequence[Any] | None, int]:
        """Run it: the first row or None, and how many rows it changed or returned."""
        parameters = cast("Sequence[bytes]", self._adapters.dump_sequence(values, self._formats))  # None is NULL
        result = _check(self._pgconn.exec_prepared(self.name, parameters))
        if not result.ntuples:
            return None, result.command_tuples or 0
        self._adapters.set_pgresult(result)
        return self._adapters.load_row(0, tuple), result.command_tuples or 0


def run(connection: Connection, sql: str, values: Sequence[Any]) -> tuple[Sequence[Any] | None, int]:
    """Run a statement with `$1` … for its values: the first row or None, and how many rows it changed or returned.

    The caller has begun a transaction where one is wanted. Raises psycopg's errors.
    """
    pooled = connection.connection
    statements: dict[str, _PreparedStatement] = pooled.info.setdefault(_STATEMENTS_KEY, {})
    if pooled.info.pop(_ROLLED_BACK, False):
        _forget_deallocated(pooled, statements)
    statement = statements.get(sql)
    if statement is None:
        statement = _PreparedStatement(_driver(pooled), b"idp_%d" % next(_NUMBERS), sql, len(values))
        statements[sql] = statement
    try:
        return statement.run(values)
    except errors.InvalidSqlStatementName:
        pooled.info[_ROLLED_BACK] = True
        raise
    except errors.FeatureNotSupported:  # its columns have another type since it was prepared
        del statements[sql]
        raise


def execute(connection: Connection, command: str) -> None:
    """Run a command without values, such as BEGIN. Raises psycopg's errors."""
    _check(_driver(connection.connection).pgconn.exec_(command.encode()))


def note_rollbacks(engine: Engine) -> None:
    """Have `run` check, after each rollback, which statements the connection still has: psycopg may deallocate all.

    It does so only if it has prepared some itself, because those may name tables that the transaction had created.
    """

    def note(connection: Connection, *_savepoint: object) -> None:
        if not connection.invalidated:
            pooled = connection.connection
            if _driver(pooled).pgconn.transaction_status != TransactionStatus.IDLE:
                pooled.info[_ROLLED_BACK] = True

    for name in ("rollback", "rollback_savepoint"):
        event.listen(engine, name, note)


def _forget_deallocated(pooled: PoolProxiedConnection, statements: dict[str, _PreparedStatement]) -> None:
    """Forget the statements that the database no longer has."""
    result = _check(_driver(pooled).pgconn.exec_(b"SELECT name FROM pg_prepared_statements"))
    names = {result.get_value(row, 0) for row in range(result.ntuples)}
    for sql in [sql for sql, statement in statements.items() if statement.name not in names]:
        del statements[sql]


def _driver(pooled: PoolProxiedConnection) -> "psycopg.Connection[Any]":
    return cast("psycopg.Connection[Any]", pooled.driver_connection)


def _check(result: PGresult) -> PGresult:
    """The result, if it is a success. Otherwise raises psycopg's error for its SQLSTATE, `DatabaseError` if unknown."""
    if result.status in _SUCCEEDED:
        return result
    if result.error_field(DiagnosticField.SQLSTATE):
        raise errors.error_from_result(result)
    raise psycopg.OperationalError(result.get_error_message(), info=result)  # libpq's own: the connection is lost
