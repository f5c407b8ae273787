"""An owner helps another person of the school who cannot sign in (security.md §5).

They start what our staff start after a phone call: a link to choose a new password, or the wait for a lost second
factor. The link and the notices go to that person's own verified address, so the owner sees no link, code or password.
The person is told who started it, and so are the other owners of each school that the person acts for (decision 61).
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from idp.estabs import members, people
from idp.estabs.models import Administrator, Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, dates
from idp.foundation.database import lock
from idp.foundation.errors import Refusal, TooManyRequests
from idp.outbox import post
from idp.signin import factor_recovery, factors, guesses, reset_links
from idp.signin.models import FactorRecovery

WINDOW: Final = timedelta(days=1)
MAX_STARTS_FOR_A_PERSON: Final = 3
"""Links and recoveries that owners can start for one person within `WINDOW`."""
MAX_STARTS_BY_AN_OWNER: Final = 10
"""Links and recoveries that one owner can start within `WINDOW`, for all people together."""


class OwnersOnly(Refusal):
    """Admins and viewers cannot do this."""

    code, status, title = "owners_only", 403, "Only an owner can do this"
    message = "Only owners of your school's account can help colleagues who cannot sign in."


class OwnAccount(Refusal):
    """Owners help colleagues, not themselves."""

    code, status, title = "own_account", 409, "This is your own account"
    message = "Your own password and second step are on the Security page."


class NotVerified(Refusal):
    """Anyone can register a school, so owners of unverified ones cannot do this."""

    code, status, title = "school_not_verified", 409, "We have not verified your school yet"
    message = "You can help colleagues once we have verified your school. Until then, please contact us."


class NothingLost(Refusal):
    """The person has no second factor that could be lost."""

    code, status, title = "no_second_step", 409, "There is nothing to remove"
    message = "They sign in with the password alone. If they have forgotten it, send them a link to choose a new one."


class OtherSchools(Refusal):
    """Second factors also protect the other schools of a person; this owner is not an owner of all of them."""

    code, status, title = "other_schools", 409, "Please contact us about this colleague"
    message = (
        "They also act for a school of which you are not an owner, so our staff have to do this. Please contact us."
    )


class StartedOften(TooManyRequests):
    """One person was helped, or one owner has helped, as often as the limits allow within `WINDOW`."""

    code, title = "started_often", "You can do this again tomorrow"
    message = (
        "This was done several times within 24 hours, and we have sent an e-mail each time. Please ask your colleague "
        "to look for our newest one, also in the junk folder."
    )


def find(owner: Membership, person_id: str) -> Administrator:
    """The person whom this owner may help.

    Raises `OwnersOnly`, `NotVerified`, `OwnAccount`, and the errors of `members.find`.
    """
    person = members.find(owner, person_id).person
    if not owner.may(Action.HELP_COLLEAGUES):
        raise OwnersOnly(reason=f"administrator {owner.person_id} is {owner.role}")
    if not owner.estab.is_verified:
        raise NotVerified(reason=f"estab {owner.estab_id} is {owner.estab.state}")
    if person_id == owner.person_id:
        raise OwnAccount(reason=person_id)
    return person


def send_reset_link(owner: Membership, person_id: str) -> Administrator:
    """Mail the person a link to choose a new password; a second factor is asked for afterwards as always.

    Raises `StartedOften`, and the errors of `find`.
    """
    person = _find_and_lock(owner, person_id)
    _count_start(owner, person)
    reset_links.send(person, by=owner.person_id, sent_for=owner)
    _notify_owners(owner, person, due=None)
    return person


def start_factor_recovery(owner: Membership, person_id: str) -> FactorRecovery:
    """Start the wait of 24 hours for a lost second factor, or return the one that was started already.

    Raises `StartedOften`, and the errors of `find` and `check_factor_recovery`.
    """
    person = _find_and_lock(owner, person_id)
    check_factor_recovery(owner, person)
    if (existing := factor_recovery.waiting(person.id)) is not None:
        return existing
    _count_start(owner, person)
    recovery = factor_recovery.start(person, by=owner.person_id, started_for=owner)
    _notify_owners(owner, person, due=dates.day_and_time(recovery.due_at))
    return recovery


def check_factor_recovery(owner: Membership, person: Administrator) -> None:
    """Raise `NothingLost` or `OtherSchools` unless this owner may start the person's recovery."""
    if not factors.has_any(person.id):
        raise NothingLost(reason=person.id)
    for membership in person.memberships:
        owner_membership = people.membership(owner.person_id, membership.estab_id)
        if owner_membership is None or not owner_membership.may(Action.HELP_COLLEAGUES):
            raise OtherSchools(reason=f"{person.id} acts for {membership.estab_id}, {owner.person_id} does not own it")


def _find_and_lock(owner: Membership, person_id: str) -> Administrator:
    """As `find`, and lock the rows that it decides by until the transaction ends."""
    lock(Estab, owner.estab_id, shared=True)
    lock(Administrator, person_id)
    for member_id in (owner.person_id, person_id):
        lock(Membership, (member_id, owner.estab_id), shared=True)
    return find(owner, person_id)


def _count_start(owner: Membership, person: Administrator) -> None:
    limits = (
        (("colleague", person.id), MAX_STARTS_FOR_A_PERSON),
        (("owner helps", owner.person_id), MAX_STARTS_BY_AN_OWNER),
    )
    for parts, limit in limits:
        count, until = guesses.tally(guesses.key(*parts), WINDOW)
        if count > limit:
            wait = max(1, int((until - clock.now()).total_seconds()))
            raise StartedOften(reason=f"{owner.person_id} for {person.id}", retry_after=wait)


def _notify_owners(owner: Membership, person: Administrator, *, due: str | None) -> None:
    """Write to the other owners; `due` says when a recovery's wait is over, None where a link was sent."""
    for other in _other_owners(owner, person):
        post.email(
            "colleague_helped", to=other.email, estab=owner.estab_id, name=other.name_in_mails,
            owner=owner.person.name, school=owner.estab.name, colleague=person.name,
            at=dates.day_and_time(clock.now()), due=due,
        )  # fmt: skip


def _other_owners(owner: Membership, person: Administrator) -> Iterator[Administrator]:
    """The owners of all schools of the person, each once, without the person and the owner who acts."""
    written_to = {owner.person_id, person.id}
    for membership in person.memberships:
        for other in people.owners(membership.estab_id):
            if other.id not in written_to:
                written_to.add(other.id)
                yield other
