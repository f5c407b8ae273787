"""Find the school that a partner wants to invite, by its URN or its DfE number. It has to be open."""

from collections.abc import Sequence

from idp.foundation.errors import Refusal
from idp.schools import search
from idp.schools.models import School
from idp.schools.query_parser import QueryKind
from idp.schools.succession import Successor


class SchoolUnknown(Refusal):
    """No school of the register has this number."""

    code, status, title = "school_unknown", 422, "There is no such school"
    message = "No school in the national register has this number."


class SchoolNotOpen(Refusal):
    """The school has closed, is not open yet, or cannot register for another reason; the message says which."""

    code, status, title = "school_not_open", 422, "This school cannot be invited"

    def __init__(self, message: str, *, successors: Sequence[Successor] = (), reason: str = "") -> None:
        self.successors = tuple(successors)
        """The schools that followed it; those that are in the register have a `school`."""
        super().__init__(message, reason=reason)


def by_urn(urn: str) -> School:
    """The open school with this URN. Raises `SchoolUnknown` and `SchoolNotOpen`."""
    return _one(urn, "urn")


def by_dfe_number(number: str) -> School:
    """The open school with this DfE number, with or without its slash. Raises the errors of `by_urn`.

    A closed school and its successor may share a number: the open one is meant.
    """
    return _one(number, "dfe_number")


def require_open(school: School) -> None:
    """Raise `SchoolNotOpen` where `school` cannot register."""
    listed = search.FoundSchool(school)
    if listed.refusal_reason is not None:
        after = search.successors(school) if listed.is_closed else ()
        message = " ".join([listed.refusal_reason, *(step.description for step in after)])
        raise SchoolNotOpen(message, successors=after, reason=f"school {school.id} is {school.status_name}")


def _one(text: str, kind: QueryKind) -> School:
    results = search.find(text, kinds={kind}).results
    if not results:
        raise SchoolUnknown(reason=f"{kind} {text[:40]!r}")
    school = next((result.school for result in results if result.refusal_reason is None), results[0].school)
    require_open(school)
    return school
