"""What our records say of a person and a school, read for claims: Core statements, no ORM (performance.md §2)."""

from dataclasses import fields
from typing import Any, Final, cast

from sqlalchemy import FromClause, Table, bindparam, select

from idp.foundation.prepared import Prepared
from idp.oidc import claims
from idp.schools.models import School
from idp.sharing import live

schools: Final = cast("Table", School.__table__)
_ABOUT_PERSON: Final = {each.name: f"person_{each.name}" for each in fields(claims.Person)}
_ABOUT_SCHOOL: Final = {each.name: f"school_{each.name}" for each in fields(claims.School)}
COLUMNS: Final = (
    *(live.people.c[name].label(label) for name, label in _ABOUT_PERSON.items()),
    *(schools.c[name].label(f"school_{name}") for name in _ABOUT_SCHOOL),
)
"""What `person_in` and `school_in` read of a row, of tables that `beside` puts there."""
_PERSON: Final = Prepared(
    select(*COLUMNS)
    .select_from(
        live.people.join(live.estabs, live.estabs.c.id == live.people.c.estab_id).join(
            schools, schools.c.id == live.estabs.c.school_id
        )
    )
    .where(live.people.c.id == bindparam("its_id"), live.people.c.removed_at.is_(None))
)


def beside(source: FromClause) -> FromClause:
    """`source`, which is `live.beside` something, with the school."""
    return source.outerjoin(schools, schools.c.id == live.estabs.c.school_id)


def of_person(person_id: str) -> Any | None:
    """A row with the columns of the administrator and their school; None once they have been removed."""
    return _PERSON.one(its_id=person_id)


def person_in(row: Any | None) -> claims.Person | None:
    """The administrator in a row with their columns; None where it has none. Whether they left, `live` says."""
    if row is None or row.person_id is None:
        return None
    return claims.Person(**{name: getattr(row, label) for name, label in _ABOUT_PERSON.items()})


def school_in(row: Any) -> claims.School:
    """The register's entry in a row with its columns."""
    return claims.School(**{name: getattr(row, label) for name, label in _ABOUT_SCHOOL.items()})
