"""Connections and transactions, on SQLite or PostgreSQL.

What two requests could decide at once is decided by one statement: `UPDATE … WHERE` with the expected state, and the
number of rows says which was first. So the program may be killed at any moment, and run in several processes.
"""

import errno
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, cast

import psycopg
from sqlalchemy import Connection, ExceptionContext, Table, create_engine, event, inspect, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from clients.xporter.snapshots import MAX_WAIT_SECONDS, PostgresqlSnapshot, Snapshot, Snapshots, SqliteSnapshot
from clients.xporter.tables import METADATA

BUSY_SECONDS = 30
"""How long a transaction waits for another that writes, as SQLite has only one writer at a time."""
NETWORK_LOSS: Final = {
    "tcp_user_timeout": 15_000, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
}  # fmt: skip
"""Parameters of libpq. Where the server's machine vanishes, a statement fails after 15 s (`tcp_user_timeout` is in
milliseconds), or after 20 s if it had already arrived there. Otherwise the thread waits for 15 minutes, or for 2 hours.
"""
INSERTED_AT_ONCE = 5_000
"""How many rows one statement inserts on SQLite."""
DISK_FULL_SECONDS = 60
"""How long a caller or the worker waits before trying again when the disk is full."""


def is_disk_full(error: BaseException) -> bool:
    """Whether a file or the database has no room left; the driver is also used without SQLAlchemy."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, (psycopg.Error, sqlite3.Error)):
        return isinstance(cause, psycopg.errors.DiskFull) or "disk is full" in str(cause)
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


class Database:
    """The database at a URL of SQLAlchemy. Missing tables are created."""

    def __init__(self, url: str) -> None:
        parsed_url = make_url(url)
        if parsed_url.drivername == "postgresql":
            parsed_url = parsed_url.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed_url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _private_file(Path(str(parsed_url.database)))
        # Parameters are data of people, and errors are logged.
        self._engine = create_engine(parsed_url, hide_parameters=True, **_options(self.is_sqlite))
        if self.is_sqlite:
            event.listen(self._engine, "connect", _configure_sqlite)
        else:
            event.listen(self._engine, "handle_error", _drop_connections_without_writes)
        self._begin_read, self._begin_write = _BEGIN[self.is_sqlite]
        self._snapshots = Snapshots(self._connect)
        with self.read() as connection:
            has_tables = METADATA.tables.keys() <= set(inspect(connection).get_table_names())
        if not has_tables:  # creating them takes the write lock, for which a start would have to wait
            self._make_tables()

    def _make_tables(self) -> None:
        with self.write() as connection:
            if not self.is_sqlite:
                # Of two processes that start, one creates them.
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(20261129)")
            METADATA.create_all(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction in which all statements see one snapshot. No writer waits for it."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(self._begin_read)
            yield connection

    def snapshot(self, *, one_statement: bool = False) -> AbstractContextManager[Snapshot]:
        """As `read`, for partners' requests, on a connection of the driver; `one_statement` allows a single statement.

        Raises `TooManySnapshots`.
        """
        return self._snapshots.use(one_statement=one_statement)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, and rolled back if the block raises."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(self._begin_write)
            yield connection
            connection.commit()

    def _connect(self) -> Snapshot:
        """A new connection of the driver, configured as those of SQLAlchemy's pool."""
        arguments, named = self._engine.dialect.create_connect_args(self._engine.url)
        connection: Any = self._engine.dialect.connect(*arguments, **named, **_options(self.is_sqlite)["connect_args"])
        if not self.is_sqlite:
            return PostgresqlSnapshot(connection)
        _configure_sqlite(connection, None)
        return SqliteSnapshot(connection)

    def close(self) -> None:
        """Close all connections."""
        self._snapshots.close()
        self._engine.dispose()


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


_BEGIN: Final = {
    True: ("BEGIN", "BEGIN IMMEDIATE"),
    False: ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "BEGIN"),
}
"""The statements that begin a reading and a writing transaction, by whether the database is SQLite."""


def _options(is_sqlite: bool) -> dict[str, Any]:
    if is_sqlite:
        return {"connect_args": {"timeout": BUSY_SECONDS}, "pool_size": 20, "max_overflow": 40}
    # With `MAX_SNAPSHOTS` these are fewer than the 100 connections that PostgreSQL allows by default.
    return {
        "pool_pre_ping": True, "pool_size": 10, "max_overflow": 30, "pool_timeout": MAX_WAIT_SECONDS,
        "connect_args": {"autocommit": True, "connect_timeout": 5, **NETWORK_LOSS},  # BEGIN is sent above
    }  # fmt: skip


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is sent above
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST;"
    )


def _drop_connections_without_writes(context: ExceptionContext) -> None:
    """Close all connections when a server takes no writes: while the database moves, some go to the one it leaves."""
    if isinstance(context.original_exception, psycopg.errors.ReadOnlySqlTransaction):
        context.is_disconnect = True


def _private_file(file: Path) -> None:
    """Make the file so that other people on the machine cannot read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
