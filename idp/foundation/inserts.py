"""INSERT with ON CONFLICT, which both of our databases have and SQLAlchemy spells for each of them apart."""

from functools import cache
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from idp.foundation.database import Base, connection
from idp.foundation.prepared import Prepared

Insert = postgresql.Insert | sqlite.Insert


def insert(model: type[Base]) -> Insert:
    """An insert for the current database, to be given `on_conflict_do_update`."""
    return _insert(model, connection().dialect.name)


def once(model: type[Base], **values: Any) -> bool:
    """Insert the row unless its key is there already; whether it was inserted. Columns not named are NULL.

    Of several at once, one inserts it.
    """
    return _inserting_once(model).one(**_nulls(model) | values) is not None


def _insert(model: type[Base], dialect: str) -> Insert:
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(cast("Table", model.__table__))


@cache
def _nulls(model: type[Base]) -> dict[str, None]:
    return dict.fromkeys(model.__table__.c.keys())


@cache
def _inserting_once(model: type[Base]) -> Prepared:
    """It returns the key of what it inserted: not every database counts the rows of an insert."""
    key = cast("Table", model.__table__).primary_key

    def statement(dialect: str) -> ReturningInsert[Any]:
        return _insert(model, dialect).on_conflict_do_nothing().returning(*key)

    return Prepared(statement)
