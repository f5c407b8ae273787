"""The data Assembly asks schools for, in its own words, and how each stands.

What the access token covers is shared. What the provider names in `withheld_scope` the school agreed to, and it is held
back for now, as a rule until the school has been verified. The rest of what we ask for the school chose not to share.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

IDENTITY = ("openid", "profile", "email", "organisation", "offline_access")
"""Who signs in, for which school, and leave to work while they are away."""

AreaState = Literal["shared", "waiting", "paused", "not_shared"]


@dataclass(frozen=True, slots=True)
class Area:
    """One kind of school data. `needed`: Assembly does not work without it; the others are a school's choice."""

    scope: str
    title: str
    used_for: str
    needed: bool


AREAS = (
    Area("school", "School details", "Your terms, year groups and houses, so that our calendar is yours.", True),
    Area("students", "Pupils", "Who your pupils are, and which year and registration group they are in.", True),
    Area("attendance", "Attendance", "Marks and reasons for absence, beside the results they may explain.", False),
    Area("assessment", "Assessment", "Results and teacher assessments, term by term.", False),
    Area("classes", "Classes and groups", "So that teachers see a whole class at a glance.", False),
    Area("timetable", "Timetable", "Which lessons are missed, not only which days.", False),
    Area("staff", "Staff", "So that colleagues find their own classes when they sign in.", False),
    Area("contacts", "Parents and carers", "Whom to ring, on the page where you notice that you should.", False),
    Area("students.demographics", "Pupils: background", "To compare how groups of pupils fare.", False),
    Area("students.sen", "Pupils: special educational needs", "To see whether support makes a difference.", False),
)

SCOPE = " ".join((*IDENTITY, *(area.scope for area in AREAS)))
"""What Assembly asks for at every sign-in (RFC 6749 §3.3)."""


def area_states(granted: frozenset[str], withheld: frozenset[str], *, paused: bool) -> Iterator[tuple[Area, AreaState]]:
    """How each area stands, given what was granted and withheld last; while the school has `paused`, nothing comes."""
    for area in AREAS:
        if area.scope in granted:
            yield area, "paused" if paused else "shared"
        elif area.scope in withheld:
            yield area, "paused" if paused else "waiting"
        else:
            yield area, "not_shared"
