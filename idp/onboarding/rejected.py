"""What is kept of a rejected account in the long run: its number, its school's, and the reason (security.md §6.4)."""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import Administrator, Estab
from idp.estabs.people import ERASED
from idp.foundation.database import session
from idp.onboarding.models import Registration, ReviewNote

BATCH: Final = 50
"""Accounts at once."""


def reduce(before: datetime) -> int:
    """Erase what up to `BATCH` accounts that were rejected before then say of people; returns how many accounts.

    The rows of people stay, empty: agreements and the audit log name their ids.
    """
    named = select(Administrator.estab_id).where(Administrator.email_folded != ERASED)
    old = Estab.state == "rejected", Estab.state_changed_at < before, Estab.id.in_(named)
    ids = list(session().scalars(select(Estab.id).where(*old).order_by(Estab.state_changed_at).limit(BATCH)))
    for estab_id in ids:
        _reduce(estab_id)
    return len(ids)


def _reduce(estab_id: str) -> None:
    ids = select(Administrator.id).where(Administrator.estab_id == estab_id)
    for row in (
        delete(ReviewNote).where(ReviewNote.estab_id == estab_id),
        update(Registration)
        .where(Registration.administrator_id.in_(ids))
        .values(name=ERASED, email=ERASED, verified_email=ERASED, mobile=ERASED, return_to=None),
    ):
        session().execute(row.execution_options(synchronize_session=False))
    count = people.erase(estab_id)
    log.erase(estab_id)
    log.record(events.ESTAB_REDUCED, by="system", estab=estab_id, subject=estab_id, count=count)
