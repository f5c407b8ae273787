"""The owners of a school's account: they alone change who acts for it, and it always has one.

A change of a school's people locks the estab's row first, so that changes at one school follow one another.
"""

from sqlalchemy import select

from idp.estabs import authority
from idp.estabs.models import Membership
from idp.estabs.permissions import Action
from idp.foundation.database import lock, session
from idp.foundation.errors import Refusal


class LastOwner(Refusal):
    """Without this person no owner could sign in for the school."""

    code, status, title = "last_owner", 409, "Your school needs an owner"
    message = "This would leave your school's account without an owner. Please make another person an owner first."


def require(by: Membership) -> None:
    """Check that `by` may change people, as `authority.check`; the estab is locked already."""
    lock(Membership, (by.person_id, by.estab_id))
    authority.check(by, Action.MANAGE_PEOPLE)


def require_another(member: Membership) -> None:
    """Raise `LastOwner` unless the school has another owner, with a password. The estab is locked already."""
    others = select(Membership).where(
        Membership.estab_id == member.estab_id,
        Membership.removed_at.is_(None),
        Membership.person_id != member.person_id,
    )
    members = session().scalars(others.execution_options(populate_existing=True))
    if not any(other.is_owner and other.person.password_hash is not None for other in members):
        raise LastOwner(reason=f"{member.person_id} is the last owner of {member.estab_id}")
