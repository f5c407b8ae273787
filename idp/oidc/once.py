"""What may be noted once: an insert that the second of two finds done already, on either database."""

from functools import cache
from typing import Any, cast

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

from idp.foundation.database import Base, session


def note(model: type[Base], **values: Any) -> bool:
    """Insert the row unless its primary key is there already; whether it was us."""
    connection = session().connection()
    return connection.execute(_statement(model, connection.dialect.name), values).rowcount == 1


@cache
def _statement(model: type[Base], dialect: str) -> Insert:
    table = cast("Table", model.__table__)
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
