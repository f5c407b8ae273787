"""What is kept of a rejected account in the long run: its number, its school's, and the reason (security.md §6.4)."""

from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import CursorResult, delete, func, select, update

from idp.audit import events, log
from idp.estabs.models import Administrator, Estab, PersonalSecret
from idp.foundation import clock
from idp.foundation.database import session
from idp.onboarding.models import Registration, ReviewNote

BATCH: Final = 50
"""Accounts at once."""
GONE: Final = ""
"""In the place of a name, an address or a number that was erased."""


def reduce(before: datetime) -> int:
    """Erase what up to `BATCH` accounts that were rejected before then say of people; returns how many accounts.

    The rows of people stay, empty: agreements and the audit log name their ids.
    """
    named = select(Administrator.estab_id).where(Administrator.email_folded != GONE)
    old = Estab.state == "rejected", Estab.state_changed_at < before, Estab.id.in_(named)
    ids = list(session().scalars(select(Estab.id).where(*old).order_by(Estab.state_changed_at).limit(BATCH)))
    for estab_id in ids:
        _reduce(estab_id)
    return len(ids)


def _reduce(estab_id: str) -> None:
    people = select(Administrator.id).where(Administrator.estab_id == estab_id)
    for row in (
        delete(PersonalSecret).where(PersonalSecret.person_id.in_(people)),
        delete(ReviewNote).where(ReviewNote.estab_id == estab_id),
        update(Registration)
        .where(Registration.administrator_id.in_(people))
        .values(name=GONE, email=GONE, verified_email=GONE, mobile=GONE, return_to=None),
    ):
        session().execute(row.execution_options(synchronize_session=False))
    erased = (
        update(Administrator)
        .where(Administrator.estab_id == estab_id, Administrator.email_folded != GONE)
        .values(
            name=GONE, email=GONE, email_folded=GONE, sign_in_email=None, username=Administrator.id, mobile=GONE,
            mobile_confirmed_at=None, password_hash=None, updated_at=clock.now(),
            removed_at=func.coalesce(Administrator.removed_at, clock.now()),
        )
    )  # fmt: skip
    count = cast("CursorResult[Any]", session().execute(erased.execution_options(synchronize_session=False))).rowcount
    log.erase(estab_id)
    log.record(events.ESTAB_REDUCED, by="system", estab=estab_id, subject=estab_id, count=count)
