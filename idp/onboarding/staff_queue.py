"""What our staff have to decide, the most urgent first: new schools, and requests to join.

A request to join is for our staff where the school is not verified or no owner answered in time, and where an owner
declined it: the person who asks may be from the real school.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from idp.foundation import clock, runtime
from idp.onboarding import join, review, working_days
from idp.onboarding.models import JoinRequest, Review

Kind = Literal["school", "join", "declined"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A new school, a request to join, or one that an owner declined."""

    kind: Kind
    id: str
    """The school's Estab ID, or the request's id."""
    school: str
    who: str
    """Who asks to join; empty for a new school."""
    waiting_since: datetime
    due_at: datetime

    @property
    def is_overdue(self) -> bool:
        """Whether it should have been decided by now."""
        return self.due_at < clock.now()


def waiting() -> list[Waiting]:
    """All that waits, the first due first."""
    everything = [*map(_new_school, review.queue()), *map(_join_request, join.requests_for_staff())]
    return sorted(everything, key=lambda item: item.due_at)


def _new_school(case: Review) -> Waiting:
    return Waiting("school", case.estab.estab_id, case.estab.name, "", case.opened_at, case.due_at)


def _join_request(request: JoinRequest) -> Waiting:
    """A request is due after as many working days as a new school, from when it came to us."""
    with_staff_since = request.used_at or request.expires_at
    due_at = working_days.end_of_working_day(
        with_staff_since, runtime.settings().onboarding.due_working_days, request.estab.school.country
    )
    kind: Kind = "declined" if request.decision == "declined" else "join"
    return Waiting(kind, request.id, request.estab.name, request.name, request.created_at, due_at)
