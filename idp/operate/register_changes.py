"""Tell our staff what the school register says anew about schools that have an account.

An import leaves each change in `school_changes`; a school that closed, left or came back, or has another name or
number, may need a telephone call. All other changes are put down as told without a mail.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from idp.estabs.models import FINAL_STATES, Estab
from idp.foundation.database import session
from idp.outbox import post
from idp.schools import changes
from idp.schools.models import School, SchoolChange
from idp.signin import operators

BATCH: Final = 2_000
"""Changes looked at in one transaction; the first import has one for each school of the register."""
MOST_TOLD: Final = 200
"""Lines of one mail; the rest is in the next."""
WORDS: Final = {
    "closed": "is closed in the register", "reopened": "is open again in the register", "left": "left the register",
    "returned": "is in the register again",
}  # fmt: skip
FIELDS: Final = {"name": "name", "dfe_number": "DfE number"}
"""Of a change, what concerns an account, and what it is called."""


@dataclass(frozen=True, slots=True)
class News:
    """One line of the mail."""

    school: str
    estab_id: str
    what: str


def tell() -> bool:
    """Take the next changes that operators were not told of; whether there may be more.

    Without an operator to write to, none is taken.
    """
    to = [one.email for one in operators.all_operators() if one.set_up_at is not None and one.disabled_at is None]
    if not to:
        return False
    taken = changes.claim(BATCH)
    news = _news(taken)
    for first in range(0, len(news), MOST_TOLD):
        for address in to:
            post.email("register_changes", to=address, news=news[first : first + MOST_TOLD])
    return len(taken) == BATCH


def _news(taken: list[int]) -> list[News]:
    """What of these changes concerns a living account."""
    concerned = (
        select(SchoolChange, School, Estab)
        .join(School, School.id == SchoolChange.school_id)
        .join(Estab, (Estab.school_id == School.id) & Estab.state.not_in(FINAL_STATES))
        .where(SchoolChange.id.in_(taken))
        .order_by(SchoolChange.id)
    )
    found = [(school, estab, _what(change)) for change, school, estab in session().execute(concerned)]
    return [News(school.name, estab.estab_id, what) for school, estab, what in found if what]


def _what(change: SchoolChange) -> str:
    """A change in words; nothing where it concerns no account."""
    if change.kind in WORDS:
        return WORDS[change.kind]
    named = [_differs(FIELDS[name], each) for name, each in change.details.items() if name in FIELDS]
    return "; ".join(named) if change.kind == "changed" else ""


def _differs(field: str, was_and_is: Any) -> str:
    before, after = was_and_is
    return f"{field} was {before or 'none'}, and is {after or 'none'}"
