"""Statements run by PostgreSQL's own client library, prepared once for each connection.

psycopg's cursor converts a statement's text, looks for its plan and waits for the answer in Python, each time that it
runs; for the short statements of busy paths that takes longer than all the rest. Values are written and read by
psycopg's adapters. What is used here is documented: `psycopg.pq`, which mirrors libpq, and `psycopg.adapt`.
"""

from collections.abc import Sequence
from typing import Any, Final, cast

import psycopg
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection, Engine, PoolProxiedConnection, event

_KEY: Final = "prepared statements"
_SUCCEEDED: Final = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK})


class _PreparedStatement:
    """A statement that one connection has prepared under a name."""

    __slots__ = ("_adapters", "_formats", "_name", "_pgconn")

    def __init__(self, driver: "psycopg.Connection[Any]", name: bytes, sql: str, parameters: int) -> None:
        self._pgconn, self._name = driver.pgconn, name
        self._adapters, self._formats = Transformer(driver), [PyFormat.TEXT] * parameters
        _check(self._pgconn.prepare(name, sql.encode()))

    def run(self, values: Sequence[Any]) -> tuple[Sequence[Any] | None, int]:
        """Its first row or None, and how many rows it changed or returned."""
        parameters = cast("Sequence[bytes]", self._adapters.dump_sequence(values, self._formats))  # None is NULL
        result = _check(self._pgconn.exec_prepared(self._name, parameters))
        if not result.ntuples:
            return None, result.command_tuples or 0
        self._adapters.set_pgresult(result)
        return self._adapters.load_row(0, tuple), result.command_tuples or 0


def run(connection: Connection, sql: str, values: Sequence[Any]) -> tuple[Sequence[Any] | None, int]:
    """Run a statement with `$1` … for its values: the first row or None, and how many rows it changed or returned.

    The caller has begun a transaction where one is wanted. Raises psycopg's errors.
    """
    pooled = connection.connection
    statements: dict[str, _PreparedStatement] | None = pooled.info.get(_KEY)
    if statements is None:
        statements = pooled.info[_KEY] = _begin(pooled)
    statement = statements.get(sql)
    if statement is None:
        statement = _PreparedStatement(_driver(pooled), b"idp_%d" % len(statements), sql, len(values))
        statements[sql] = statement
    try:
        return statement.run(values)
    except errors.InvalidSqlStatementName:
        del pooled.info[_KEY]
        raise


def execute(connection: Connection, command: str) -> None:
    """Run a command without values, such as BEGIN. Raises psycopg's errors."""
    _check(_driver(connection.connection).pgconn.exec_(command.encode()))


def forget_at_rollback(engine: Engine) -> None:
    """Prepare all statements of a connection anew after a rollback, because psycopg then deallocates them.

    It does so for the sake of its own, which may name tables that the transaction had created.
    """

    def forget(connection: Connection, *_savepoint: object) -> None:
        if not connection.invalidated:
            pooled = connection.connection
            if _driver(pooled).pgconn.transaction_status != TransactionStatus.IDLE:
                pooled.info.pop(_KEY, None)

    for name in ("rollback", "rollback_savepoint"):
        event.listen(engine, name, forget)


def _begin(pooled: PoolProxiedConnection) -> dict[str, _PreparedStatement]:
    """No statements, in the database either: whether psycopg has deallocated them depends on what it had prepared."""
    _driver(pooled).execute("DEALLOCATE ALL")
    return {}


def _driver(pooled: PoolProxiedConnection) -> "psycopg.Connection[Any]":
    return cast("psycopg.Connection[Any]", pooled.driver_connection)


def _check(result: PGresult) -> PGresult:
    """The result itself. Raises the error that it is, of psycopg's class for its SQLSTATE."""
    if result.status in _SUCCEEDED:
        return result
    state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode("ascii")
    error = errors.lookup(state) if state else psycopg.OperationalError
    raise error(result.get_error_message(), info=result)
