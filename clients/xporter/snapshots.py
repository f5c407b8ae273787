"""Connections of the driver for partners' reads, without SQLAlchemy, whose pool takes as long as a record.

Where a snapshot is of one statement, no transaction is begun: a statement by itself reads one snapshot, and on
PostgreSQL each round trip takes as long as an empty view.
"""

import select
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Final, Protocol

import psycopg
from psycopg import errors
from psycopg.adapt import Transformer
from psycopg.pq import DiagnosticField, ExecStatus, Format
from psycopg.pq.abc import PGresult
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

MAX_SNAPSHOTS = 40
"""How many snapshots are in use at once; further ones wait."""
MAX_WAIT_SECONDS = 5
"""How long a snapshot waits until another is no longer in use."""


class TooManySnapshots(Exception):
    """All connections for snapshots were in use for too long."""


class Snapshot(Protocol):
    """A connection on which all statements see the data of one moment."""

    @property
    def dialect(self) -> Dialect:
        """What compiles statements for `rows`."""

    def rows(self, sql: str, values: Sequence[str | int]) -> list[Any]:
        """All rows of a statement with these values for its parameters."""

    def begin(self) -> None:
        """Begin a transaction that reads."""

    def end(self) -> None:
        """End the transaction."""

    def is_usable(self) -> bool:
        """Whether the connection can be used again."""

    def close(self) -> None:
        """Close the connection."""


class SqliteSnapshot:
    """A connection to a SQLite file."""

    dialect: ClassVar[Dialect] = SQLiteDialect(paramstyle="qmark")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection, self.close = connection, connection.close

    def rows(self, sql: str, values: Sequence[str | int]) -> list[Any]:
        """All rows of a statement with `?` for its parameters."""
        return self._connection.execute(sql, values).fetchall()

    def begin(self) -> None:
        """Begin a transaction that reads."""
        self._connection.execute("BEGIN")

    def end(self) -> None:
        """End the transaction."""
        self._connection.execute("ROLLBACK")

    def is_usable(self) -> bool:
        """Whether the connection can be used again: a file does not go away."""
        return True


class PostgresqlSnapshot:
    """A connection to PostgreSQL, by `psycopg.pq`, psycopg's interface to PostgreSQL's own client library.

    psycopg's cursor converts the text of a statement, looks for its plan and waits for each piece of the result in
    Python, each time that it runs: for a page that took 1.4 times a bare view longer than this.
    """

    dialect: ClassVar[Dialect] = PGDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection, self._server, self.close = connection, connection.pgconn, connection.close
        self._prepared: dict[str, bytes] = {}
        """The names of statements."""
        self._adapters = Transformer(connection)
        self._arrived = select.poll()
        self._arrived.register(connection.fileno(), select.POLLIN)

    def rows(self, sql: str, values: Sequence[str | int]) -> list[Any]:
        """All rows of a statement with `$1` and so on for its parameters. Raises `psycopg.Error`."""
        if (name := self._prepared.get(sql)) is None:
            name = b"read_%d" % len(self._prepared)
            _check(self._server.prepare(name, sql.encode()))
            self._prepared[sql] = name
        sent = [str(value).encode() for value in values]
        result = _check(self._server.exec_prepared(name, sent, result_format=Format.BINARY))
        self._adapters.set_pgresult(result)
        return self._adapters.load_rows(0, result.ntuples, tuple)

    def begin(self) -> None:
        """Begin a transaction that reads."""
        _check(self._server.exec_(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))

    def end(self) -> None:
        """End the transaction."""
        _check(self._server.exec_(b"ROLLBACK"))

    def is_usable(self) -> bool:
        """Whether the server has not ended it: then there would be something to read, though nothing was asked."""
        return not (self._connection.closed or self._arrived.poll(0))


class Snapshots:
    """The pool of connections: the last used is used next, and at most `MAX_SNAPSHOTS` are in use at once."""

    def __init__(self, connect: Callable[[], Snapshot]) -> None:
        self._connect, self._idle = connect, deque[Snapshot]()
        self._slots: SimpleQueue[None] = SimpleQueue()  # a semaphore takes ten times as long
        for _ in range(MAX_SNAPSHOTS):
            self._slots.put(None)

    @property
    def available(self) -> int:
        """How many more can be used now."""
        return self._slots.qsize()

    @contextmanager
    def use(self, *, one_statement: bool) -> Iterator[Snapshot]:
        """A snapshot for the block, or for one statement if `one_statement`. Raises `TooManySnapshots`."""
        snapshot = self._take()
        is_usable = False
        try:
            if not one_statement:
                snapshot.begin()
            try:
                yield snapshot
            finally:
                if not one_statement:
                    snapshot.end()
                is_usable = True
        finally:
            self._release(snapshot, is_usable=is_usable)

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Snapshot:
        try:
            self._slots.get(timeout=MAX_WAIT_SECONDS)
        except Empty:
            raise TooManySnapshots from None
        try:
            while self._idle:
                try:
                    snapshot = self._idle.pop()
                except IndexError:  # another thread was first
                    break
                if snapshot.is_usable():
                    return snapshot
                snapshot.close()
            return self._connect()
        except BaseException:
            self._slots.put(None)
            raise

    def _release(self, snapshot: Snapshot, *, is_usable: bool) -> None:
        """Keep the connection for the next block; close it if its transaction was not ended."""
        try:
            if is_usable:
                self._idle.append(snapshot)
            else:
                snapshot.close()
        finally:
            self._slots.put(None)


_SUCCEEDED: Final = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK})


def _check(result: PGresult) -> PGresult:
    """Return the result; if it is an error, raise it, as psycopg's error for its SQLSTATE."""
    if result.status in _SUCCEEDED:
        return result
    if result.error_field(DiagnosticField.SQLSTATE):
        raise errors.error_from_result(result)
    raise psycopg.OperationalError(result.get_error_message(), info=result)  # libpq's own: the connection is lost
