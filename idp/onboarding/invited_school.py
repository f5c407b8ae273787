"""The school that a partner's invitation named: a registration at that partner's request begins with it.

It is remembered in the browser's form cookie, and only to save a search: it gives no rights, and another can be chosen.
"""

from typing import Final

from flask import session as form_cookie

from idp.foundation.database import session
from idp.partners.start_link import StartLink
from idp.schools.models import School

_COOKIE_FIELD: Final = "invited"


def remember(client_id: str, school: School) -> None:
    """Remember the school for this browser, until the next invitation that is begun in it."""
    form_cookie[_COOKIE_FIELD] = [client_id, school.id]


def find(partner: StartLink | None) -> School | None:
    """The school that an invitation of this partner's application named in this browser; None if there was none."""
    client_id, school_id = form_cookie.get(_COOKIE_FIELD) or ("", 0)
    return session().get(School, school_id) if partner is not None and partner.client_id == client_id else None
