"""The schema's history, by Alembic. Sequential names; `head.txt` makes two branches conflict in git.

Expand first, contract a release later: the previous release must run on the new schema. Layer 7, because a
migration knows the tables of every package. `idp db draft "what it adds"` drafts a new one, to be read and corrected.
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
from idp.jobs import models as _jobs  # noqa: F401  its tables belong to the schema, and no package imports them

FOLDER = Path(__file__).parent
HEAD = FOLDER / "head.txt"


def upgrade(app: Flask) -> tuple[str | None, str]:
    """Bring the database of `app` to the newest schema; returns where it was and where it is."""
    with app.app_context(), db.engine.connect() as connection:
        before = _at(connection)
        command.upgrade(_config(connection), "head")
        connection.commit()
    return before, head()


def at(app: Flask) -> str | None:
    """The revision the database of `app` is at; None for an empty one."""
    with app.app_context():
        return here()


def here() -> str | None:
    """The revision the database of the current application is at; None for an empty one."""
    with db.engine.connect() as connection:
        return _at(connection)


def head() -> str:
    """The newest revision there is."""
    return HEAD.read_text("utf-8").strip()


def differences(app: Flask) -> list[Any]:
    """What the models say and the database of `app` does not, as Alembic's operations; empty when they agree."""
    with app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[Any] = compare_metadata(context, db.metadata)
    return found


def draft(app: Flask, what: str) -> Path:
    """Write the migration from the database of `app`, which is at the head, to the models; returns its file."""
    number = len(list((FOLDER / "versions").glob("[0-9]*.py"))) + 1
    with app.app_context(), db.engine.connect() as connection:
        made = command.revision(_config(connection), what, autogenerate=True, rev_id=f"{number:04}")
    if made is None or isinstance(made, list):
        raise RuntimeError("Alembic made no single migration")
    HEAD.write_text(f"{made.revision}\n", "utf-8")
    return Path(made.path)


def _at(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config
