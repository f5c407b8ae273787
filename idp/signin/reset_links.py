"""Links to choose a new password, for people who have no confirmed mobile number (security.md §5).

Our staff send a link to the verified address after they called the school on the number in the national register, or an
owner of the school has it sent (`colleagues`). Neither of them sets or sees a password. A link works once, for a day,
and only while the address is the one it was sent to.
"""

from datetime import timedelta
from typing import Final

from idp.audit import events, log
from idp.estabs import links, people
from idp.estabs.models import Administrator, Membership
from idp.foundation import clock, runtime
from idp.foundation.database import lock
from idp.foundation.errors import Refusal
from idp.outbox import post
from idp.signin import reset

LIFETIME: Final = timedelta(hours=24)


class AccountClosed(Refusal):
    """The school's account is suspended, rejected or closed: its people cannot sign in."""

    code, status, title = "account_closed", 409, "The school's account is not open"
    message = "The school's account is not open, so its people cannot sign in."


def send(person: Administrator, *, by: str, note: str | None = None, sent_for: Membership | None = None) -> None:
    """Mail the person a link; earlier ones stop working. Raises `AccountClosed`.

    `note` says whom our staff called, for the audit log; `sent_for` is the owner who asked for it.
    """
    if not person.may_sign_in:
        raise AccountClosed(reason=f"no school of {person.id} is open")
    secret = links.issue(person.id, links.RESET, LIFETIME, value=person.email_folded)
    post.email(
        "reset_link", to=person.email, expires=clock.now() + LIFETIME, estab=person.sole_estab_id,
        name=person.name_in_mails, link=runtime.url(f"/reset/link/{secret}"),
        owner=sent_for.person.name if sent_for else None, school=sent_for.estab.name if sent_for else None,
    )  # fmt: skip
    log.record(
        events.RESET_LINK_SENT, by=by, estab=sent_for.estab_id if sent_for else person.sole_estab_id,
        subject=person.id, details={"note": note} if note else None,
    )  # fmt: skip


def check(secret: str) -> Administrator:
    """The person who may choose a password by this link, which is not used up. Raises a `LinkRefused`."""
    link = links.check(secret, links.RESET)
    person = people.get(link.person_id)
    if person is None or not person.may_sign_in or link.value != person.email_folded:
        raise links.LinkUnknown(reason="the account is closed, or has another address now")
    return person


def complete(secret: str, password_hash: str, *, device: str | None) -> None:
    """Use the link up, and set the password whose hash was calculated outside the transaction. Raises `LinkRefused`."""
    person_id = check(secret).id
    lock(Administrator, person_id)
    person = check(secret)
    links.spend(secret, links.RESET, person_id)
    reset.finish(person, password_hash, device=device, by_link=True)
