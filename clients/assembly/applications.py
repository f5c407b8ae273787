"""The two applications of the company: Assembly and SchoolBooking. One program, and a registration for each.

An application says what it asks schools for, and which management information systems (MIS) it works with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

IDENTITY = ("openid", "profile", "email", "organisation", "offline_access")
"""Scopes about the person and the school, and a refresh token (`offline_access`)."""

MIS_NAMES = {"sims": "SIMS", "cmis": "CMIS", "pupil_asset": "Pupil Asset", "isams": "iSAMS", "arbor": "Arbor"}
"""The systems that can be connected, by the provider's codes."""

AreaState = Literal["shared", "waiting", "paused", "not_shared"]


@dataclass(frozen=True, slots=True)
class Area:
    """One kind of school data. `needed`: the application does not work without it; the others are a school's choice."""

    scope: str
    title: str
    used_for: str
    needed: bool


@dataclass(frozen=True, slots=True)
class Application:
    """What is different between the applications."""

    key: str
    """Its client id in the manifest, and the prefix of its settings in small letters."""
    name: str
    headline: str
    summary: str
    areas: tuple[Area, ...]
    accepted_mis: frozenset[str]
    mis_reason: str = ""
    """Why a school with another system cannot use it, for people."""

    @property
    def accepted_mis_names(self) -> str:
        """The systems that it works with, for people: "iSAMS and Arbor"."""
        return " and ".join(name for code, name in MIS_NAMES.items() if code in self.accepted_mis)

    @property
    def data_scope(self) -> str:
        """The school data that it asks for."""
        return " ".join(area.scope for area in self.areas)

    @property
    def scope(self) -> str:
        """What it asks for at every sign-in (RFC 6749 §3.3)."""
        return " ".join((*IDENTITY, self.data_scope))

    def area_states(
        self, granted: frozenset[str], withheld: frozenset[str], *, paused: bool
    ) -> Iterator[tuple[Area, AreaState]]:
        """The state of each area.

        Scopes of the access token are shared. Those that the provider names in `withheld_scope` wait: the school agreed
        to them, and they are withheld, usually until it is verified. The others the school chose not to share.
        """
        for area in self.areas:
            if area.scope in granted | withheld:
                state: AreaState = "shared" if area.scope in granted else "waiting"
                yield area, "paused" if paused else state
            else:
                yield area, "not_shared"


ASSEMBLY = Application(
    key="assembly",
    name="Assembly",
    headline="Notice who needs help before the report does.",
    summary="Assembly shows attendance next to results, from your school's own records, and from nothing you have "
    "not agreed to share.",
    areas=(
        Area("school", "School details", "Your terms, year groups and houses, so that our calendar is yours.", True),
        Area("students", "Pupils", "Who your pupils are, and which year and registration group they are in.", True),
        Area("attendance", "Attendance", "Marks and reasons for absence, next to the results they may explain.", False),
        Area("assessment", "Assessment", "Results and teacher assessments, term by term.", False),
        Area("classes", "Classes and groups", "So that teachers see a whole class at a glance.", False),
        Area("timetable", "Timetable", "Which lessons are missed, not only which days.", False),
        Area("staff", "Staff", "So that colleagues find their own classes when they sign in.", False),
        Area("contacts", "Parents and carers", "Whom to ring, on the page where you notice that you should.", False),
        Area("students.demographics", "Pupils: background", "To compare how groups of pupils fare.", False),
        Area("students.sen", "Pupils: special educational needs", "To see whether support makes a difference.", False),
    ),
    accepted_mis=frozenset(MIS_NAMES),
)

SCHOOLBOOKING = Application(
    key="schoolbooking",
    name="SchoolBooking",
    headline="Parents' evenings that book themselves.",
    summary="SchoolBooking offers parents the teachers of their own children, at times that both have, from your "
    "school's own records.",
    areas=(
        Area("school", "School details", "Your terms and year groups, so that an evening has a year group.", True),
        Area("students", "Pupils", "Whose evening it is.", True),
        Area("contacts", "Parents and carers", "Who is invited, and to whose evening.", True),
        Area("classes", "Classes and groups", "Which teachers a child has.", False),
        Area("staff", "Staff", "So that teachers see their own bookings.", False),
    ),
    accepted_mis=frozenset({"isams", "arbor"}),
    mis_reason="SchoolBooking needs each child's teachers together with their parents. Through this connection only "
    "iSAMS and Arbor give us both.",
)

APPLICATIONS = {application.key: application for application in (ASSEMBLY, SCHOOLBOOKING)}
