"""Connections and transactions, on SQLite or PostgreSQL.

What two requests could decide at once is decided by one statement: `UPDATE … WHERE` with the expected state, and the
number of rows says which was first. So the program may be killed at any moment, and run in several processes.
"""

import errno
import select
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, cast

import psycopg
from sqlalchemy import Connection, Dialect, Engine, Table, create_engine, event, inspect, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from clients.xporter.tables import METADATA

BUSY_SECONDS = 30
"""How long a transaction waits for another that writes; SQLite has one writer at a time."""
INSERTED_AT_ONCE = 5_000
"""Rows of one statement on SQLite."""
MAX_SNAPSHOTS = 40
"""Snapshots that are read at once; further ones wait."""
MAX_WAIT_SECONDS = 5
"""How long they do."""
DISK_FULL_SECONDS = 60
"""How long a caller, and the worker, wait before they try again on a full disk."""


def is_disk_full(error: BaseException) -> bool:
    """Whether a file or the database has no room left; the driver is also used without SQLAlchemy."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, (psycopg.Error, sqlite3.Error)):
        return isinstance(cause, psycopg.errors.DiskFull) or "disk is full" in str(cause)
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


class Database:
    """The database at one of SQLAlchemy's addresses. Missing tables are created."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        self.is_sqlite = address.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _private_file(Path(str(address.database)))
        # Parameters are data of people, and errors are logged.
        self._engine = create_engine(address, hide_parameters=True, **_options(self.is_sqlite))
        if self.is_sqlite:
            event.listen(self._engine, "connect", _configure_sqlite)
        self._reading = self._engine.execution_options(**({} if self.is_sqlite else _ONE_SNAPSHOT))
        self._snapshots = _Snapshots(self._engine)
        with self.read() as connection:
            has_tables = METADATA.tables.keys() <= set(inspect(connection).get_table_names())
        if not has_tables:  # creating them takes the write lock, for which a start would have to wait
            self._make_tables()

    def _make_tables(self) -> None:
        with self.write() as connection:
            if not self.is_sqlite:
                connection.exec_driver_sql(
                    "SELECT pg_advisory_xact_lock(20261129)"
                )  # of two processes that start, one creates them
            METADATA.create_all(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction in which all statements see one snapshot. No writer waits for it."""
        with self._reading.connect() as connection:
            if self.is_sqlite:
                connection.connection.cursor().execute("BEGIN")  # without SQLAlchemy, which takes longer
            yield connection

    @contextmanager
    def snapshot(self, *, one_statement: bool = False) -> Iterator["Snapshot"]:
        """The same for partners, without the pool of SQLAlchemy, from which a connection takes as long as a record.

        With `one_statement` no transaction is begun: a statement by itself reads one snapshot, and on PostgreSQL each
        round trip takes as long as an empty view. Raises `TooManySnapshots`.
        """
        begin = "BEGIN" if self.is_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        snapshot = self._snapshots.take()
        is_usable = False
        try:
            if not one_statement:
                snapshot.execute(begin)
            try:
                yield snapshot
            finally:
                if not one_statement:
                    snapshot.execute("ROLLBACK")
                is_usable = True
        finally:
            self._snapshots.release(snapshot, is_usable=is_usable)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, and rolled back where the block raises."""
        with self._engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    def close(self) -> None:
        """Close all connections."""
        self._snapshots.close()
        self._engine.dispose()


class TooManySnapshots(Exception):
    """All connections for snapshots were in use for too long."""


class Snapshot:
    """A connection of the driver in a transaction in which all statements see one snapshot."""

    def __init__(self, engine: Engine) -> None:
        self.dialect: Dialect = engine.dialect
        arguments, named = self.dialect.create_connect_args(engine.url)
        is_sqlite = self.dialect.name == "sqlite"
        named |= _options(is_sqlite)["connect_args"] | ({} if is_sqlite else {"autocommit": True})
        connection: Any = self.dialect.connect(*arguments, **named)
        self.connection, self._arrived = connection, None
        if is_sqlite:
            _configure_sqlite(connection, None)
        else:
            self._arrived = select.poll()
            self._arrived.register(connection.fileno(), select.POLLIN)

    def execute(self, text: str) -> None:
        """Run a statement that has no rows."""
        self.connection.execute(text)

    @property
    def is_usable(self) -> bool:
        """Whether the server has not ended it: then there would be something to read, though nothing was asked."""
        return self._arrived is None or not (self.connection.closed or self._arrived.poll(0))


class _Snapshots:
    """Those that are not in use, the last used first; at most `MAX_SNAPSHOTS` are used at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._idle = engine, deque[Snapshot]()
        self._places: SimpleQueue[None] = SimpleQueue()  # a semaphore takes ten times as long
        for _ in range(MAX_SNAPSHOTS):
            self._places.put(None)

    def take(self) -> Snapshot:
        try:
            self._places.get(timeout=MAX_WAIT_SECONDS)
        except Empty:
            raise TooManySnapshots from None
        try:
            while self._idle:
                try:
                    snapshot = self._idle.pop()
                except IndexError:  # another thread was first
                    break
                if snapshot.is_usable:
                    return snapshot
                snapshot.connection.close()
            return Snapshot(self._engine)
        except BaseException:
            self._places.put(None)
            raise

    def release(self, snapshot: Snapshot, *, is_usable: bool) -> None:
        """Keep it for the next; close it unless its transaction was ended."""
        try:
            if is_usable:
                self._idle.append(snapshot)
            else:
                snapshot.connection.close()
        finally:
            self._places.put(None)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().connection.close()


def insert_once(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert the row, unless there is one with its key."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(table).values(row).on_conflict_do_nothing())


@contextmanager
def inserting(
    connection: Connection, table: Table, columns: Sequence[str]
) -> Iterator[Callable[[tuple[Any, ...]], object]]:
    """A function that inserts a row; all are there at the end of the block, in which the connection does nothing else.

    SQLAlchemy's way takes as long again as SQLite, and three times COPY. While the next row is made, PostgreSQL stores
    those before it.
    """
    quote = connection.dialect.identifier_preparer.quote
    into = f"{quote(table.name)} ({', '.join(map(quote, columns))})"
    if connection.dialect.name == "sqlite":
        statement = f"INSERT INTO {into} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  our own names
        rows: list[tuple[Any, ...]] = []

        def insert(row: tuple[Any, ...]) -> None:
            rows.append(row)
            if len(rows) == INSERTED_AT_ONCE:
                connection.exec_driver_sql(statement, rows)
                rows.clear()

        yield insert
        if rows:
            connection.exec_driver_sql(statement, rows)
        return
    cursor: psycopg.Cursor[Any] = cast("psycopg.Cursor[Any]", connection.connection.cursor())
    with cursor.copy(f"COPY {into} FROM STDIN") as copy:
        yield copy.write_row
    cursor.close()


_ONE_SNAPSHOT = {"isolation_level": "REPEATABLE READ"}


def _options(is_sqlite: bool) -> dict[str, Any]:
    if is_sqlite:
        return {"connect_args": {"timeout": BUSY_SECONDS}, "pool_size": 20, "max_overflow": 40}
    # With `MAX_SNAPSHOTS` these are fewer than the 100 connections that PostgreSQL allows by default.
    return {
        "pool_pre_ping": True, "pool_size": 10, "max_overflow": 30, "pool_timeout": MAX_WAIT_SECONDS,
        "connect_args": {"connect_timeout": 5},
    }  # fmt: skip


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is sent above
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST;"
    )


def _private_file(file: Path) -> None:
    """Make the file so that other people on the machine cannot read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
