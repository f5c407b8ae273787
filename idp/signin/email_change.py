"""Change the e-mail address: the new one is verified first, the old one is told and can undo it for seven days.

The link that was sent to the new address is opened by the person signed in, so that neither a mistyped address nor a
stranger's mailbox takes an account over. Only then are they told if the address already signs in to another account.
"""

from datetime import timedelta
from typing import Final

from idp.audit import events, log
from idp.estabs import links, one_time_codes, people
from idp.estabs.models import Administrator
from idp.foundation import clock, dates, runtime
from idp.foundation.database import lock
from idp.foundation.errors import Refusal, TooManyRequests
from idp.outbox import post
from idp.signin import undo_changes

PURPOSE: Final = "email"
LIFETIME: Final = timedelta(hours=24)
MAX_LINKS, LINKS_WINDOW = 5, timedelta(hours=1)


class SameAddress(Refusal):
    """The address is the person's already."""

    code, status, title = "same_address", 409, "That is your address already"
    message = "That is your e-mail address already."


class TooManyLinks(TooManyRequests):
    """The person was sent `MAX_LINKS` within `LINKS_WINDOW` already."""

    code, title = "too_many_links", "We have sent you enough links for now"
    message = "We send at most five links an hour. Please look for the newest one in your e-mail."


def begin(person: Administrator, address: str) -> None:
    """Mail a link to the new address; an earlier one stops working. Raises `SameAddress` and `TooManyLinks`."""
    lock(Administrator, person.id)
    now = clock.now()
    if people.fold_email(address) == person.email_folded:
        raise SameAddress(reason=person.id)
    if one_time_codes.issued_since(person.id, PURPOSE, now - LINKS_WINDOW) >= MAX_LINKS:
        raise TooManyLinks(reason=person.id, retry_after=int(LINKS_WINDOW.total_seconds()))
    secret = links.issue(person.id, PURPOSE, LIFETIME, value=address)
    post.email(
        "confirm_address", to=address, expires=now + LIFETIME, estab=person.sole_estab_id, name=person.name_in_mails,
        link=runtime.url(f"/manage/account/email/{secret}"),
    )  # fmt: skip
    log.record(events.EMAIL_CHANGE_STARTED, by=person.id, estab=person.sole_estab_id, subject=person.id)


def check(secret: str, person: Administrator) -> str:
    """The address that this link of the person verifies; it is not used up. Raises a `LinkRefused`."""
    link = links.check(secret, PURPOSE)
    if link.person_id != person.id or link.value is None:
        raise links.LinkUnknown(reason="a link of another person")
    return link.value


def confirm(secret: str, person: Administrator) -> bool:
    """Use the link up and take the address; returns whether the person signs in by it. Raises a `LinkRefused`.

    If the address already signs in to another account, it continues to; this person then signs in by the username.
    """
    lock(Administrator, person.id)
    address, old_address = check(secret, person), person.email
    links.spend(secret, PURPOSE, person.id)
    undo_link = undo_changes.issue(person)
    signs_in = people.change_email(person, address)
    log.record(
        events.EMAIL_CHANGED, by=person.id, estab=person.sole_estab_id, subject=person.id,
        details={"before": old_address}
    )  # fmt: skip
    post.email(
        "email_changed", to=old_address, estab=person.sole_estab_id, name=person.name_in_mails,
        at=dates.day_and_time(clock.now()), link=undo_link, days=undo_changes.LIFETIME.days,
    )  # fmt: skip
    return signs_in
