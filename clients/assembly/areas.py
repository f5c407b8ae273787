"""The data Assembly asks schools for, in its own words, and how each stands.

A partner is not told why a data area is missing: it compares what it asked for with what its access token
covers, and knows that an unverified school's areas are held back until its provider has verified it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

IDENTITY = ("openid", "profile", "email", "organisation", "offline_access")
"""Who signs in, for which school, and leave to work while they are away."""

Standing = Literal["shared", "waiting", "perhaps", "not_shared"]


@dataclass(frozen=True, slots=True)
class Area:
    """One kind of school data. `needed`: Assembly does not work without it; the others are a school's choice."""

    scope: str
    title: str
    used_for: str
    needed: bool


AREAS = (
    Area("school", "School details", "Your terms, year groups and houses, so that our calendar is yours.", True),
    Area("students", "Pupils", "Who your pupils are, so that every app has the right names.", True),
    Area("staff", "Staff", "Who teaches whom, so that colleagues see their own classes.", True),
    Area("groups", "Classes and groups", "Who is in which class, kept up to date every night.", True),
    Area("timetable", "Timetable", "When lessons take place, for apps that follow the school day.", False),
    Area("attendance", "Attendance", "Session marks, for apps that look after attendance.", False),
)

SCOPE = " ".join((*IDENTITY, *(area.scope for area in AREAS)))
"""What Assembly asks for at every sign-in (RFC 6749 §3.3)."""


def standings(granted: frozenset[str], *, verified: bool) -> Iterator[tuple[Area, Standing]]:
    """How each area stands, given what the access token covers and whether the school has been verified.

    Of an area that is not needed, an unverified school may have agreed to it or not: `perhaps`.
    """
    for area in AREAS:
        if area.scope in granted:
            yield area, "shared"
        elif verified:
            yield area, "not_shared"
        else:
            yield area, "waiting" if area.needed else "perhaps"
