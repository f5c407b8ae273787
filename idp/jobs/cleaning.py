"""Delete what has had its time, in batches: oldest first, a short transaction each (security.md §6.4)."""

from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, CursorResult, Table, delete, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from idp.foundation.database import Base, connection

BATCH: Final = 1000


def batch(column: InstrumentedAttribute[Any], before: datetime, *only: ColumnElement[bool]) -> int:
    """Delete up to `BATCH` rows of the column's table, of which `column` is before `before` and `only` hold.

    Returns how many; below `BATCH`, there are no more. The column wants an index.
    """
    table = cast("Table", cast("type[Base]", column.class_).__table__)
    key = tuple_(*table.primary_key.columns)
    oldest = select(*table.primary_key.columns).where(column < before, *only).order_by(column).limit(BATCH)
    deleted = connection().execute(delete(table).where(key.in_(oldest)))
    return cast("CursorResult[Any]", deleted).rowcount
