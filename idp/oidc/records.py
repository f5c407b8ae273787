"""Records of a person and a school, read for claims: Core statements, no ORM (performance.md §2)."""

from typing import Final, NamedTuple, cast

from sqlalchemy import FromClause, Table, bindparam, select

from idp.estabs.models import Administrator
from idp.foundation.fastpath.statements import Statement
from idp.oidc import claims
from idp.schools.models import School
from idp.sharing import agreement_state

schools: Final = cast("Table", School.__table__)
_people = cast("Table", Administrator.__table__)
COLUMNS: Final = (
    *((agreement_state.memberships if name == "role" else _people).c[name] for name in claims.Person._fields),
    *(schools.c[name] for name in claims.School._fields),
)
"""The columns of a `claims.Person` and a `claims.School`, of the tables that `join_records` joins."""


class Row(NamedTuple):
    """An administrator and their school."""

    person: claims.Person
    school: claims.School


_ROW: Final = Statement(
    Row,
    select(*COLUMNS)
    .select_from(
        agreement_state.memberships.join(_people, _people.c.id == agreement_state.memberships.c.person_id)
        .join(agreement_state.estabs, agreement_state.estabs.c.id == agreement_state.memberships.c.estab_id)
        .join(schools, schools.c.id == agreement_state.estabs.c.school_id)
    )
    .where(
        agreement_state.memberships.c.person_id == bindparam("by_person"),
        agreement_state.memberships.c.estab_id == bindparam("by_estab"),
        agreement_state.memberships.c.removed_at.is_(None),
    ),
)


def join_records(source: FromClause) -> FromClause:
    """`source`, a result of `agreement_state.join_state`, joined with the person and the school."""
    return source.outerjoin(_people, _people.c.id == agreement_state.memberships.c.person_id).outerjoin(
        schools, schools.c.id == agreement_state.estabs.c.school_id
    )


def for_member(person_id: str, estab_id: str) -> Row | None:
    """The administrator, with their role at the estab with this internal id, and its school.

    None once the administrator no longer acts for it.
    """
    return _ROW.one(by_person=person_id, by_estab=estab_id)
