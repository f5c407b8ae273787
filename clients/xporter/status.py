"""What is stored, in lines for support staff: numbers and times, and nothing about people."""

from collections.abc import Iterator

from sqlalchemy import select

from clients.xporter.database import Database
from clients.xporter.extracts import to_text
from clients.xporter.tables import collections, extracts, schools


def lines(database: Database) -> Iterator[str]:
    """One for each school, and below it its collections and its latest extracts."""
    with database.read() as connection:
        of_all = connection.execute(select(schools).order_by(schools.c.estab_id)).all()
        yield f"{len(of_all)} schools"
        for school in of_all:
            last = "never" if school.last_extract_at is None else to_text(school.last_extract_at)
            yield f"{school.estab_id}  {school.mis or '-'}  last extract applied: {last}"
            totals = select(collections).where(collections.c.school_id == school.id).order_by(collections.c.collection)
            for row in connection.execute(totals):
                yield f"  {row.collection}: {row.total}, changed {to_text(row.changed_at)}"
            latest = select(extracts).where(extracts.c.school_id == school.id).order_by(extracts.c.created_at.desc())
            for row in connection.execute(latest.limit(5)):
                reason = f" ({row.refusal}, {len(row.problems)} problems)" if row.refusal else ""
                arrived = f"{row.offset} of {row.bytes} bytes"
                yield f"  extract {row.id}: {row.state}{reason}, {arrived}, {to_text(row.changed_at)}"
