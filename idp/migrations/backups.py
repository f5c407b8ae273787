"""Back up the database into one file, and restore it into an empty one: `idp db backup` and `idp db restore`.

The file is a SQLite database of the same schema, whatever the database is that it was made from, and it can be restored
into either kind. Tables marked by `foundation.database.transient` are empty in it: sessions, codes and messages that
wait would otherwise begin again, although they ended after the backup was made.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from flask import Flask
from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    Insert,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from idp import migrations
from idp.audit import events, log
from idp.foundation import clock, crypto, database, runtime
from idp.foundation.database import TRANSIENT, db
from idp.foundation.errors import Refusal, one_line_summary
from idp.foundation.web.transactions import transaction
from idp.keys import cache

BATCH_ROWS: Final = 1000
READ_BLOCK_BYTES: Final = 1 << 20

ReportProgress = Callable[[str], None]


class BackupRefused(Refusal):
    """No backup can be made, or none restored; nothing was changed."""

    code, title = "backup_refused", "The backup was refused"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup file says about itself."""

    taken_at: datetime
    issuer: str
    release: str
    rows: dict[str, int]
    """The number of rows, by table; transient tables are absent."""

    @property
    def total(self) -> int:
        """The number of rows in all tables."""
        return sum(self.rows.values())


def create(app: Flask, file: Path, *, by: Callable[[], str], progress: ReportProgress) -> Backup:
    """Write the database as it is now into a new file, which only this user can read.

    Others read and write meanwhile. The act is recorded first, so that it is in the backup; `by` is evaluated in that
    transaction. Raises `BackupRefused`.
    """
    with _errors_as_refusals("No backup was made."), transaction(app):
        log.record(events.DATABASE_BACKED_UP, by=by())
    with (
        _errors_as_refusals("No backup was made."), app.app_context(), _snapshot() as source,
        _new_file(file) as unfinished,
    ):  # fmt: skip
        if (revision := migrations.revision(source)) != migrations.head():
            raise BackupRefused(f"The database is at {revision}, this release needs {migrations.head()}.")
        with _engine(unfinished).begin() as target:
            target.exec_driver_sql("PRAGMA synchronous = OFF")  # the whole file is written to disk at the end
            migrations.create_newest(target)
            rows = {table.name: _copy(source, target, table, progress) for table in _tables()}
            backup = Backup(clock.now(), runtime.settings().server.issuer, version("idp"), rows)
            _describe(target, backup)
    return backup


def restore(app: Flask, file: Path, *, progress: ReportProgress) -> Backup:
    """Copy a backup into the database of the settings, which must be empty, in one transaction.

    A backup of an older schema is migrated first. Raises `BackupRefused`.
    """
    with (
        _errors_as_refusals("Nothing was restored."), _newest_schema(file) as migrated,
        _engine(migrated, read_only=True).connect() as source,
    ):  # fmt: skip
        backup = _description(source)
        if (revision := migrations.revision_of(app)) not in {None, migrations.head()}:
            raise BackupRefused(f"The database is at {revision}: restore into a new and empty one.")
        migrations.upgrade(app)
        with transaction(app):
            target = database.connection()
            database.advisory_lock("restore")  # of two at once, the second finds rows
            if filled := [table.name for table in db.metadata.sorted_tables if not _is_empty(target, table)]:
                raise BackupRefused(f"The database has rows already ({filled[0]}): restore into a new and empty one.")
            rows = {table.name: _copy(source, target, table, progress) for table in _tables()}
            if lost := [name for name, number in backup.rows.items() if rows.get(name, number) != number]:
                raise BackupRefused(f"The file is damaged: rows of {lost[0]} are missing.")
            _check_sealing_keys()
            log.record(events.DATABASE_RESTORED, by="cli", taken_at=backup.taken_at)
    return backup


@contextmanager
def _errors_as_refusals(outcome: str) -> Iterator[None]:
    """Raise `BackupRefused` where the disk is full or a database cannot be reached."""
    try:
        yield
    except (OSError, DBAPIError) as error:
        raise BackupRefused(f"{outcome} {one_line_summary(error)}") from error


def _tables() -> list[Table]:
    """The tables that backups contain, those first to which others refer."""
    return [table for table in db.metadata.sorted_tables if not table.info.get(TRANSIENT)]


@contextmanager
def _snapshot() -> Iterator[Connection]:
    """The database as it is now, until the block ends. It takes no lock, so that others write meanwhile."""
    with db.engine.connect().execution_options(autocommit=True) as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("BEGIN" if is_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield connection
        finally:
            connection.exec_driver_sql("ROLLBACK")


@contextmanager
def _new_file(file: Path) -> Iterator[Path]:
    """The path at which the block writes; it becomes `file` if the block succeeds, and is deleted if it does not."""
    if file.exists():
        raise BackupRefused(f"{file} exists already; a backup is not overwritten.")
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise BackupRefused(f"{unfinished} cannot be written: {error.strerror}.") from error
    try:
        yield unfinished
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.rename(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _engine(file: Path, *, read_only: bool = False) -> Engine:
    """The engine of a SQLite file."""
    query = {"mode": "ro", "uri": "true"} if read_only else {}
    url = URL.create("sqlite", database=f"file:{file}" if read_only else str(file), query=query)
    return create_engine(url, poolclass=NullPool, hide_parameters=True)


@contextmanager
def _newest_schema(file: Path) -> Iterator[Path]:
    """The backup itself, or a copy of it that was migrated to the newest schema. Raises `BackupRefused`."""
    revision = _checked_revision(file)
    if revision == migrations.head():
        yield file
        return
    if revision > migrations.head():
        raise BackupRefused(f"The backup is of a newer release: its schema is {revision}, ours {migrations.head()}.")
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copyfile(file, Path(folder) / "backup.sqlite3"))
        with _engine(copy).connect() as connection:
            migrations.upgrade_connection(connection)
        yield copy


def _checked_revision(file: Path) -> str:
    """The revision of the file's schema. Raises `BackupRefused` if it is no backup, or damaged."""
    if not file.is_file():
        raise BackupRefused(f"There is no file {file}.")
    try:
        with _engine(file, read_only=True).connect() as connection:
            _description(connection)
            if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() != "ok":
                raise BackupRefused(f"{file} is damaged.")
            return migrations.revision(connection) or ""
    except DBAPIError as error:
        raise BackupRefused(f"{file} is no backup, or is damaged. {one_line_summary(error)}") from error


def _describe(target: Connection, backup: Backup) -> None:
    described = {
        "taken_at": backup.taken_at.isoformat(), "issuer": backup.issuer, "release": backup.release,
        "rows": backup.rows,
    }  # fmt: skip
    target.exec_driver_sql("CREATE TABLE backup (described TEXT NOT NULL)")
    target.execute(text("INSERT INTO backup VALUES (:described)"), {"described": json.dumps(described)})


def _description(source: Connection) -> Backup:
    described = json.loads(source.exec_driver_sql("SELECT described FROM backup").scalar_one())
    return Backup(**{**described, "taken_at": datetime.fromisoformat(described["taken_at"])})


def _is_empty(target: Connection, table: Table) -> bool:
    return not target.execute(select(exists(select(1).select_from(table)))).scalar_one()


def _copy(source: Connection, target: Connection, table: Table, progress: ReportProgress) -> int:
    """Copy all rows of a table, and the number from which its next one counts; returns how many rows there are."""
    statement, copied = _insertion(table, target), 0
    for rows in _batches(source, table):
        target.execute(statement, rows)
        copied += len(rows)
    _copy_sequence(source, target, table)
    if copied >= BATCH_ROWS:
        progress(f"{table.name}: {copied:,} rows")
    return copied


def _batches(source: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """All rows in the order of their primary key, `BATCH_ROWS` at a time."""
    key = list(table.primary_key.columns)
    first = _selection(table, source).order_by(*key).limit(BATCH_ROWS)
    statement = first
    while rows := source.execute(statement).mappings().all():
        yield [dict(row) for row in rows]
        last = tuple_(*(literal(rows[-1][column.name], column.type) for column in key))
        statement = first.where(tuple_(*key) > last)


def _selection(table: Table, source: Connection) -> Select[Any]:
    """All columns; JSON as its text, because SQL's null and JSON's would be the same in Python."""
    convert = type_coerce if source.dialect.name == "sqlite" else cast
    return select(
        *(convert(column, Text).label(column.name) if isinstance(column.type, JSON) else column for column in table.c)
    )


def _insertion(table: Table, target: Connection) -> Insert:
    """The statement for a row of `_selection`."""
    values: dict[str, Any] = {column.name: bindparam(column.name, type_=column.type) for column in table.c}
    for column in table.c:
        if isinstance(column.type, JSON):
            json_text = bindparam(column.name, type_=Text())
            values[column.name] = json_text if target.dialect.name == "sqlite" else cast(json_text, column.type)
    return insert(table).values(values)


def _copy_sequence(source: Connection, target: Connection, table: Table) -> None:
    """Have the next row counted on from where it would have been: numbers of deleted rows are not used again."""
    column = table.autoincrement_column
    if column is None:
        return
    last = max(source.execute(select(func.max(column))).scalar_one() or 0, _last_number(source, table, column.name))
    if last and target.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, column.name)
        target.execute(select(func.setval(sequence, last)))
    elif last and table.dialect_options["sqlite"]["autoincrement"]:
        target.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        target.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), {"name": table.name, "last": last})


def _last_number(source: Connection, table: Table, column: str) -> int:
    """The last number that the table's sequence gave out; 0 if none is kept."""
    if source.dialect.name == "postgresql":
        sequence = cast(func.pg_get_serial_sequence(table.name, column), REGCLASS)
        return int(source.execute(select(func.pg_sequence_last_value(sequence))).scalar() or 0)
    if not table.dialect_options["sqlite"]["autoincrement"]:
        return 0
    kept = source.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name}).scalar()
    return int(kept or 0)


def _check_sealing_keys() -> None:
    """Raises `BackupRefused` if a signing key in use was sealed by a key that the settings do not have."""
    cache.forget()
    try:
        for key in cache.keys(max_age_seconds=0).values():
            if key.may_verify(clock.now()):
                key.private()
    except crypto.UnsealError as error:
        raise BackupRefused(
            "The backup was sealed with other secrets. Set those of the installation that it is from "
            "(secrets.sealing, session and tokens), and restore it again."
        ) from error
    finally:
        cache.forget()
