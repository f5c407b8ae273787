"""Which schools succeed one another: store the register's links, and find the successors of a closed school."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Table, bindparam, delete, insert, select

from idp.foundation import clock, dates
from idp.foundation.database import connection, session
from idp.schools import codes, gias
from idp.schools.models import School, SchoolLink
from idp.schools.status import ListedSchool, reason_not_to_register

LINKS: Table = SchoolLink.__table__  # type: ignore[assignment]

_SUCCESSIONS = (
    select(SchoolLink)
    .where(SchoolLink.is_succession, SchoolLink.from_urn.in_(bindparam("urns", expanding=True)))
    .order_by(SchoolLink.since, SchoolLink.to_urn)
)

_BACKWARDS: Final = "Predecessor"
_FORWARDS: Final = "Successor"

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Successor:
    """A school that succeeds a closed one; `school` is None if it is not in the register."""

    name: str
    since: date | None
    school: School | None

    @property
    def listed(self) -> ListedSchool | None:
        """The school for a list."""
        return ListedSchool(self.school) if self.school else None

    @property
    def can_be_chosen(self) -> bool:
        """Whether it may register, and the succession has taken effect."""
        return self.school is not None and reason_not_to_register(self.school) is None and not self.lies_ahead

    @property
    def lies_ahead(self) -> bool:
        """Whether the succession is only announced, or the school is not open yet."""
        proposed = self.school is not None and self.school.status_code == codes.PROPOSED
        return proposed or (self.since is not None and self.since > clock.today())

    @property
    def description(self) -> str:
        """A sentence about the closed school's successor."""
        name = self.name or "a school"
        if self.school is None:
            return f"It was followed by {name}, which is not in the register."
        if not self.lies_ahead:
            return f"It was followed by {name}."
        when = self.since or self.school.opened_on
        return f"It will be followed by {name} on {dates.day(when)}." if when else f"It will be followed by {name}."


def replace(links: Iterable[gias.Link]) -> int:
    """Replace the stored links by these; returns their number. Unchanged links are not written."""
    new_links: dict[Key, dict[str, Any]] = {}
    for link in links:
        _add_link(link, new_links)
    unchanged, outdated = set(), []
    for row in session().execute(select(LINKS)):
        key = (row.from_urn, row.to_urn, row.kind)
        if new_links.get(key) == {"is_succession": row.is_succession, "name": row.name, "since": row.since}:
            unchanged.add(key)
        else:
            outdated.append({"by_id": row.id})
    if outdated:
        connection().execute(delete(LINKS).where(LINKS.c.id == bindparam("by_id")), outdated)
    rows = [
        {"from_urn": key[0], "to_urn": key[1], "kind": key[2], **values}
        for key, values in new_links.items()
        if key not in unchanged
    ]
    if rows:
        connection().execute(insert(LINKS), rows)
    return len(new_links)


def _add_link(link: gias.Link, new_links: dict[Key, dict[str, Any]]) -> None:
    """Add a link to `new_links`, with predecessors reversed: the file has many of them in one direction only."""
    if link.from_urn == link.to_urn:
        return
    backwards = link.kind.startswith(_BACKWARDS)
    is_succession = backwards or link.kind.startswith(_FORWARDS)
    start, end = (link.to_urn, link.from_urn) if backwards else (link.from_urn, link.to_urn)
    kind = link.kind.replace(_BACKWARDS, _FORWARDS) if backwards else link.kind
    values = new_links.setdefault((start, end, kind), {"is_succession": is_succession, "name": "", "since": None})
    values["name"] = values["name"] or ("" if backwards else link.name)
    values["since"] = values["since"] or link.since


def successors(urns: Collection[str]) -> dict[str, tuple[Successor, ...]]:
    """The successors of each of these schools: the first open school of the chain, or all where it branches.

    A chain is followed while there is exactly one successor and its date is not in the future; a future one is
    returned but not followed. Empty if none is known. Takes one query per hop and one for the schools.
    """
    if not urns:
        return {}
    graph = _graph(urns)
    ends = {step.to_urn for steps in graph.values() for step in steps}
    statement = select(School).where(
        School.register == gias.REGISTER, School.register_id.in_(ends), School.left_register_on.is_(None)
    )
    schools = {school.register_id: school for school in session().scalars(statement)} if ends else {}
    today = clock.today()
    return {urn: _follow(urn, graph, schools, today) for urn in urns}


def _graph(urns: Collection[str]) -> dict[str, list[SchoolLink]]:
    """Every succession that can be reached from `urns`, by the school it leads from: one query per hop."""
    graph: dict[str, list[SchoolLink]] = defaultdict(list)
    visited: set[str] = set()
    ahead = set(urns)
    while ahead:
        visited |= ahead
        for step in session().scalars(_SUCCESSIONS, {"urns": sorted(ahead)}):
            if all(existing.to_urn != step.to_urn for existing in graph[step.from_urn]):
                graph[step.from_urn].append(step)
            ahead.add(step.to_urn)
        ahead -= visited  # the register has cycles
    return graph


def _follow(
    urn: str, graph: Mapping[str, list[SchoolLink]], schools: Mapping[str, School], today: date
) -> tuple[Successor, ...]:
    """Follow the chain while there is exactly one successor, up to the first school that is not closed."""
    visited = {urn}
    while True:
        steps = [step for step in graph.get(urn, ()) if step.to_urn not in visited]
        current = [step for step in steps if step.since is None or step.since <= today]
        school = schools.get(current[0].to_urn) if len(current) == 1 else None
        if school is None or school.status_code != codes.CLOSED:
            return tuple(_successor(step, schools) for step in current or steps)
        urn = school.register_id
        visited.add(urn)


def _successor(step: SchoolLink, schools: Mapping[str, School]) -> Successor:
    school = schools.get(step.to_urn)
    return Successor(school.name if school else step.name, step.since, school)
