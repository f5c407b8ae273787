"""What may be noted once: an insert that the second of two finds done already, on either database."""

from functools import cache
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from idp.foundation.database import Base
from idp.foundation.prepared import Prepared


def note(model: type[Base], **values: Any) -> bool:
    """Insert the row, with nothing in columns not named, unless its primary key is there already; whether it was us."""
    return _noting(model).one(**_nothing(model) | values) is not None


@cache
def _nothing(model: type[Base]) -> dict[str, None]:
    return dict.fromkeys(model.__table__.c.keys())


@cache
def _noting(model: type[Base]) -> Prepared:
    """It returns the key of what it inserted: a row count is not kept for inserts on every database."""
    table = cast("Table", model.__table__)

    def statement(dialect: str) -> ReturningInsert[Any]:
        insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
        return insert(table).on_conflict_do_nothing().returning(*table.primary_key)

    return Prepared(statement)
