"""Entries of fictional schools, which partners make up to try their applications (`estabs.fictional`).

They are in no national register, and marked as having left theirs, so that no search finds them.
"""

import secrets
from typing import Final

from sqlalchemy import select

from idp.foundation import clock, crypto
from idp.foundation.database import session
from idp.foundation.errors import Refusal
from idp.schools import codes
from idp.schools.models import RegisterImport, School

REGISTER: Final = "fictional"
"""The name of their register."""
LA_CODE: Final = "999"
"""A local authority code that is given to none, so that no real school has such a DfE number."""
KINDS: Final = {
    "primary": ("Fictional Primary School", "2", "Primary", 4, 11),
    "secondary": ("Fictional Secondary School", "4", "Secondary", 11, 18),
}
"""The kinds of schools: name, code and name of the phase, and ages."""


class NoRegister(Refusal):
    """No register was ever imported into this service."""

    code, status, title = "no_register", 409, "There is no register of schools yet"
    message = "This service has no register of schools yet, so there can be no fictional ones either."


def add(kind: str, number: int) -> School:
    """Add a fictional school of this kind of `KINDS`. Raises `NoRegister`."""
    imported = session().scalar(select(RegisterImport.id).order_by(RegisterImport.id.desc()).limit(1))
    if imported is None:
        raise NoRegister(reason=kind)
    name, phase_code, phase_name, low_age, high_age = KINDS[kind]
    establishment = f"{secrets.randbelow(10_000):04}"
    school = School(
        register=REGISTER, register_id=crypto.new_id("fic"), name=f"{name} {number}", name_key="",
        la_code=LA_CODE, la_name="Nowhere", establishment_number=establishment,
        dfe_number=f"{LA_CODE}{establishment}", former_dfe_number=None, ukprn=None, type_code="", type_name="Fictional",
        group_code="", group_name="", status_code=codes.OPEN, status_name="Open", phase_code=phase_code,
        phase_name=phase_name, low_age=low_age, high_age=high_age, opened_on=None, closed_on=None,
        street="1 Example Street", locality="", address3="", town="Nowhere", county="", postcode="", postcode_key="",
        website="", website_host="", telephone="", telephone_e164="", trust_code="", trust_name="", head_teacher="",
        country="England", last_changed_on=None, digest=b"", first_seen_in=imported, last_seen_in=imported,
        left_register_on=clock.today(),
    )  # fmt: skip
    session().add(school)
    session().flush()
    return school
