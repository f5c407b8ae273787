"""Connections and transactions, on SQLite or PostgreSQL.

What two requests could decide at once is decided by one statement: `UPDATE … WHERE` with the expected state, and the
number of rows says which was first. So the program may be killed at any moment, and run in several processes.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
from sqlalchemy import Connection, Table, create_engine, event, inspect, make_url
from sqlalchemy.dialects import postgresql, sqlite

from clients.xporter.tables import METADATA

BUSY_SECONDS = 30
"""How long a transaction waits for another that writes; SQLite has one writer at a time."""


class Database:
    """The database at one of SQLAlchemy's addresses. Missing tables are created."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        self.is_sqlite = address.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _private_file(Path(str(address.database)))
        self._engine = create_engine(address, **_options(self.is_sqlite))
        if self.is_sqlite:
            event.listen(self._engine, "connect", _configure_sqlite)
        self._reading = self._engine.execution_options(**({} if self.is_sqlite else _ONE_SNAPSHOT))
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
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, and rolled back where the block raises."""
        with self._engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def insert_once(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert the row, unless there is one with its key."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(table).values(row).on_conflict_do_nothing())


def insert_many(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert the rows by the driver: SQLAlchemy takes twice as long on SQLite, and three times as long as COPY."""
    quote = connection.dialect.identifier_preparer.quote
    into = f"{quote(table.name)} ({', '.join(map(quote, columns))})"
    if connection.dialect.name == "sqlite":
        values = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {into} VALUES ({values})", list(rows))  # noqa: S608  our own names
        return
    cursor: psycopg.Cursor[Any] = cast("psycopg.Cursor[Any]", connection.connection.cursor())
    with cursor.copy(f"COPY {into} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    cursor.close()


_ONE_SNAPSHOT = {"isolation_level": "REPEATABLE READ"}


def _options(is_sqlite: bool) -> dict[str, Any]:
    if is_sqlite:
        return {"connect_args": {"timeout": BUSY_SECONDS}, "pool_size": 20, "max_overflow": 40}
    return {"pool_pre_ping": True, "pool_size": 20, "max_overflow": 40, "connect_args": {"connect_timeout": 5}}


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is sent above
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST;"
    )


def _private_file(file: Path) -> None:
    """Make the file so that other people on the machine cannot read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
