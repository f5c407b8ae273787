"""Changes of who acts for a school: another role, handing the ownership over, removal.

The rows of estab, person and membership are locked, in this order. Of two owners who remove each other at the same
moment, the second is no longer an owner when it is their turn, and is refused.
"""

from sqlalchemy import select

from idp.audit import events, log
from idp.estabs import links, owners, people, people_notices, permissions, person_invitations
from idp.estabs.models import Administrator, Estab, Membership
from idp.estabs.permissions import ROLES
from idp.foundation import clock
from idp.foundation.database import lock, session
from idp.foundation.errors import NotFound, Refusal


class CannotSignInYet(Refusal):
    """The person was added, and has not chosen a password yet."""

    code, status, title = "cannot_sign_in_yet", 409, "This person cannot sign in yet"
    message = (
        "This person has not chosen a password yet. Please ask them to do that first, by the link in their e-mail."
    )


class RemovedAlready(Refusal):
    """The person acted for the school once: a second click, or a colleague's, removed them meanwhile."""

    code, status, title = "removed_already", 409, "This person has been removed"
    message = "This person no longer acts for your school."


def find(by: Membership, person_id: str) -> Membership:
    """The membership of a person at the school of `by`.

    Raises `NotFound`, also for people of other schools, and `RemovedAlready` for one who was removed.
    """
    member = session().get(Membership, (person_id, by.estab_id))
    if member is None:
        raise NotFound(reason=f"{person_id} does not act for {by.estab_id}")
    if member.removed_at is not None:
        raise RemovedAlready(reason=person_id)  # without a name: it may have changed elsewhere since
    return member


def change_role(member: Membership, role: str, *, by: Membership | str, note: str = "") -> bool:
    """Give a member another role and tell them and the owners; False, and nothing is changed, if it is theirs already.

    `by` is an owner of the school, or our staff: `cli`, or an operator's id, who say in `note` with whom they spoke.
    Raises `authority.NotPermitted`, `owners.LastOwner`, and `NotFound` for a person who was removed meanwhile.
    """
    if role not in ROLES:
        raise ValueError(f"{role} is not a role")
    current = _lock_member(member, by)
    before = current.role
    if before == role:
        return False
    _set_role(current, role)
    log.record(
        events.ROLE_CHANGED, by=people.actor_id(by), estab=current.estab_id, subject=current.person_id, before=before,
        role=role, details={"note": note} if note else None,
    )  # fmt: skip
    people_notices.send("role_changed", current, by)
    return True


def hand_over(member: Membership, role: str, *, by: Membership) -> None:
    """Make a colleague an owner, and give the owner `by` the role `role` instead of their own, in one step.

    Raises the errors of `change_role`, and `CannotSignInYet`.
    """
    if role not in ROLES or permissions.is_owner(role):
        raise ValueError(f"an owner cannot step down to {role}")
    if member.person_id == by.person_id:
        raise NotFound(reason="an owner hands over to another person")
    new_owner = _lock_member(member, by)
    if new_owner.person.password_hash is None:
        raise CannotSignInYet(reason=new_owner.person_id)
    before, new_owner.role = new_owner.role, permissions.OWNER
    session().flush()
    _set_role(session().get_one(Membership, (by.person_id, by.estab_id)), role)
    log.record(
        events.OWNERSHIP_HANDED_OVER, by=by.person_id, estab=by.estab_id, subject=new_owner.person_id,
        before=before, role=role,
    )  # fmt: skip
    people_notices.send("ownership_handed_over", new_owner, by, also_to=by.person)


def remove(member: Membership, *, by: Membership | str, note: str = "") -> bool:
    """End a membership; returns whether the person acts for no school any more, so that their account is closed.

    A member may remove themselves. What the person authorised for the school stays in force. Sessions and factors are
    ended by `signin.removal`, which calls this. Raises the errors of `change_role`.
    """
    current = _lock_member(member, by, may_be_oneself=True)
    if current.is_owner:
        owners.require_another(current)
    current.removed_at = clock.now()
    session().flush()
    person_invitations.cancel_all_of(current)
    is_last = not _acts_for_any(current.person_id)
    if is_last:
        _close(current.person)
    log.record(
        events.PERSON_REMOVED, by=people.actor_id(by), estab=current.estab_id, subject=current.person_id,
        role=current.role, details={"note": note} if note else None,
    )  # fmt: skip
    people_notices.send("person_removed", current, by)
    return is_last


def _lock_member(member: Membership, by: Membership | str, *, may_be_oneself: bool = False) -> Membership:
    """Lock the rows that decide, check `by`, and return the membership as it is now.

    Raises the errors of `change_role`.
    """
    lock(Estab, member.estab_id)
    lock(Administrator, member.person_id)
    if isinstance(by, Membership):
        if by.estab_id != member.estab_id:
            raise NotFound(reason=f"{by.person_id} does not act for {member.estab_id}")
        if not (may_be_oneself and by.person_id == member.person_id):
            owners.require(by)
    current = lock(Membership, (member.person_id, member.estab_id))
    if current is None or current.removed_at is not None:
        raise NotFound("This person no longer acts for your school.", reason=member.person_id)
    return current


def _set_role(member: Membership, role: str) -> None:
    """Give a member another role than theirs: an owner has to leave another one behind, and their invitations end."""
    if member.is_owner:
        owners.require_another(member)
        person_invitations.cancel_all_of(member)
    member.role = role


def _acts_for_any(person_id: str) -> bool:
    acts_for = select(Membership.estab_id).where(Membership.person_id == person_id, Membership.removed_at.is_(None))
    return session().scalar(acts_for.limit(1)) is not None


def _close(person: Administrator) -> None:
    """Close the account of a person who acts for no school any more; their address may sign another account in."""
    person.removed_at = person.updated_at = clock.now()
    person.sign_in_email = person.password_hash = None
    links.supersede_since(person.id, person.created_at)
