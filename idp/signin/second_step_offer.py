"""Owners without a second factor are asked to set one up; "not now" hides the offer for 30 days.

They are asked on the school's first page and on a partner's authorisation page, because many come from a partner and
never see the school's pages. It is not a page of its own: nothing has to be answered before they continue.

It is hidden by a counter that expires (`guesses.tally`), as those of notices are.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import select

from idp.estabs.models import Administrator
from idp.foundation import clock
from idp.foundation.database import session
from idp.signin import factors, guesses
from idp.signin.models import Guesses

SNOOZE_PERIOD: Final = timedelta(days=30)


def is_due(person: Administrator) -> bool:
    """Whether the offer is shown to the person now."""
    if not any(membership.is_owner for membership in person.memberships) or factors.has_any(person.id):
        return False
    is_snoozed = Guesses.key == _counter(person.id), Guesses.expires_at > clock.now()
    return session().scalar(select(Guesses.key).where(*is_snoozed)) is None


def snooze(person_id: str) -> None:
    """Hide the offer from the person for 30 days."""
    guesses.tally(_counter(person_id), SNOOZE_PERIOD)


def _counter(person_id: str) -> bytes:
    return guesses.key("second step offer", person_id)
