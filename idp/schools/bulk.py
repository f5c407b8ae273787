"""What an import needs beyond plain SQL; the only module of this package where SQLite and PostgreSQL differ."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final, cast

import psycopg
from sqlalchemy import Table

from idp.foundation.database import connection

SQLITE_CACHE: Final = 16_384
"""KiB of pages that SQLite may keep in memory during an import."""

sqlite3.register_adapter(date, date.isoformat)  # as SQLAlchemy stores a day; Python's own adapter is deprecated


def add(table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert `rows`, each the values of `columns` in that order: text, numbers, bytes, days and None."""
    here = connection()
    if not rows:
        return
    names = ", ".join(columns)
    if here.dialect.name == "postgresql":  # COPY takes a twentieth of the time of as many INSERTs
        cursor = cast("psycopg.Connection[Any]", here.connection.driver_connection).cursor()
        with cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        marks = ", ".join("?" * len(columns))
        here.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", list(rows))  # noqa: S608  our names


@contextmanager
def alone(table: Table) -> Iterator[None]:
    """Let nobody else write to `table` until this transaction ends.

    SQLite has but one writer anyway; there, pages enough are kept in memory meanwhile that the indexes, which
    rows enter in no order, need not be read again and again.
    """
    here = connection()
    if here.dialect.name == "postgresql":
        here.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")
        yield
        return
    usual = here.exec_driver_sql("PRAGMA cache_size").scalar_one()
    here.exec_driver_sql(f"PRAGMA cache_size = -{SQLITE_CACHE}")
    try:
        yield
    finally:
        here.exec_driver_sql(f"PRAGMA cache_size = {usual}")


def survey(*tables: Table) -> None:
    """Let PostgreSQL look at what is in `tables` now: until it has, it plans a search as if they were empty."""
    if connection().dialect.name == "postgresql":
        connection().exec_driver_sql(f"ANALYZE {', '.join(table.name for table in tables)}")
