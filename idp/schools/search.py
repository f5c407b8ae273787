"""Find a school by a DfE number, URN, UKPRN, postcode, or words of its name and town.

Both the search box and the labelled fields use it. Schools that have left the register are not found; closed ones
are, with their successors.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.schools import codes, gias, name_search, query_parser, succession
from idp.schools.entries import Entry
from idp.schools.models import RegisterImport, School, begins_with
from idp.schools.query_parser import QueryKind, Reading
from idp.schools.status import ListedSchool
from idp.schools.succession import Successor

PAGE_SIZE: Final = 20
"""Schools of a page of results."""
MAX_RESULTS: Final = 200
"""The most results that are shown; to see others, the person has to add a word."""


@dataclass(frozen=True, slots=True)
class FoundSchool(ListedSchool):
    """A school of the result, with its successors if it is closed."""

    successors: tuple[Successor, ...] = ()

    @property
    def successor_descriptions(self) -> list[str]:
        """Sentences about the successors of a closed school; none for an open one."""
        if not self.is_closed:
            return []
        return [step.description for step in self.successors] or ["The register does not say which school followed it."]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search for `text`. `reading` is how it was interpreted, None if it was too short.

    `repaired` pairs the typed words with their replacements; `dropped` words were left out. `more` means that there
    are further schools.
    """

    text: str
    reading: Reading | None
    results: tuple[FoundSchool, ...] = ()
    more: bool = False
    repaired: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def choices(self) -> set[int]:
        """The ids of the schools that can be chosen, including successors of closed ones."""
        listed_ids = {listed.school.id for listed in self.results if listed.refusal_reason is None}
        successors = {
            successor.school.id
            for listed in self.results
            for successor in listed.successors
            if successor.school and successor.can_be_chosen
        }
        return listed_ids | successors


def find(text: str, *, show: int = PAGE_SIZE, kinds: Collection[QueryKind] | None = None) -> SearchResult:
    """The first `show` schools (at most `MAX_RESULTS`) for `text`. Never raises.

    With `kinds`, only interpretations of those kinds are searched for.
    """
    show = min(max(show, 1), MAX_RESULTS)
    readings = [reading for reading in query_parser.parse(text) if kinds is None or reading.kind in kinds]
    empty = SearchResult(query_parser.tidy(text).strip(), readings[0] if readings else None)
    for reading in readings:
        schools, query = _schools(reading, show + 1)
        if schools:
            return replace(
                empty,
                reading=reading,
                results=_with_successors(schools[:show]),
                more=len(schools) > show,
                repaired=query.repaired,
                dropped=query.dropped,
            )
    return empty


def _schools(reading: Reading, limit: int) -> tuple[Sequence[School], name_search.NameQuery]:
    if reading.kind == "name":
        match = name_search.find(reading.values[0], limit)
        return match.schools, match.query
    return session().scalars(_STATEMENTS[reading.kind](reading).limit(limit)).all(), name_search.NameQuery(())


def _with_successors(schools: Sequence[School]) -> tuple[FoundSchool, ...]:
    closed = [school.register_id for school in schools if school.status_code == codes.CLOSED]
    successors_by_urn = succession.successors(closed)
    return tuple(FoundSchool(school, successors_by_urn.get(school.register_id, ())) for school in schools)


def parse_id(text: str) -> int:
    """The internal id of a school in a URL. Raises `ValueError` for other text and for numbers out of range."""
    id_ = int(text)
    if not _may_be_an_id(id_):
        raise ValueError(f"{id_} is outside the range of the column")
    return id_


def _may_be_an_id(number: int) -> bool:
    return 0 < number < 2**31  # the range of the column: PostgreSQL rejects a query with a larger number


def school(id_: int) -> School:
    """The school with this internal id; raises `NotFound`."""
    row = session().get(School, id_) if _may_be_an_id(id_) else None
    if row is None:
        raise NotFound(reason=f"no school {id_}")
    return row


def successors(closed: School) -> tuple[Successor, ...]:
    """The successors of a closed school, as `succession.successors` finds them; empty if unknown."""
    return successors_of([closed]).get(closed.id, ())


def successors_of(closed: Collection[School | Entry]) -> dict[int, tuple[Successor, ...]]:
    """The successors of several closed schools of the English register, by those schools' internal ids."""
    ids = {school.register_id: school.id for school in closed if school.register == gias.REGISTER}
    return {ids[urn]: found for urn, found in succession.successors(ids.keys()).items()}


def register_date() -> date | None:
    """The date of the last imported register; None before the first import."""
    return session().scalar(select(RegisterImport.dated).order_by(RegisterImport.id.desc()).limit(1))


def _in_register() -> Select[School]:
    return select(School).where(School.left_register_on.is_(None))


def _by_dfe_number(reading: Reading) -> Select[School]:
    """Schools that have the number now, open ones first; then schools that had it before."""
    number = reading.values[0]
    current = School.dfe_number == number
    statement = _in_register().where(or_(current, School.former_dfe_number == number))
    return statement.order_by(case((current, 0), else_=1), School.standing, School.name_key, School.id)


def _by_urn(reading: Reading) -> Select[School]:
    return _in_register().where(School.register == gias.REGISTER, School.register_id == reading.values[0])


def _by_ukprn(reading: Reading) -> Select[School]:
    statement = _in_register().where(School.ukprn == reading.values[0])
    return statement.order_by(School.standing, School.name_key, School.id)


def _by_postcode(reading: Reading) -> Select[School]:
    """In the order of `reading.values`: district B78 before B7 8.., the likelier meaning of "B78"."""
    conditions = [_postcode_begins(value) for value in reading.values]
    exact = School.postcode_key == reading.values[0].replace(" ", "")
    ordered = (exact, *conditions)
    order = case(*((condition, position) for position, condition in enumerate(ordered)), else_=len(ordered))
    statement = _in_register().where(or_(*conditions))
    return statement.order_by(School.standing, order, School.name_key, School.id)


def _postcode_begins(value: str) -> ColumnElement[bool]:
    """Whether the postcode begins with `value`. If `value` has a space, the outward part must be equal (except BFPO).

    Postcodes are stored without a space. As the inward part always has three characters, the length determines where
    the outward part ends.
    """
    key = value.replace(" ", "")
    begins = begins_with(School.postcode_key, key)
    if key.startswith("BFPO"):
        return begins
    return and_(begins, func.length(School.postcode_key) == value.index(" ") + 3) if " " in value else begins


_STATEMENTS: Final[Mapping[QueryKind, Callable[[Reading], Select[School]]]] = {
    "dfe_number": _by_dfe_number,
    "urn": _by_urn,
    "ukprn": _by_ukprn,
    "postcode": _by_postcode,
}
