"""Bulk insert, locking and statistics for imports; the only module here where SQLite and PostgreSQL differ."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final, cast

import psycopg
from sqlalchemy import Table

from idp.foundation.database import connection

SQLITE_CACHE_KIB: Final = 16_384
"""SQLite's page cache during an import."""

# SQLAlchemy stores dates in this format; Python's own adapter is deprecated.
sqlite3.register_adapter(date, date.isoformat)


def add(table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert `rows`, each the values of `columns` in that order: text, numbers, bytes, dates and None."""
    db_connection = connection()
    if not rows:
        return
    names = ", ".join(columns)
    if db_connection.dialect.name == "postgresql":  # COPY is twenty times as fast as INSERT
        cursor = cast("psycopg.Connection[Any]", db_connection.connection.driver_connection).cursor()
        with cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        placeholders = ", ".join("?" * len(columns))
        db_connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({placeholders})", list(rows))  # noqa: S608  our names


@contextmanager
def exclusive_lock(table: Table) -> Iterator[None]:
    """Keep other transactions from writing to `table` until this one ends.

    SQLite has only one writer, so it needs no lock. Its page cache is enlarged instead, so that index pages, which are
    written in random order, stay in memory.
    """
    db_connection = connection()
    if db_connection.dialect.name == "postgresql":
        db_connection.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")
        yield
        return
    previous_size = db_connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    db_connection.exec_driver_sql(f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}")
    try:
        yield
    finally:
        db_connection.exec_driver_sql(f"PRAGMA cache_size = {previous_size}")


def analyze(*tables: Table) -> None:
    """Update PostgreSQL's statistics of `tables`; without it, queries are planned as if the tables were empty."""
    if connection().dialect.name == "postgresql":
        connection().exec_driver_sql(f"ANALYZE {', '.join(table.name for table in tables)}")
