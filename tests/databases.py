"""The databases tests run on: SQLite files, or databases of their own on a PostgreSQL server."""

import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask
from sqlalchemy import insert, select

from idp import migrations
from idp.foundation import clock, database
from idp.foundation.database import db
from idp.foundation.web import transactions
from idp.keys import ring

DATABASE_SETTINGS = {"pool_size": 50, "busy_timeout": 60}
"""Tests send fifty requests at once on a busy machine: none of them may run out of connections or time."""

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Databases(ABC):
    """Creates test databases, and restores them between tests."""

    @abstractmethod
    def new(self, name: str) -> str:
        """The SQLAlchemy URL of a new, empty database."""

    @abstractmethod
    def restore(self, app: Flask) -> None:
        """Restore the database of `app` to its state after `prepare`."""

    def prepare(self, app: Flask) -> None:
        """Make the tables and the signing keys (an RSA key takes too long to make for every test)."""
        with app.app_context(), db.engine.begin() as connection:
            db.metadata.create_all(connection)
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{migrations.head()}')")
        with clock.fixed(LONG_AGO), transactions.transaction(app):
            ring.ensure()  # keys that sign already at any time that a test sets
        self.save(app)

    @abstractmethod
    def save(self, app: Flask) -> None:
        """Store the current content of the database for `restore`."""


class SqliteDatabases(Databases):
    """SQLite: a file for each database, and a copy of it as `save` found it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new(self, name: str) -> str:
        return f"sqlite:///{self.folder / name}-{uuid.uuid4().hex[:6]}.sqlite3"

    def save(self, app: Flask) -> None:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
            shutil.copy(self._file(app), self._file(app).with_suffix(".start"))

    def restore(self, app: Flask) -> None:
        file = self._file(app)
        with app.app_context():
            db.engine.dispose()
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        shutil.copy(file.with_suffix(".start"), file)

    @staticmethod
    def _file(app: Flask) -> Path:
        with app.app_context():
            return Path(str(db.engine.url.database))


class PostgresqlDatabases(Databases):
    """PostgreSQL: databases on one server, whose tables are emptied before each test."""

    def __init__(self, url: str) -> None:
        self.url = url.rsplit("/", 1)[0]
        self.created: list[str] = []
        self.rows_by_table: dict[str, list[dict[str, Any]]] = {}

    def new(self, name: str) -> str:
        database = f"test_{name}_{uuid.uuid4().hex[:8]}"
        self._execute(f'CREATE DATABASE "{database}"')
        self.created.append(database)
        return f"{self.url}/{database}".replace("postgresql://", "postgresql+psycopg://")

    def save(self, app: Flask) -> None:
        """Store the few rows that there are (the signing keys)."""
        with app.app_context():
            tables = db.metadata.sorted_tables
            self.rows_by_table = {
                table.name: [dict(row._mapping) for row in db.session.execute(select(table))] for table in tables
            }
            db.session.rollback()

    def restore(self, app: Flask) -> None:
        tables = db.metadata.sorted_tables
        delete_all = "; ".join(f'DELETE FROM "{table.name}"' for table in tables)
        with transactions.transaction(app):
            connection = database.connection()  # of the pool: the engine would open one for each test
            connection.exec_driver_sql(
                "SET LOCAL session_replication_role = replica"
            )  # no triggers: those of the audit log refuse to delete
            # TRUNCATE is slow for a few rows, but leaves no dead rows behind, of which a register has thousands.
            if connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM search_words)").scalar_one():
                connection.exec_driver_sql("TRUNCATE search_words, school_words, word_trigrams")
            connection.exec_driver_sql(delete_all)
            for table in tables:
                if rows := self.rows_by_table.get(table.name):
                    connection.execute(insert(table), rows)

    def close(self) -> None:
        for name in self.created:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def open_databases(folder: Path) -> Iterator[Databases]:
    """SQLite in `folder`, or the server that `TEST_DATABASE` names."""
    url = os.environ.get("TEST_DATABASE", "")
    if not url:
        yield SqliteDatabases(folder)
        return
    server = PostgresqlDatabases(url)
    try:
        yield server
    finally:
        server.close()
