"""Find audit entries: for operators, and for a school's own activity page."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select

from idp.audit.models import Details, Entry
from idp.foundation.database import session


def find(
    *,
    estab: str | None = None,
    client: str | None = None,
    actor: str | None = None,
    event: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[Entry]:
    """The newest `limit` entries that match all that is given, oldest first.

    `event` is one event (`sharing.given`) or all of its kind (`sharing`).
    """
    statement = select(Entry).order_by(Entry.id.desc()).limit(limit)
    for column, value in ((Entry.estab, estab), (Entry.client, client), (Entry.actor, actor)):
        if value is not None:
            statement = statement.where(column == value)
    if event is not None:
        statement = statement.where(Entry.event == event if "." in event else Entry.event.startswith(f"{event}."))
    if since is not None:
        statement = statement.where(Entry.at >= since)
    return list(reversed(session().scalars(statement).all()))


def newest_of_estab(estab_id: str, events: Iterable[str], *, offset: int = 0, limit: int | None = None) -> list[Entry]:
    """The entries of these events about the estab with this internal id, newest first; all without `limit`."""
    statement = select(Entry).where(Entry.estab == estab_id, Entry.event.in_(sorted(events)))
    newest = statement.order_by(Entry.at.desc(), Entry.id.desc())
    return list(session().scalars(newest.offset(offset).limit(limit)))


def details(entries: list[Entry]) -> dict[int, dict[str, Any]]:
    """The personal details of `entries` that have any and have not been erased, by entry id."""
    statement = select(Details).where(Details.entry_id.in_([entry.id for entry in entries]))
    return {rows.entry_id: rows.said for rows in session().scalars(statement)}
