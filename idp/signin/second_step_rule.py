"""A school's rule that everyone who acts for it signs in with a second step: an owner sets it, and lifts it again.

The rule applies from the next request on, also in open sessions: `session` lets no one act for the school without a
second step. It does not affect what the school has agreed to, or tokens.
"""

from idp.audit import events, log
from idp.estabs import accounts, authority, people
from idp.estabs.models import Administrator, Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, dates, runtime
from idp.foundation.database import lock
from idp.outbox import post
from idp.signin import factors


def require(by: Membership) -> bool:
    """Require a second step of everyone; False if it was required. Raises the errors of `authority.check_and_lock`."""
    return _set(by, is_required=True)


def lift(by: Membership) -> bool:
    """End the requirement; False if there was none. Raises the errors of `authority.check_and_lock`."""
    return _set(by, is_required=False)


def applies_to(person: Administrator) -> bool:
    """Whether a school that the person acts for requires a second step of them."""
    return any(member.estab.second_step_required_at is not None for member in person.memberships)


def people_without_factor(estab_id: str) -> list[Administrator]:
    """The people of the estab with this internal id who have no second factor yet, owners first."""
    return [member.person for member in people.list_for_estab(estab_id) if not factors.has_any(member.person_id)]


def _set(by: Membership, *, is_required: bool) -> bool:
    lock(Estab, by.estab_id)  # before a shared lock: two transactions with one would deadlock
    authority.check_and_lock(by, Action.REQUIRE_SECOND_FACTOR)
    if not accounts.require_second_step(by.estab_id, is_required=is_required):
        return False
    event = events.SECOND_STEP_REQUIRED if is_required else events.SECOND_STEP_OPTIONAL
    log.record(event, by=by.person_id, estab=by.estab_id, subject=by.estab_id)
    _notify(by, "second_step_required" if is_required else "second_step_optional")
    return True


def _notify(by: Membership, template: str) -> None:
    for person in (member.person for member in people.list_for_estab(by.estab_id)):
        post.email(
            template, to=person.email, estab=by.estab_id, name=person.name_in_mails, school=by.estab.name,
            decided_by=by.person.described_in_mails, at=dates.day_and_time(clock.now()),
            has_factor=factors.has_any(person.id), link=runtime.url("/manage/security"),
        )  # fmt: skip
