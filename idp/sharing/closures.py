"""Schools that have closed in the national register, or are about to: their owners are told, and nothing is ended.

Sharing stays in force until the school or our staff end it (decision 18). A successor can continue it (`releases`).
Partners and our staff are told of each change in the register by `operate.register_changes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import select

from idp.estabs import accounts, people
from idp.estabs.models import ACTIVE_STATES, Estab
from idp.estabs.permissions import Action
from idp.foundation import dates, runtime
from idp.foundation.database import row_isolated, session
from idp.outbox import post
from idp.schools import codes, gias, succession
from idp.schools.models import School
from idp.schools.succession import Successor

BATCH_SIZE: Final = 100
"""Schools whose owners are told in one transaction."""
CLOSING_STATUSES: Final = (codes.CLOSING, codes.CLOSED)


@dataclass(frozen=True, slots=True)
class Closing:
    """What the register says about the closing of a school that has closed or is about to."""

    is_closed: bool
    on: date | None
    """The day, if the register names one."""
    successors: Sequence[Successor]

    @property
    def description(self) -> str:
        """The closing in words: "closed on 31 August 2026", "will close on 31 August 2027"."""
        if self.on is None:
            return "has closed" if self.is_closed else "is due to close"
        return f"{'closed' if self.is_closed else 'will close'} on {dates.day(self.on)}"


def closing_of(school: School) -> Closing | None:
    """What the register says about the closing of `school`; None if it stays open."""
    if school.status_code not in CLOSING_STATUSES:
        return None
    return Closing(school.status_code == codes.CLOSED, school.closed_on, successors(school))


def successors(school: School) -> tuple[Successor, ...]:
    """The successors of `school`, as the register links them; also for a school that is about to close."""
    if school.register != gias.REGISTER:
        return ()
    successors = succession.successors([school.register_id])[school.register_id]
    return tuple(successor for successor in successors if successor.school is None or successor.school.id != school.id)


def announce_due() -> bool:
    """Tell owners of schools that have closed or are about to, once each; returns whether there may be more."""
    accounts.reset_closing_notified(CLOSING_STATUSES)
    return max([_tell(status) == BATCH_SIZE for status in CLOSING_STATUSES])


def all_closing() -> list[tuple[Estab, Closing]]:
    """The open accounts of schools that have closed or are about to, by name; for our staff."""
    statement = (
        select(Estab).join(School).where(Estab.state.in_(ACTIVE_STATES), School.status_code.in_(CLOSING_STATUSES))
    )
    rows = session().scalars(statement.order_by(School.name, Estab.id)).all()
    return [(estab, closing) for estab in rows if (closing := closing_of(estab.school)) is not None]


def _tell(status: str) -> int:
    """Tell the owners of the next schools with this status, and return how many schools there were."""
    estab_ids = accounts.mark_closing_notified(status, limit=BATCH_SIZE)
    for estab_id in estab_ids:
        with row_isolated("closing school", estab_id):
            estab = session().get_one(Estab, estab_id, populate_existing=True)
            closing = closing_of(estab.school)
            assert closing is not None  # the statement asks for it
            _mail(estab, closing)
    return len(estab_ids)


def _mail(estab: Estab, closing: Closing) -> None:
    for owner in people.who_may(estab.id, Action.RECEIVE_SHARING_NOTICES):
        post.email(
            "school_closing", to=owner.email, estab=estab.id, owner=owner.name_in_mails, school=estab.name,
            estab_id=estab.estab_id, closing=closing, link=runtime.url(f"/manage/closing?school={estab.estab_id}"),
        )  # fmt: skip
