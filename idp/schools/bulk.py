"""What an import asks of a database beyond plain SQL: the one place of this room where the two part company."""

import sqlite3
from collections.abc import Sequence
from datetime import date
from typing import Any, cast

import psycopg
from sqlalchemy import Table, text

from idp.foundation.database import session

sqlite3.register_adapter(date, date.isoformat)  # as SQLAlchemy stores a day; Python's own adapter is deprecated


def add(table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert `rows`, each the values of `columns` in that order: text, numbers, bytes, days and None."""
    connection = session().connection()
    if not rows:
        return
    names = ", ".join(columns)
    if connection.dialect.name == "postgresql":  # COPY takes a twentieth of the time of as many INSERTs
        cursor = cast("psycopg.Connection[Any]", connection.connection.driver_connection).cursor()
        with cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", list(rows))  # noqa: S608  our names


def alone(table: Table) -> None:
    """Let nobody else write to `table` until this transaction ends. SQLite has but one writer anyway."""
    if session().connection().dialect.name == "postgresql":
        session().execute(text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))


def survey(*tables: Table) -> None:
    """Let PostgreSQL look at what is in `tables` now: until it has, it plans a search as if they were empty."""
    if session().connection().dialect.name == "postgresql":
        session().execute(text(f"ANALYZE {', '.join(table.name for table in tables)}"))
