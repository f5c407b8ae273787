"""What changed in the national register about schools that have an account: for our staff, and for partners.

An import stores each change in `school_changes`. A school that closed, left or came back, or has another name or
number, may need a phone call: our staff are mailed, and find it on their page. All other changes are marked as reported
without a mail. Partners are told of closures.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, select

from idp.estabs.models import FINAL_STATES, Estab
from idp.foundation.database import row_isolated, session
from idp.outbox import post
from idp.schools import changes
from idp.schools.models import RegisterImport, School, SchoolChange
from idp.sharing import notices
from idp.signin import operators

BATCH_SIZE: Final = 2_000
"""How many changes one transaction claims; the first import has one for each school of the register."""
MAX_LINES: Final = 200
"""How many lines one mail has; further lines go into the next."""
MAX_READ: Final = 1_000
"""How many of the last changes are looked through for those that our staff should know."""
KIND_TEXTS: Final = {
    "closed": "is closed in the register", "reopened": "is open again in the register", "left": "left the register",
    "returned": "is in the register again",
}  # fmt: skip
FIELD_NAMES: Final = {"name": "name", "dfe_number": "DfE number"}
"""The changed fields that are reported, and their names in the mail."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the mail."""

    school: str
    estab_id: str
    what: str
    imported_at: datetime


def notify_operators() -> bool:
    """Report the next changes to all operators; returns whether there may be more.

    Does nothing while there is no operator to write to.
    """
    addresses = operators.addresses()
    if not addresses:
        return False
    change_ids = changes.claim(BATCH_SIZE)
    lines = _lines(_SELECT.where(SchoolChange.id.in_(change_ids)).order_by(SchoolChange.id))
    _notify_partners(change_ids)
    for start in range(0, len(lines), MAX_LINES):
        for address in addresses:
            post.email("register_changes", to=address, changes=lines[start : start + MAX_LINES])
    return len(change_ids) == BATCH_SIZE


def recent(limit: int) -> list[Line]:
    """The last changes that our staff should know, the newest first."""
    statement = _SELECT.where(SchoolChange.kind != "added").order_by(SchoolChange.id.desc()).limit(MAX_READ)
    return _lines(statement)[:limit]


_SELECT: Final = (
    select(SchoolChange, School.name, Estab.estab_id, RegisterImport.imported_at)
    .join(School, School.id == SchoolChange.school_id)
    .join(RegisterImport, RegisterImport.id == SchoolChange.import_id)
    .join(Estab, (Estab.school_id == School.id) & Estab.state.not_in(FINAL_STATES))
)
"""Changes that concern an active account."""


def _lines(statement: Select[SchoolChange, str, str, datetime]) -> list[Line]:
    """The lines for those changes that our staff should know."""
    lines = [
        Line(school, estab_id, _describe(change), imported_at)
        for change, school, estab_id, imported_at in session().execute(statement)
    ]
    return [line for line in lines if line.what]


def _notify_partners(change_ids: list[int]) -> None:
    """Tell the partners of a school with an active account that it closes or has closed."""
    statement = (
        select(SchoolChange.id, SchoolChange.kind, SchoolChange.details, Estab.id)
        .join(Estab, (Estab.school_id == SchoolChange.school_id) & Estab.state.not_in(FINAL_STATES))
        .where(SchoolChange.id.in_(change_ids))
        .order_by(SchoolChange.id)
    )
    for change_id, kind, details, estab_id in session().execute(statement).all():
        _, closes_on = details.get("closed_on", (None, None))
        if kind == "closed" or (kind == "changed" and closes_on is not None):
            with row_isolated("register change", str(change_id)):
                notices.record_closing(estab_id)


def _describe(change: SchoolChange) -> str:
    """The text of a change; empty if it is not reported."""
    if change.kind in KIND_TEXTS:
        return KIND_TEXTS[change.kind]
    differences = [
        _describe_field(FIELD_NAMES[name], before_and_after)
        for name, before_and_after in change.details.items()
        if name in FIELD_NAMES
    ]
    return "; ".join(differences) if change.kind == "changed" else ""


def _describe_field(field: str, values: Any) -> str:
    before, after = values
    return f"{field} was {before or 'none'}, and is {after or 'none'}"
