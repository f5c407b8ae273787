"""Who may decide for a school."""

from idp.estabs.models import Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation.database import lock
from idp.foundation.errors import Refusal


class MayNotAuthorise(Refusal):
    """A viewer looks; owners and admins decide."""

    code, status, title = "may_not_authorise", 403, "Someone else at your school has to decide this"
    says = "You can see what is shared, but not change it. Please ask an owner of your school's account."


class SchoolCannotAct(Refusal):
    """The estab was rejected, suspended or closed."""

    code, status, title = "school_cannot_act", 403, "Your school's account cannot be used for this"
    says = "Your school's account is not active, so it cannot authorise sharing. Please get in touch with us."


def check(by: Membership) -> None:
    """Raise `SchoolCannotAct` or `MayNotAuthorise` unless `by` may decide what the school shares."""
    if not by.estab.may_act:
        raise SchoolCannotAct(because=f"estab {by.estab_id} is {by.estab.state}")
    if not by.may(Action.AUTHORISE):
        raise MayNotAuthorise(because=f"administrator {by.person_id} is a {by.role} of {by.estab_id}")


def hold(by: Membership) -> None:
    """The same as of now, and until this transaction ends: for what is decided, not for what a page shows.

    Who is removed, or whose school is suspended, at the same moment either comes first, or waits for the decision.
    """
    lock(Estab, by.estab_id, shared=True)
    lock(Membership, (by.person_id, by.estab_id), shared=True)
    check(by)
