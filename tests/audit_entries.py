"""Read the entries of the audit log in a test."""

from typing import Any, NamedTuple

from sqlalchemy import select

from idp.audit.models import Details, Entry
from idp.foundation.database import session


class RecordedEntry(NamedTuple):
    """An entry of the audit log, with its details if they are not erased yet."""

    by: str
    estab: str | None
    client: str | None
    subject: str | None
    facts: dict[str, Any]
    details: dict[str, Any] | None


def recorded(event: str) -> list[RecordedEntry]:
    """The entries of an event, oldest first. Call it in a transaction."""
    session().flush()
    statement = select(Entry, Details.said).outerjoin(Details, Details.entry_id == Entry.id).where(Entry.event == event)
    return [
        RecordedEntry(entry.actor, entry.estab, entry.client, entry.subject, entry.facts, details)
        for entry, details in session().execute(statement.order_by(Entry.id))
    ]
