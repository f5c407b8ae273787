"""Migrations of the schema, by Alembic, with sequential numbers; `head.txt` makes two branches conflict in git.

Expand first, contract a release later: the previous release must run on the new schema. Migrations are in layer 8,
because they know the tables of every package. `idp db draft "what it adds"` writes a draft, to be read and corrected.
"""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import Connection

from idp.foundation.database import db
from idp.jobs import models as _jobs  # noqa: F401  no other package imports these tables

FOLDER = Path(__file__).parent
HEAD_FILE = FOLDER / "head.txt"


def upgrade(app: Flask) -> tuple[str | None, str]:
    """Migrate the database of `app` to the newest schema; returns the revisions before and after."""
    with app.app_context(), db.engine.connect() as connection:
        before = upgrade_connection(connection)
    return before, head()


def upgrade_connection(connection: Connection) -> str | None:
    """Migrate the database that `connection` leads to, and commit; returns the revision before."""
    before = revision(connection)
    command.upgrade(_config(connection), "head")
    connection.commit()
    return before


def create_newest(connection: Connection) -> None:
    """Create the newest schema in an empty database by the models alone, in a tenth of the time of all migrations."""
    db.metadata.create_all(connection)
    command.stamp(_config(connection), "head")


def revision_of(app: Flask) -> str | None:
    """The revision of the database of `app`; None for an empty one."""
    with app.app_context():
        return current_revision()


def current_revision() -> str | None:
    """The revision of the current application's database; None for an empty one."""
    with db.engine.connect() as connection:
        return revision(connection)


def head() -> str:
    """The newest revision of this release."""
    return HEAD_FILE.read_text("utf-8").strip()


def differences(app: Flask) -> list[Any]:
    """The operations that would make the schema of the database equal to the models; empty if it is."""
    with app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        operations: list[Any] = compare_metadata(context, db.metadata)
    return operations


def draft(app: Flask, description: str) -> Path:
    """Write a migration from the database of `app`, which must be at the head, to the models; returns its file."""
    number = len(list((FOLDER / "versions").glob("[0-9]*.py"))) + 1
    with app.app_context(), db.engine.connect() as connection:
        script = command.revision(_config(connection), description, autogenerate=True, rev_id=f"{number:04}")
    if script is None or isinstance(script, list):
        raise RuntimeError("Alembic made no single migration")
    HEAD_FILE.write_text(f"{script.revision}\n", "utf-8")
    return Path(script.path)


def revision(connection: Connection) -> str | None:
    """The revision of the database that `connection` leads to; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config
