"""What our records say of a person and a school, read for claims: Core statements, no ORM (performance.md §2)."""

from dataclasses import fields
from typing import Final, cast

from sqlalchemy import Table, bindparam, select

from idp.estabs.models import Administrator
from idp.foundation.database import connection
from idp.oidc import claims
from idp.schools.models import School

_people, _schools = cast("Table", Administrator.__table__), cast("Table", School.__table__)
_PERSON: Final = select(*(_people.c[each.name] for each in fields(claims.Person))).where(
    _people.c.id == bindparam("its_id"), _people.c.removed_at.is_(None)
)
_SCHOOL: Final = select(*(_schools.c[each.name] for each in fields(claims.School))).where(
    _schools.c.id == bindparam("its_id")
)


def person(person_id: str) -> claims.Person | None:
    """The administrator; None once they have been removed."""
    row = connection().execute(_PERSON, {"its_id": person_id}).one_or_none()
    return claims.Person(*row) if row else None


def school(school_id: int) -> claims.School:
    """The register's entry."""
    return claims.School(*connection().execute(_SCHOOL, {"its_id": school_id}).one())
