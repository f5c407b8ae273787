"""The schema's history, by Alembic. Sequential names; `head.txt` makes two branches conflict in git.

Expand first, contract a release later: the previous release must run on the new schema. Floor 7, because a
migration knows every room's tables.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask

from idp.foundation.database import db

if TYPE_CHECKING:
    from sqlalchemy import Connection

FOLDER = Path(__file__).parent


def upgrade(app: Flask) -> tuple[str | None, str]:
    """Bring the database of `app` to the newest schema; returns where it was and where it is."""
    with app.app_context(), db.engine.connect() as connection:
        before = _at(connection)
        command.upgrade(_config(connection), "head")
        connection.commit()
    return before, head()


def at(app: Flask) -> str | None:
    """The revision the database of `app` is at; None for an empty one."""
    with app.app_context(), db.engine.connect() as connection:
        return _at(connection)


def head() -> str:
    """The newest revision there is."""
    return str(ScriptDirectory(str(FOLDER)).get_current_head())


def _at(connection: "Connection") -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: "Connection") -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    return config
