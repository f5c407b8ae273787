"""Delete what has had its time, and what there is too much of: oldest first, a short transaction each."""

from datetime import datetime
from typing import Any, Final, cast

import structlog
from sqlalchemy import ColumnElement, CursorResult, Delete, Select, Table, delete, func, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from idp.foundation.database import Base, connection

BATCH: Final = 1000

_log = structlog.get_logger("idp.worker")


def batch(column: InstrumentedAttribute[Any], before: datetime, *only: ColumnElement[bool]) -> int:
    """Delete up to `BATCH` rows of the column's table, of which `column` is before `before` and `only` hold.

    Returns how many; below `BATCH`, there are no more. The column wants an index.
    """
    table = _table(column)
    oldest = select(*table.primary_key.columns).where(column < before, *only).order_by(column).limit(BATCH)
    return _delete(table, oldest)


def surplus(
    column: InstrumentedAttribute[Any], most: int, *only: ColumnElement[bool], per: InstrumentedAttribute[Any] | None
) -> int:
    """Delete up to `BATCH` rows beyond the newest `most` by `column`, of those of which `only` hold.

    With `per`, `most` is for each value of that column. Returns how many; at 0, there is nothing left to delete.
    """
    table = _table(column)
    newest_first = select(*table.primary_key.columns).where(*only).order_by(column.desc())
    if per is None:
        return _delete(table, newest_first.offset(most).limit(BATCH))
    crowded = select(per).where(*only).group_by(per).having(func.count() > most).limit(1)
    return sum(
        _delete(table, newest_first.where(per == whose).offset(most).limit(BATCH))
        for whose in connection().scalars(crowded).all()
    )


def _table(column: InstrumentedAttribute[Any]) -> Table:
    return cast("Table", cast("type[Base]", column.class_).__table__)


def _delete(table: Table, keys: Select[Any]) -> int:
    """Delete the rows with these keys; where one of them cannot be, the others, each alone."""
    key = tuple_(*table.primary_key.columns)
    try:
        with connection().begin_nested():
            return _count(delete(table).where(key.in_(keys)))
    except IntegrityError:
        rows = connection().execute(keys).all()
        return sum(_delete_alone(table, tuple(row)) for row in rows)


def _delete_alone(table: Table, key: tuple[Any, ...]) -> int:
    """Delete one row; 0, and a line in the log, where something still refers to it."""
    try:
        with connection().begin_nested():
            same = (column == value for column, value in zip(table.primary_key.columns, key, strict=True))
            return _count(delete(table).where(*same))
    except IntegrityError as fault:
        _log.error("row set aside", name=table.name, because=type(fault).__name__)
        return 0


def _count(statement: Delete) -> int:
    return cast("CursorResult[Any]", connection().execute(statement)).rowcount
