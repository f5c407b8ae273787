"""Delete rows past their retention period, and rows beyond a maximum: oldest first, in short transactions."""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, cast

import structlog
from sqlalchemy import ColumnElement, CursorResult, Delete, Select, Table, delete, func, select, tuple_
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute

from idp.foundation import clock, runtime
from idp.foundation.database import Base, connection
from idp.foundation.retention import DeleteAfter, KeepAll, KeepNewest, Rule
from idp.foundation.web.transactions import TransactionFactory

BATCH_SIZE: Final = 1000
"""Rows that one transaction deletes."""
MAX_ROUND_SECONDS: Final = 60.0
"""Seconds that one round of cleaning may take."""
PAUSE_SECONDS: Final = 0.05
"""The pause between two batches, in which other writers get access to the database."""

_log = structlog.get_logger("idp.worker")


def clean(transaction: TransactionFactory, rules: Iterable[Rule]) -> None:
    """Delete by these rules, one batch in each transaction; a table that fails is skipped."""
    stop_at = time.monotonic() + MAX_ROUND_SECONDS
    for rule in rules:
        if isinstance(rule, KeepAll):
            continue
        name = f"{_table(rule.column).name}.{rule.column.key}"
        try:
            count = _clean_one(transaction, rule, stop_at)
        except SQLAlchemyError:
            _log.exception("could not be cleaned", name=name)
            continue
        if count:
            _log.info("cleaned", name=name, count=count)
        if time.monotonic() > stop_at:
            _log.warning("cleaning is behind: it continues in the next round", name=name)
            return


def _clean_one(transaction: TransactionFactory, rule: DeleteAfter | KeepNewest, stop_at: float) -> int:
    total = 0
    while time.monotonic() < stop_at:
        with transaction():
            count, is_last = _apply(rule)
        total += count
        if is_last:
            break
        time.sleep(PAUSE_SECONDS)
    return total


def _apply(rule: DeleteAfter | KeepNewest) -> tuple[int, bool]:
    """Delete one batch; returns the number of rows, and whether it was the last."""
    only = () if rule.only is None else (rule.only,)
    if isinstance(rule, KeepNewest):
        count = delete_surplus(rule.column, rule.limit, *only, per=rule.per)
        return count, count == 0
    before = clock.now() - timedelta(days=getattr(runtime.settings().retention, rule.period))
    count = delete_before(rule.column, before, *only)
    return count, count < BATCH_SIZE


def delete_before(column: InstrumentedAttribute[Any], before: datetime, *only: ColumnElement[bool]) -> int:
    """Delete up to `BATCH_SIZE` rows of the column's table whose `column` is before `before`, where `only` hold.

    Returns how many; if fewer than `BATCH_SIZE`, there are no more. The column needs an index.
    """
    table = _table(column)
    oldest = select(*table.primary_key.columns).where(column < before, *only).order_by(column).limit(BATCH_SIZE)
    return _delete(table, oldest)


def delete_surplus(
    column: InstrumentedAttribute[Any], limit: int, *only: ColumnElement[bool], per: InstrumentedAttribute[Any] | None
) -> int:
    """Of the rows where `only` hold, delete up to `BATCH_SIZE` of those beyond the newest `limit` by `column`.

    With `per`, `limit` is for each value of that column. Returns how many; at 0, there is nothing left to delete.
    """
    table = _table(column)
    newest_first = select(*table.primary_key.columns).where(*only).order_by(column.desc())
    if per is None:
        return _delete(table, newest_first.offset(limit).limit(BATCH_SIZE))
    statement = select(per).where(*only).group_by(per).having(func.count() > limit).limit(1)
    return sum(
        _delete(table, newest_first.where(per == value).offset(limit).limit(BATCH_SIZE))
        for value in connection().scalars(statement).all()
    )


def _table(column: InstrumentedAttribute[Any]) -> Table:
    return cast("Table", cast("type[Base]", column.class_).__table__)


def _delete(table: Table, keys: Select[Any]) -> int:
    """Delete the rows with these keys; if one of them cannot be deleted, delete the others one by one."""
    key = tuple_(*table.primary_key.columns)
    try:
        with connection().begin_nested():
            return _count(delete(table).where(key.in_(keys)))
    except IntegrityError:
        rows = connection().execute(keys).all()
        return sum(_delete_alone(table, tuple(row)) for row in rows)


def _delete_alone(table: Table, key: tuple[Any, ...]) -> int:
    """Delete one row; returns 0, and logs it, if another row still refers to it."""
    try:
        with connection().begin_nested():
            conditions = (column == value for column, value in zip(table.primary_key.columns, key, strict=True))
            return _count(delete(table).where(*conditions))
    except IntegrityError as error:
        _log.error("row set aside", name=table.name, reason=type(error).__name__)
        return 0


def _count(statement: Delete) -> int:
    return cast("CursorResult[Any]", connection().execute(statement)).rowcount
