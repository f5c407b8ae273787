"""What is stored, as lines of text for support staff: numbers and times, without personal data."""

from collections.abc import Iterator

from sqlalchemy import select

from clients.xporter.database import Database
from clients.xporter.extracts import format_time
from clients.xporter.tables import collections, extracts, schools


def lines(database: Database) -> Iterator[str]:
    """A line for each school, followed by its collections and its latest extracts."""
    with database.read() as connection:
        rows = connection.execute(select(schools).order_by(schools.c.estab_id)).all()
        yield f"{len(rows)} schools"
        for school in rows:
            last = "never" if school.last_extract_at is None else format_time(school.last_extract_at)
            yield f"{school.estab_id}  {school.mis or '-'}  last extract applied: {last}"
            totals = select(collections).where(collections.c.school_id == school.id).order_by(collections.c.collection)
            for row in connection.execute(totals):
                yield f"  {row.collection}: {row.total}, changed {format_time(row.changed_at)}"
            latest = select(extracts).where(extracts.c.school_id == school.id).order_by(extracts.c.created_at.desc())
            for row in connection.execute(latest.limit(5)):
                reason = f" ({row.refusal}, {len(row.problems)} problems)" if row.refusal else ""
                arrived = f"{row.offset} of {row.bytes} bytes"
                yield f"  extract {row.id}: {row.state}{reason}, {arrived}, {format_time(row.changed_at)}"
