"""Queries with typed rows: mypy rejects a misspelt column, and columns and row type are compared at import.

For busy paths there is `fastpath.statements.Statement`, which hands the statement to the driver.
"""

from collections.abc import Collection
from typing import Any, Generic

from sqlalchemy import ARRAY, ColumnElement, Select, Text, any_, literal
from sqlalchemy.orm import InstrumentedAttribute

from idp.foundation.database import connection
from idp.foundation.fastpath import rows
from idp.foundation.fastpath.rows import RowT


class Query(Generic[RowT]):
    """A SELECT whose values are bound by name, and the named tuple that has its columns.

    `not_null` names nullable columns that its WHERE clause keeps from being NULL.
    """

    def __init__(self, row: type[RowT], select: Select[Any], *, not_null: frozenset[str] = frozenset()) -> None:
        rows.check(row, list(select.exported_columns), not_null)
        self._make, self._select = rows.maker(row), select

    def all(self, **values: Any) -> list[RowT]:
        """Every row."""
        return [self._make(row) for row in connection().execute(self._select, values)]

    def one(self, **values: Any) -> RowT | None:
        """The row, or None; raises `MultipleResultsFound` where there are several."""
        row = connection().execute(self._select, values).one_or_none()
        return None if row is None else self._make(row)


def one_of(column: InstrumentedAttribute[str], values: Collection[str]) -> ColumnElement[bool]:
    """The condition that a column has one of several values, of which there may be hundreds.

    On PostgreSQL they are one array: the statement has the same text for any number of them, and is parsed once.
    """
    if connection().dialect.name == "postgresql":
        return column == any_(literal(list(values), ARRAY(Text)))
    return column.in_(values)
