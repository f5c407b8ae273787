"""What our records say of a person and a school, read for claims: Core statements, no ORM (performance.md §2)."""

from typing import Final, NamedTuple, cast

from sqlalchemy import FromClause, Table, bindparam, select

from idp.foundation.fastpath.statements import Statement
from idp.oidc import claims
from idp.schools.models import School
from idp.sharing import live

schools: Final = cast("Table", School.__table__)
COLUMNS: Final = (
    *(live.people.c[name] for name in claims.Person._fields),
    *(schools.c[name] for name in claims.School._fields),
)
"""The columns of a `claims.Person` and a `claims.School`, of tables that `beside` puts there."""


class Row(NamedTuple):
    """An administrator and their school."""

    person: claims.Person
    school: claims.School


_ROW: Final = Statement(
    Row,
    select(*COLUMNS)
    .select_from(
        live.people.join(live.estabs, live.estabs.c.id == live.people.c.estab_id).join(
            schools, schools.c.id == live.estabs.c.school_id
        )
    )
    .where(live.people.c.id == bindparam("its_id"), live.people.c.removed_at.is_(None)),
)


def beside(source: FromClause) -> FromClause:
    """`source`, which is `live.beside` something, with the school."""
    return source.outerjoin(schools, schools.c.id == live.estabs.c.school_id)


def of_person(person_id: str) -> Row | None:
    """The administrator and their school; None once the administrator has been removed."""
    return _ROW.one(its_id=person_id)
