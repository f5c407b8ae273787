"""INSERT with ON CONFLICT, which both of our databases have and SQLAlchemy has a class for each of."""

from functools import cache
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from idp.foundation.database import Base, connection
from idp.foundation.fastpath.statements import WriteStatement

Insert = postgresql.Insert | sqlite.Insert


def insert(model: type[Base]) -> Insert:
    """An insert for the current database, to be given `on_conflict_do_update`."""
    return _insert(model, connection().dialect.name)


def insert_if_absent(model: type[Base], **values: Any) -> bool:
    """Insert the row unless its key exists; returns whether it was inserted. Columns not named are NULL.

    Of several requests at once, one inserts it.
    """
    return _insert_if_absent(model).run(**_nulls(model) | values) == 1


def _insert(model: type[Base], dialect: str) -> Insert:
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(cast("Table", model.__table__))


@cache
def _nulls(model: type[Base]) -> dict[str, None]:
    return dict.fromkeys(model.__table__.c.keys())


@cache
def _insert_if_absent(model: type[Base]) -> WriteStatement:
    return WriteStatement(lambda dialect: _insert(model, dialect).on_conflict_do_nothing())
