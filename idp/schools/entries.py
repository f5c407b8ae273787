"""Public data of schools in the national register. Rows instead of ORM objects, because a response contains many."""

from datetime import date
from typing import Any, Final, NamedTuple

from idp.schools.models import School


class Entry(NamedTuple):
    """The columns of `School` that partners receive. Loading `School` objects takes much longer."""

    id: int
    register: str
    register_id: str
    name: str
    dfe_number: str | None
    ukprn: str | None
    type_name: str
    phase_code: str
    phase_name: str
    status_code: str
    status_name: str
    la_name: str
    street: str
    locality: str
    address3: str
    """GIAS's Address3: a further line of the postal address."""
    town: str
    county: str
    postcode: str
    opened_on: date | None
    closed_on: date | None
    left_register_on: date | None

    @property
    def urn(self) -> str | None:
        """The URN, for schools of the English register."""
        return self.register_id if self.register == "gias" else None


COLUMNS: Final[tuple[Any, ...]] = tuple(getattr(School, name) for name in Entry._fields)
"""The columns of an `Entry`, in its order."""
