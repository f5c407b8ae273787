"""Checks of `idp doctor` for the queue of new schools."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import func, select

from idp.foundation import clock
from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding
from idp.onboarding.models import Review


def onboarding() -> Iterator[Finding]:
    """Check that no school waits longer for our decision than we promise."""
    overdue = session().scalar(select(func.count()).where(Review.decided_at.is_(None), Review.due_at < clock.now()))
    if overdue:
        yield Finding(
            "onboarding", "warning", f"{overdue} schools should have been checked", "see: idp onboarding queue"
        )
    else:
        yield Finding("onboarding", "ok", "no school is overdue")


CHECKS: Final[tuple[Check, ...]] = (onboarding,)
