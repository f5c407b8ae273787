"""Erase personal data of rejected accounts; their Estab ID, school and reason remain (security.md §6.4)."""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, or_, select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import Administrator, Estab, Membership
from idp.estabs.people import ERASED
from idp.foundation.database import row_isolated, session
from idp.onboarding.models import Registration, ReviewNote

BATCH_SIZE: Final = 50
"""The most accounts whose data one call erases."""


def erase_personal_data(before: datetime) -> int:
    """Erase the personal data of up to `BATCH_SIZE` accounts rejected before `before`; returns how many.

    The rows stay, without personal data: agreements and the audit log refer to their ids.
    """
    with_personal_data = (
        select(Membership.estab_id)
        .join(Administrator, Administrator.id == Membership.person_id)
        .where(
            Administrator.email_folded != ERASED,
            or_(Membership.removed_at.is_(None), Administrator.removed_at.is_not(None)),
        )
    )
    conditions = Estab.state == "rejected", Estab.state_changed_at < before, Estab.id.in_(with_personal_data)
    ids = list(
        session().scalars(select(Estab.id).where(*conditions).order_by(Estab.state_changed_at).limit(BATCH_SIZE))
    )
    erased = 0
    for estab_id in ids:
        with row_isolated("estab", estab_id):
            _erase(estab_id)
            erased += 1
    return erased


def _erase(estab_id: str) -> None:
    ids = people.ids_only_at(estab_id)
    for statement in (
        delete(ReviewNote).where(ReviewNote.estab_id == estab_id),
        update(Registration)
        .where(Registration.administrator_id.in_(ids))
        .values(name=ERASED, email=ERASED, verified_email=ERASED, mobile=ERASED, return_to=None),
    ):
        session().execute(statement.execution_options(synchronize_session=False))
    count = people.erase(estab_id)
    log.erase(estab_id)
    log.record(events.PERSONAL_DATA_ERASED, by="system", estab=estab_id, subject=estab_id, count=count)
