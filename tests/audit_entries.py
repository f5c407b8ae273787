"""Read the entries of the audit log in a test."""

from typing import Any

from sqlalchemy import select

from idp.audit.models import Details, Entry
from idp.foundation.database import session


def recorded(event: str) -> list[tuple[str, str | None, str | None, str | None, dict[str, Any], dict[str, Any] | None]]:
    """The entries of an event, oldest first: by, estab, client, subject, facts, details. Call it in a transaction."""
    session().flush()
    statement = select(Entry, Details.said).outerjoin(Details, Details.entry_id == Entry.id).where(Entry.event == event)
    return [
        (entry.actor, entry.estab, entry.client, entry.subject, entry.facts, details)
        for entry, details in session().execute(statement.order_by(Entry.id))
    ]
