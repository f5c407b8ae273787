"""Change the mobile number: confirmed by a code on the new one; both are told, and the old one can undo it.

For a day the new number cannot reset the password (`mobile.number_for_resets`).
"""

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import Administrator
from idp.foundation import clock, dates
from idp.foundation.errors import Refusal
from idp.outbox import post
from idp.signin import mobile, undo_changes


class SameNumber(Refusal):
    """The number is the person's already."""

    code, status, title = "same_number", 409, "That is your number already"
    message = "That is your mobile number already."


def begin(person: Administrator, number: str) -> None:
    """Text a code to the new number (E.164). Raises `SameNumber` and `mobile.TooManyMessages`."""
    if number == person.mobile:
        raise SameNumber(reason=person.id)
    mobile.send_code(person, number, mobile.CHANGE)


def is_waiting(person: Administrator) -> bool:
    """Whether the person was sent a code to a new number that is still valid."""
    return mobile.is_waiting(person, mobile.CHANGE)


def confirm(person: Administrator, code: str) -> None:
    """Change to the number that received this code. Raises `mobile.WrongCode`, `mobile.CodeExpired`, `Locked`.

    The attempt is counted only if the caller's transaction commits: catch these errors and render a page.
    """
    number, old_number = mobile.check_code(person, code, mobile.CHANGE), person.mobile
    was_confirmed, now = person.mobile_confirmed_at is not None, clock.now()
    undo_link = undo_changes.issue(person)
    if was_confirmed:
        post.sms(
            "number_changed", to=old_number, estab=person.sole_estab_id, link=undo_changes.issue(person),
            days=undo_changes.LIFETIME.days,
        )  # fmt: skip
    people.change_mobile(person, number, confirmed_at=now, changed_at=now)
    log.record(
        events.MOBILE_CHANGED, by=person.id, estab=person.sole_estab_id, subject=person.id,
        details={"before": old_number}
    )  # fmt: skip
    post.sms("mobile_is_yours", to=number, estab=person.sole_estab_id)
    post.email(
        "mobile_changed", to=person.email, estab=person.sole_estab_id, name=person.name_in_mails,
        at=dates.day_and_time(now), link=undo_link, days=undo_changes.LIFETIME.days,
    )  # fmt: skip
