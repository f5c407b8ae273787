"""What our records say of a person and a school, read for claims: Core statements, no ORM (performance.md §2)."""

from dataclasses import fields
from typing import Any, Final

from sqlalchemy import bindparam, select

from idp.foundation.prepared import Prepared
from idp.oidc import claims
from idp.sharing import live

_ABOUT_PERSON: Final = {each.name: f"person_{each.name}" for each in fields(claims.Person)}
_ABOUT_SCHOOL: Final = {each.name: f"school_{each.name}" for each in fields(claims.School)}
_PERSON_COLUMNS: Final = tuple(live.people.c[name].label(label) for name, label in _ABOUT_PERSON.items())
COLUMNS: Final = (
    *_PERSON_COLUMNS,
    *(live.schools.c[name].label(f"school_{name}") for name in _ABOUT_SCHOOL),
)
"""What `person` and `school` read of a row with `live.COLUMNS`, whose tables they are of."""
_PERSON: Final = Prepared(
    select(*_PERSON_COLUMNS).where(live.people.c.id == bindparam("its_id"), live.people.c.removed_at.is_(None))
)


def person(person_id: str) -> claims.Person | None:
    """The administrator; None once they have been removed."""
    return person_in(_PERSON.one(its_id=person_id))


def person_in(row: Any | None) -> claims.Person | None:
    """The administrator in a row with their columns; None where they are not of the school, or were removed."""
    if row is None or row.person_id is None:
        return None
    return claims.Person(**{name: getattr(row, label) for name, label in _ABOUT_PERSON.items()})


def school_in(row: Any) -> claims.School:
    """The register's entry in a row with its columns."""
    return claims.School(**{name: getattr(row, label) for name, label in _ABOUT_SCHOOL.items()})
