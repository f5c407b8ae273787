"""What may be noted once: an insert that the second of two finds done already, on either database."""

from functools import cache
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from idp.foundation.database import Base, connection


def note(model: type[Base], **values: Any) -> bool:
    """Insert the row unless its primary key is there already; whether it was us."""
    here = connection()
    return here.execute(_statement(model, here.dialect.name), values).one_or_none() is not None


@cache
def _statement(model: type[Base], dialect: str) -> ReturningInsert[Any]:
    """It returns the key of what it inserted: a row count is not kept for inserts on every database."""
    table = cast("Table", model.__table__)
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing().returning(*table.primary_key)
