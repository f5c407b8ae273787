"""Find a school by what somebody typed: a DfE number, URN, UKPRN, postcode, or words of its name and town.

The one box and the three labelled fields come here alike. Schools that have left the register are not
offered; closed ones are, with what follows them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace as but
from datetime import date
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.schools import codes, gias, links, names, reading
from idp.schools.links import Next
from idp.schools.models import RegisterImport, School, begins_with
from idp.schools.reading import Kind, Reading
from idp.schools.status import Listed

PAGE: Final = 20
MOST: Final = 200
"""Results that are ever shown; whoever has not found it by then needs another word."""


@dataclass(frozen=True, slots=True)
class Found(Listed):
    """A school of the answer; `successors` follow it, if it is closed."""

    successors: tuple[Next, ...] = ()

    @property
    def aftermath(self) -> list[str]:
        """What became of a closed school, in sentences; nothing of an open one."""
        if not self.is_closed:
            return []
        return [step.says for step in self.successors] or ["The register does not say which school followed it."]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found. `reading` is how the input was understood, None when there was too little of it.

    `repaired` pairs words as typed with those taken instead; `dropped` words were left out. `more` says that
    there are further schools.
    """

    asked: str
    reading: Reading | None
    results: tuple[Found, ...] = ()
    more: bool = False
    repaired: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def choices(self) -> set[int]:
        """The ids of the schools that can be chosen, those that follow closed ones included."""
        found = {one.school.id for one in self.results if one.why_not is None}
        after = {
            step.school.id for one in self.results for step in one.successors if step.school and step.can_be_chosen
        }
        return found | after


def find(text: str, *, show: int = PAGE, kinds: Collection[Kind] | None = None) -> Answer:
    """The first `show` schools (at most `MOST`) for what was typed. Never raises, whatever was typed.

    With `kinds`, only what can be read as one of those is looked for.
    """
    show = min(max(show, 1), MOST)
    readings = [each for each in reading.read(text) if kinds is None or each.kind in kinds]
    answer = Answer(reading.tidy(text).strip(), readings[0] if readings else None)
    for read in readings:
        schools, query = _schools(read, show + 1)
        if schools:
            return but(
                answer,
                reading=read,
                results=_with_successors(schools[:show]),
                more=len(schools) > show,
                repaired=query.repaired,
                dropped=query.dropped,
            )
    return answer


def _schools(read: Reading, limit: int) -> tuple[Sequence[School], names.Query]:
    if read.kind == "name":
        match = names.find(read.values[0], limit)
        return match.schools, match.query
    return session().scalars(_SELECTED[read.kind](read).limit(limit)).all(), names.Query(())


def _with_successors(schools: Sequence[School]) -> tuple[Found, ...]:
    after = links.successors([school.register_id for school in schools if school.status_code == codes.CLOSED])
    return tuple(Found(school, after.get(school.register_id, ())) for school in schools)


def school(id_: int) -> School:
    """The school with this id of ours; raises `NotFound`."""
    found = session().get(School, id_) if 0 < id_ < 2**31 else None  # as far as a column's numbers go
    if found is None:
        raise NotFound(because=f"no school {id_}")
    return found


def successors(closed: School) -> tuple[Next, ...]:
    """What follows a closed school: the first open one of the chain, or all where it parts; empty if none is known."""
    return links.successors([closed.register_id])[closed.register_id] if closed.register == gias.REGISTER else ()


def dated() -> date | None:
    """The day of the register we have; None before the first import."""
    return session().scalar(select(RegisterImport.dated).order_by(RegisterImport.id.desc()).limit(1))


def _offered() -> Select[School]:
    return select(School).where(School.left_register_on.is_(None))


def _by_dfe_number(read: Reading) -> Select[School]:
    """Today's holders of the number first, the open one before the closed; then those that once had it."""
    number = read.values[0]
    now = School.dfe_number == number
    found = _offered().where(or_(now, School.former_dfe_number == number))
    return found.order_by(case((now, 0), else_=1), School.standing, School.name_key, School.id)


def _by_urn(read: Reading) -> Select[School]:
    return _offered().where(School.register == gias.REGISTER, School.register_id == read.values[0])


def _by_ukprn(read: Reading) -> Select[School]:
    found = _offered().where(School.ukprn == read.values[0])
    return found.order_by(School.standing, School.name_key, School.id)


def _by_postcode(read: Reading) -> Select[School]:
    """In the order of the beginnings: district B78 before B7 8.., because that is what "B78" says."""
    conditions = [_postcode_begins(value) for value in read.values]
    exact = School.postcode_key == read.values[0].replace(" ", "")
    ordered = (exact, *conditions)
    order = case(*((condition, at) for at, condition in enumerate(ordered)), else_=len(ordered))
    found = _offered().where(or_(*conditions))
    return found.order_by(School.standing, order, School.name_key, School.id)


def _postcode_begins(value: str) -> ColumnElement[bool]:
    """A space in `value` says where the outward part ends, and so how long the whole postcode is (BFPO's vary)."""
    key = value.replace(" ", "")
    begins = begins_with(School.postcode_key, key)
    if key.startswith("BFPO"):
        return begins
    return and_(begins, func.length(School.postcode_key) == value.index(" ") + 3) if " " in value else begins


_SELECTED: Final[Mapping[Kind, Callable[[Reading], Select[School]]]] = {
    "dfe_number": _by_dfe_number,
    "urn": _by_urn,
    "ukprn": _by_ukprn,
    "postcode": _by_postcode,
}
