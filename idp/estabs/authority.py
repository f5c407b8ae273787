"""Whether a person may do something for a school at this moment."""

from collections.abc import Iterable

from idp.estabs import permissions
from idp.estabs.models import Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation.database import lock
from idp.foundation.errors import Refusal


class NotPermitted(Refusal):
    """The role that the person has at this school does not include it, or they no longer act for it."""

    code, status, title = "may_not", 403, "Someone else at your school has to decide this"

    def __init__(self, by: Membership, action: Action) -> None:
        super().__init__(
            f"Only {permissions.who(action)} of your school's account can do this. Please ask one of them.",
            reason=f"administrator {by.person_id} is {by.role} of {by.estab_id}: {action}",
        )


class SchoolCannotAct(Refusal):
    """The estab was rejected, suspended or closed."""

    code, status, title = "school_cannot_act", 403, "Your school's account cannot be used for this"
    message = "Your school's account is not active, so it cannot be used. Please get in touch with us."


def check(by: Membership, action: Action) -> None:
    """Raise `SchoolCannotAct` or `NotPermitted` unless `by` may do this for the school."""
    if not by.estab.may_act:
        raise SchoolCannotAct(reason=f"estab {by.estab_id} is {by.estab.state}")
    if not by.may(action):
        raise NotPermitted(by, action)


def check_and_lock(by: Membership, action: Action) -> None:
    """As `check`, with the rows locked until this transaction ends: for decisions, not for pages.

    Removing the person, or suspending the school, at the same moment either comes first or waits for the decision.
    """
    lock_all([by])
    check(by, action)


def lock_all(members: Iterable[Membership]) -> None:
    """Let none of these people be removed, and none of their schools be suspended, until this transaction ends.

    In one order, so that two decisions for the same schools do not wait for each other.
    """
    in_order = sorted(members, key=lambda member: member.estab_id)
    for member in in_order:
        lock(Estab, member.estab_id, shared=True)
    for member in in_order:
        lock(Membership, (member.person_id, member.estab_id), shared=True)
