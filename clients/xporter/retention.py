"""Delete what is old: unfinished extracts, results, records marked as deleted, counts, and schools without data."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, exists, func, select, update

from clients.xporter import extracts, tables
from clients.xporter.database import Database
from clients.xporter.settings import Settings
from clients.xporter.tables import reads, records, schools

DAY_SECONDS: Final = 86_400.0
READS_DAYS: Final = 92
"""How long counts of reads are kept here. They are reported to the provider, which shows them to the school."""

log = logging.getLogger(__name__)


def delete_old(database: Database, settings: Settings, now: float) -> None:
    """Delete the rows whose retention period has passed, each kind in a transaction of its own."""
    with database.write() as connection:
        dropped = extracts.drop_old(
            connection,
            unfinished_before=now - settings.unfinished_hours * 3600,
            finished_before=now - settings.forget_days * DAY_SECONDS,
        )
    forgotten = _forget_deletions(database, now - settings.forget_days * DAY_SECONDS)
    with database.write() as connection:
        oldest = (datetime.fromtimestamp(now, UTC) - timedelta(days=READS_DAYS)).date().isoformat()
        connection.execute(delete(reads).where(reads.c.day < oldest))
        empty = schools.c.last_extract_at.is_(None), schools.c.created_at < now - settings.forget_days * DAY_SECONDS
        has_extract = exists().where(tables.extracts.c.school_id == schools.c.id)
        connection.execute(delete(schools).where(*empty, ~has_extract))
    if dropped or forgotten:
        log.info("deleted %d extracts, and forgot %d deletions", dropped, forgotten)


def _forget_deletions(database: Database, before: float) -> int:
    """Forget that records were deleted before then; cursors from before their deletion expire."""
    old = records.c.deleted_at < before
    with database.read() as connection:
        ids = list(connection.scalars(select(records.c.school_id).where(old).distinct()))
    forgotten = 0
    for school_id in ids:
        with database.write() as connection:
            # An extract that restores a deleted record has read its row, and must be applied before the row is deleted.
            connection.execute(select(schools.c.id).where(schools.c.id == school_id).with_for_update())
            conditions = records.c.school_id == school_id, old
            version = connection.execute(select(func.max(records.c.version)).where(*conditions)).scalar()
            if version is not None:
                school = schools.c.id == school_id, schools.c.forgotten_version < version
                connection.execute(update(schools).where(*school).values(forgotten_version=version))
                forgotten += connection.execute(delete(records).where(*conditions)).rowcount
    return forgotten
