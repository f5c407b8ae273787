"""How schools follow one another: the links kept, and followed from a closed school to those after it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Row, Table, bindparam, delete, insert, select

from idp.foundation import clock, dates
from idp.foundation.database import connection, session
from idp.schools import codes, gias
from idp.schools.models import School, SchoolLink
from idp.schools.status import Listed, why_not

LINKS: Table = SchoolLink.__table__  # type: ignore[assignment]

_STEPS = (
    select(LINKS)
    .where(LINKS.c.is_succession, LINKS.c.from_urn.in_(bindparam("urns", expanding=True)))
    .order_by(LINKS.c.since, LINKS.c.to_urn)
)

_BACKWARDS: Final = "Predecessor"
_FORWARDS: Final = "Successor"

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Next:
    """A school that follows a closed one; `school` is None where the register does not have it."""

    name: str
    since: date | None
    school: School | None

    @property
    def listed(self) -> Listed | None:
        """As a list shows it."""
        return Listed(self.school) if self.school else None

    @property
    def can_be_chosen(self) -> bool:
        """Whether it may register, and follows already."""
        return self.school is not None and why_not(self.school) is None and not self.lies_ahead

    @property
    def lies_ahead(self) -> bool:
        """Announced only: it has not followed yet, or is not open yet."""
        proposed = self.school is not None and self.school.status_code == codes.PROPOSED
        return proposed or (self.since is not None and self.since > clock.today())

    @property
    def says(self) -> str:
        """What becomes of the closed school, in a sentence."""
        name = self.name or "a school"
        if self.school is None:
            return f"It was followed by {name}, which is not in the register."
        if not self.lies_ahead:
            return f"It was followed by {name}."
        when = self.since or self.school.opened_on
        return f"It will be followed by {name} on {dates.day(when)}." if when else f"It will be followed by {name}."


def replace(found: Iterable[gias.Link]) -> int:
    """Keep exactly these links; say how many there are. The same links again write nothing."""
    wanted: dict[Key, dict[str, Any]] = {}
    for link in found:
        _gather(link, wanted)
    unchanged, gone = set(), []
    for row in session().execute(select(LINKS)):
        key = (row.from_urn, row.to_urn, row.kind)
        if wanted.get(key) == {"is_succession": row.is_succession, "name": row.name, "since": row.since}:
            unchanged.add(key)
        else:
            gone.append({"its_id": row.id})
    if gone:
        connection().execute(delete(LINKS).where(LINKS.c.id == bindparam("its_id")), gone)
    rows = [
        {"from_urn": key[0], "to_urn": key[1], "kind": key[2], **rest}
        for key, rest in wanted.items()
        if key not in unchanged
    ]
    if rows:
        connection().execute(insert(LINKS), rows)
    return len(wanted)


def _gather(link: gias.Link, wanted: dict[Key, dict[str, Any]]) -> None:
    """Add a link to `wanted`, a predecessor turned round: many steps stand in the file in one direction only."""
    if link.from_urn == link.to_urn:
        return
    backwards = link.kind.startswith(_BACKWARDS)
    is_succession = backwards or link.kind.startswith(_FORWARDS)
    start, end = (link.to_urn, link.from_urn) if backwards else (link.from_urn, link.to_urn)
    kind = link.kind.replace(_BACKWARDS, _FORWARDS) if backwards else link.kind
    known = wanted.setdefault((start, end, kind), {"is_succession": is_succession, "name": "", "since": None})
    known["name"] = known["name"] or ("" if backwards else link.name)
    known["since"] = known["since"] or link.since


def successors(urns: Collection[str]) -> dict[str, tuple[Next, ...]]:
    """What follows each of these schools: the first open school of the chain, or all where it parts.

    Followed only while there is exactly one successor, and not into the future: a link that lies ahead is
    told and not followed. Empty where nothing is known. A query for each hop and one
    for the schools, however many there are.
    """
    if not urns:
        return {}
    graph = _graph(urns)
    ends = {step.to_urn for steps in graph.values() for step in steps}
    listed = select(School).where(
        School.register == gias.REGISTER, School.register_id.in_(ends), School.left_register_on.is_(None)
    )
    schools = {school.register_id: school for school in session().scalars(listed)} if ends else {}
    today = clock.today()
    return {urn: _follow(urn, graph, schools, today) for urn in urns}


def _graph(urns: Collection[str]) -> dict[str, list[Row[Any]]]:
    """Every succession that can be reached from `urns`, by the school it leads from: a query for each hop."""
    graph: dict[str, list[Row[Any]]] = defaultdict(list)
    seen: set[str] = set()
    ahead = set(urns)
    while ahead:
        seen |= ahead
        for step in session().execute(_STEPS, {"urns": sorted(ahead)}):
            if all(known.to_urn != step.to_urn for known in graph[step.from_urn]):
                graph[step.from_urn].append(step)
            ahead.add(step.to_urn)
        ahead -= seen  # there are loops
    return graph


def _follow(
    urn: str, graph: Mapping[str, list[Row[Any]]], schools: Mapping[str, School], today: date
) -> tuple[Next, ...]:
    """Walk on while there is exactly one way, up to the first school that is not closed."""
    been = {urn}
    while True:
        steps = [step for step in graph.get(urn, ()) if step.to_urn not in been]
        taken = [step for step in steps if step.since is None or step.since <= today]
        school = schools.get(taken[0].to_urn) if len(taken) == 1 else None
        if school is None or school.status_code != codes.CLOSED:
            return tuple(_next(step, schools) for step in taken or steps)
        urn = school.register_id
        been.add(urn)


def _next(step: Row[Any], schools: Mapping[str, School]) -> Next:
    school = schools.get(step.to_urn)
    return Next(school.name if school else step.name, step.since, school)
