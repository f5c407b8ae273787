"""Describe a school's status for pages, and decide whether it may register."""

from dataclasses import dataclass

from idp.foundation import clock, dates
from idp.schools import codes
from idp.schools.entries import Entry
from idp.schools.models import School


def describe(school: School | Entry) -> str:
    """The status for a list: "Open, closing on 31 August 2026"."""
    today = clock.today()
    if school.left_register_on:
        return "No longer in the register"
    match school.status_code:
        case codes.OPEN:
            return "Open"
        case codes.CLOSING:
            ahead = school.closed_on and school.closed_on >= today
            return (
                f"Open, closing on {dates.day(school.closed_on)}"
                if ahead and school.closed_on
                else "Open, due to close"
            )
        case codes.PROPOSED:
            return f"Not open yet, opens on {dates.day(school.opened_on)}" if school.opened_on else "Not open yet"
        case codes.CLOSED:
            return f"Closed on {dates.day(school.closed_on)}" if school.closed_on else "Closed"
    return school.status_name


def phase(school: School | Entry) -> str:
    """The phase, or the type of a school that has no phase."""
    return school.type_name if school.phase_code in {"", "0"} else school.phase_name


def reason_not_to_register(school: School) -> str | None:
    """Why a school cannot register with us, in a sentence; None when it can."""
    if school.left_register_on:
        return "This school is no longer in the national register."
    if school.status_code == codes.CLOSED:
        return "This school has closed, so it cannot register."
    if school.status_code == codes.PROPOSED:
        when = f"on {dates.day(school.opened_on)}" if school.opened_on else "once it has opened"
        return f"This school is not open yet. It can register {when}."
    if school.type_code in codes.NOT_SCHOOLS:
        return "Children's centres and universities are in the register, but cannot register with us."
    if not school.is_open:
        return "The register does not list this school as open, so it cannot register."
    return None


@dataclass(frozen=True, slots=True)
class ListedSchool:
    """A school in a list."""

    school: School

    @property
    def is_closed(self) -> bool:
        """Whether it is closed, so that its successors are shown."""
        return self.school.status_code == codes.CLOSED

    @property
    def phase(self) -> str:
        """See `phase`."""
        return phase(self.school)

    @property
    def status(self) -> str:
        """Its status in words."""
        return describe(self.school)

    @property
    def refusal_reason(self) -> str | None:
        """The sentence that says why it cannot be chosen; None when it can."""
        return reason_not_to_register(self.school)
