"""Choose a new password in place of a forgotten one, by a code in a text message (security.md §5).

The code goes to the confirmed mobile. It works in the browser that asked, for ten minutes and five attempts; at most
three are sent an hour, whatever the account is called, and a wrong one counts like a wrong password. A reset is not a
sign-in: afterwards the person signs in with the new password, and with the second factor if they have one.

A name that does not exist causes the same steps and the same work, but no code is ever right (S29).
"""

import secrets
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import select, update

from idp.audit import events, log
from idp.estabs import one_time_codes, people
from idp.estabs.models import Administrator
from idp.estabs.permissions import Action
from idp.foundation import clock, crypto, dates, runtime
from idp.foundation.database import claim, lock, session
from idp.foundation.errors import Refusal
from idp.outbox import post
from idp.signin import devices, guesses, mobile, password, session as sessions, spraying
from idp.signin.models import PasswordReset

LIFETIME: Final = timedelta(hours=1)
"""How long codes can be sent and typed, from the request on."""
CHOOSE_PASSWORD_LIFETIME: Final = timedelta(minutes=15)
"""How long a password can be chosen after the code was accepted."""
UNKNOWN_ADDRESS: Final = "unknown@idaas.invalid"
UNKNOWN_NUMBER: Final = "+447700900000"
"""One of the numbers that Ofcom assigns to no one. Messages to these two recipients are discarded."""

Step = Literal["code", "password", "done"]


class WrongCode(Refusal):
    """The code is not the newest one, the account is locked, or there is no account to reset."""

    code, status, title = "wrong_code", 400, "That code is not right"
    message = "That is not the code in our newest message. Please check it. After many wrong attempts, wait 15 minutes."


class ResetOver(Refusal):
    """The reset has expired or cannot be completed any more: the person starts again."""

    code, status, title = "reset_over", 410, "Please start again"
    message = "It took too long, or something about the account has changed in the meantime. Please ask for a new code."


def begin(name: str, *, device: str | None) -> str:
    """Start a reset for the account called `name`, known or not; returns the secret for this browser's cookie."""
    person, now, secret = people.by_name(name), clock.now(), crypto.new_secret()
    person = person if person is not None and person.may_sign_in else None
    row = PasswordReset(
        id=crypto.new_id("rst"), browser=crypto.digest(secret), person_id=person.id if person else None,
        number=mobile.number_for_resets(person) if person else None,
        messages=_message_counter_key(person, people.fold_sign_in_name(name), device),
        code_digest=crypto.digest(crypto.new_secret()), code_made_at=now, tries=0,
        created_at=now, expires_at=now + LIFETIME, proven_at=None, used_at=None,
    )  # fmt: skip
    session().add(row)
    subject, estab = (person.id, person.sole_estab_id) if person else (None, None)
    log.record(events.RESET_STARTED, by="stranger", estab=estab, subject=subject)
    _send_code(row, person, is_first=True)
    return secret


def find_by_browser(secret: str | None) -> PasswordReset | None:
    """The reset that the browser with this secret goes through; None if it has none, or it has expired."""
    if not secret:
        return None
    is_live = PasswordReset.browser == crypto.digest(secret), PasswordReset.expires_at > clock.now()
    return session().scalar(select(PasswordReset).where(*is_live))


def step(reset: PasswordReset) -> Step:
    """The next step of the reset."""
    return "done" if reset.used_at else "password" if reset.proven_at else "code"


def resend(reset: PasswordReset) -> None:
    """Send a new code in place of the last one, unless three were sent within the hour: then the last one stays."""
    row = lock(PasswordReset, reset.id)
    if row is not None and step(row) == "code":
        _send_code(row, people.get(row.person_id) if row.person_id else None, is_first=False)


def prove(reset: PasswordReset, code: str, *, device: str | None, address: str | None) -> str:
    """Accept the code; returns a new secret for the browser, with which a password can be chosen.

    Raises `WrongCode`, `mobile.CodeExpired` and `spraying.NetworkBlocked`. The attempt is counted only if the caller's
    transaction commits: catch these errors and render a page.
    """
    in_known_browser = reset.person_id is not None and devices.is_known(reset.person_id, device)
    if not in_known_browser:
        spraying.check(address)
    is_open = _count_guess(reset, device)
    now, secret = clock.now(), crypto.new_secret()
    is_waiting = (
        PasswordReset.id == reset.id, PasswordReset.browser == reset.browser, PasswordReset.expires_at > now,
        PasswordReset.proven_at.is_(None), PasswordReset.used_at.is_(None),
    )  # fmt: skip
    is_fresh = (
        PasswordReset.code_made_at > now - mobile.CODE_LIFETIME,
        PasswordReset.tries < one_time_codes.MAX_ATTEMPTS,
    )
    count_attempt = update(PasswordReset).where(*is_waiting, *is_fresh).values(tries=PasswordReset.tries + 1)
    row = (
        session().execute(count_attempt.returning(PasswordReset.code_digest, PasswordReset.code_made_at)).one_or_none()
    )
    if row is None:
        raise mobile.CodeExpired(reason=reset.id)
    digest, made_at = row
    if not crypto.constant_time_compare(digest, _digest(reset.id, made_at, "".join(code.split()))) or not is_open:
        if not in_known_browser:
            spraying.note_failure(address, reset.messages.hex())
        raise WrongCode(reason=reset.id)
    accept = update(PasswordReset).where(*is_waiting, PasswordReset.code_digest == digest)
    values = {"proven_at": now, "browser": crypto.digest(secret), "expires_at": now + CHOOSE_PASSWORD_LIFETIME}
    if session().execute(accept.values(values).returning(PasswordReset.id)).one_or_none() is None:
        raise mobile.CodeExpired(reason=f"{reset.id}, at the same moment")
    return secret


def complete(secret: str | None, password_hash: str, *, device: str | None) -> None:
    """Set the password whose hash was calculated outside the transaction, end all sessions, and notify.

    `secret` is the one that `prove` returned. Raises `ResetOver` if it was used, or the account changed, meanwhile.
    """
    reset = find_by_browser(secret)
    if reset is None or step(reset) != "password" or reset.person_id is None:
        raise ResetOver(reason="the reset has expired, or was completed")
    person = lock(Administrator, reset.person_id)
    if person is None or not _is_unchanged(person, reset):
        raise ResetOver(reason=f"{reset.id}: the account is another now")
    if not claim(PasswordReset, id=reset.id, browser=reset.browser, person_id=person.id):
        raise ResetOver(reason=f"{reset.id} was used at the same moment")
    finish(person, password_hash, device=device, by_link=False)


def finish(person: Administrator, password_hash: str, *, device: str | None, by_link: bool) -> None:
    """Set the password of a person who has proven who they are, end all sessions, and notify.

    Wrong passwords are forgotten, so that the person can sign in although they had locked the account.
    """
    password.unlock(person, device=device)
    password.change(person, password_hash, by=person.id)
    sessions.end_all(person.id, "password_reset")
    log.record(events.RESET_COMPLETED, by=person.id, estab=person.sole_estab_id, subject=person.id)
    _notify(person, by_link=by_link)


def _is_unchanged(person: Administrator, reset: PasswordReset) -> bool:
    """Whether the person may still choose a password by this reset: same number, same password, account open."""
    changed_at = person.password_changed_at
    return (
        person.removed_at is None
        and person.may_sign_in
        and mobile.number_for_resets(person) == reset.number
        and (changed_at is None or changed_at <= reset.created_at)
    )


def _send_code(row: PasswordReset, person: Administrator | None, *, is_first: bool) -> None:
    """Text a new code, and write to the address at the start; the same work where there is no one to send it to."""
    sent, _ = guesses.tally(row.messages, mobile.MESSAGES_WINDOW)
    if sent > mobile.MAX_MESSAGES:
        return
    code, now = f"{secrets.randbelow(1_000_000):06}", clock.now()
    digest = _digest(row.id, now, code)
    row.code_digest = digest if row.number else crypto.digest(crypto.new_secret())
    row.code_made_at, row.tries = now, 0
    estab, number = person.sole_estab_id if person else None, row.number if person else None
    post.sms(
        "reset_code", to=number or UNKNOWN_NUMBER, expires=now + mobile.CODE_LIFETIME, estab=estab,
        discard=number is None, code=code,
    )  # fmt: skip
    if is_first:
        post.email(
            "reset_started", to=person.email if person else UNKNOWN_ADDRESS, estab=estab, discard=person is None,
            name=person.name_in_mails if person else None, at=dates.day_and_time(now), has_code=number is not None,
            has_password=person is not None and person.password_hash is not None,
            may_be_helped=person is not None and person.has_verified_school,
        )  # fmt: skip


def _count_guess(reset: PasswordReset, device: str | None) -> bool:
    """Count a guess at the account; returns whether it was unlocked. An unknown account has a counter, too."""
    if reset.person_id is None:
        counter = guesses.key("reset", reset.id)
    else:
        counter = devices.guess_counter(reset.person_id, device)
    try:
        locks = guesses.count(counter)
    except guesses.Locked:
        return False
    if locks and reset.person_id and (person := people.get(reset.person_id)):
        password.notify_locked(person)
    return True


def _message_counter_key(person: Administrator | None, folded_name: str, device: str | None) -> bytes:
    """The key of the counter of messages. A browser known to the person has its own, which strangers cannot use up."""
    is_known = devices.is_known(person.id if person else "", device)
    owner = person.id if person else folded_name
    return guesses.key("reset messages", owner, *((device,) if device and is_known else ()))


def _notify(person: Administrator, *, by_link: bool) -> None:
    """Tell the person's mobile and the school's other owners; `password.change` has written to the person."""
    post.sms("password_reset", to=person.mobile, estab=person.sole_estab_id)
    for membership in person.memberships:
        for owner in people.who_may(membership.estab_id, Action.RECEIVE_ACCOUNT_NOTICES):
            if owner.id != person.id:
                post.email(
                    "colleague_reset_password", to=owner.email, estab=membership.estab_id, name=owner.name_in_mails,
                    colleague=person.name_in_mails, school=membership.estab.name,
                    at=dates.day_and_time(clock.now()), by_link=by_link,
                )  # fmt: skip


def _digest(reset_id: str, made_at: datetime, code: str) -> bytes:
    """Keyed, because a stolen table could be searched for a million codes."""
    return crypto.hmac_sha256(runtime.settings().secrets.tokens, "reset", reset_id, made_at.isoformat(), code)
