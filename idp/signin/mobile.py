"""Confirm a mobile number by a code in a text message. Only a confirmed number may reset a password.

A code has six digits and works for ten minutes and five attempts; at most three are sent an hour. A wrong code is
counted as a wrong password is.
"""

import secrets
from datetime import timedelta

import phonenumbers

from idp.audit import events, log
from idp.estabs import one_time_codes, people
from idp.estabs.models import Administrator
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import lock
from idp.foundation.errors import Refusal, TooManyRequests
from idp.outbox import post
from idp.signin import guesses

CONFIRM, CHANGE, LOST_FACTOR = "mobile", "mobile_change", "lost_factor"
PURPOSES = (CONFIRM, CHANGE, LOST_FACTOR)
"""What a code is for: to confirm the number, to change it, to recover from a lost factor. They share one limit."""
CODE_LIFETIME = timedelta(minutes=10)
MAX_MESSAGES, MESSAGES_WINDOW = 3, timedelta(hours=1)
CHANGE_DELAY = timedelta(hours=24)
"""How long a changed number cannot reset the password: the owner of the old one has time to object."""


class TooManyMessages(TooManyRequests):
    """The person was sent `MAX_MESSAGES` within `MESSAGES_WINDOW` already."""

    code, title = "too_many_messages", "We have sent you enough codes for now"
    message = "We send at most three codes an hour. If you have not received one, please check the number."


class WrongCode(Refusal):
    """The code differs from the one that was sent."""

    code, status, title = "wrong_code", 400, "That code is not right"
    message = "That is not the code in our newest message. Please check it and type it again."


class CodeExpired(Refusal):
    """No code is valid: it is too old, was tried too often, or was never sent."""

    code, status, title = "code_gone", 410, "That code no longer works"
    message = "A code works for ten minutes and five attempts. Please ask for a new one."


def number_for_resets(person: Administrator) -> str | None:
    """The number that may reset this person's password; None if it is unconfirmed, or was changed within a day."""
    changed_at = person.mobile_changed_at
    if person.mobile_confirmed_at is None or (changed_at is not None and clock.now() < changed_at + CHANGE_DELAY):
        return None
    return person.mobile


def send(person: Administrator) -> None:
    """Text a code to the person's number; an earlier one stops working. Raises `TooManyMessages`."""
    lock(Administrator, person.id)  # reads the number again: it may have changed meanwhile
    send_code(person, person.mobile, CONFIRM)


def send_code(person: Administrator, number: str, purpose: str) -> None:
    """Text a code for `purpose` to `number`; an earlier one stops working. Raises `TooManyMessages`."""
    lock(Administrator, person.id)
    now = clock.now()
    sent = sum(one_time_codes.issued_since(person.id, any_purpose, now - MESSAGES_WINDOW) for any_purpose in PURPOSES)
    if sent >= MAX_MESSAGES:
        raise TooManyMessages(reason=person.id, retry_after=int(MESSAGES_WINDOW.total_seconds()))
    code = f"{secrets.randbelow(1_000_000):06}"
    digest = _digest(purpose, person.id, now.isoformat(), code)
    one_time_codes.issue(person.id, purpose, digest, now, CODE_LIFETIME, value=number)
    post.sms(
        "mobile_code", to=number, expires=now + CODE_LIFETIME, estab=person.sole_estab_id, code=code,
        for_lost_factor=purpose == LOST_FACTOR,
    )  # fmt: skip


def is_waiting(person: Administrator, purpose: str = CONFIRM) -> bool:
    """Whether the person was sent a code for `purpose` that is still valid."""
    return one_time_codes.is_waiting(person.id, purpose)


def confirm(person: Administrator, code: str) -> None:
    """Confirm the number by the code that the person received. Raises `WrongCode`, `CodeExpired`, `Locked`.

    The attempt is counted only if the caller's transaction commits: catch these errors and render a page.
    """
    if not people.confirm_mobile(person.id, check_code(person, code, CONFIRM)):
        raise CodeExpired(reason=f"{person.id}: the number is another now")
    log.record(events.MOBILE_CONFIRMED, by=person.id, estab=person.sole_estab_id, subject=person.id)


def check_code(person: Administrator, code: str, purpose: str) -> str:
    """Use the code up and return the number that it was sent to. Raises the errors of `confirm`."""
    lock(Administrator, person.id)  # before the counter, in the same order as a sign-in
    counter = guesses.key("account", person.id)
    guesses.count(counter)
    code_row = one_time_codes.count_attempt(person.id, purpose)
    if code_row is None or code_row.value is None:
        raise CodeExpired(reason=person.id)
    digest = _digest(purpose, person.id, code_row.created_at.isoformat(), "".join(code.split()))
    if not crypto.constant_time_compare(digest, code_row.digest):
        raise WrongCode(reason=person.id)
    if not one_time_codes.spend(person.id, purpose, digest):
        raise CodeExpired(reason=f"{person.id}, at the same moment")
    guesses.forget(counter)
    return code_row.value


def readable(number: str) -> str:
    """An E.164 number in national format, or in international format outside the United Kingdom."""
    parsed = phonenumbers.parse(number)
    is_british = phonenumbers.region_code_for_country_code(parsed.country_code or 0) == "GB"
    number_format = (
        phonenumbers.PhoneNumberFormat.NATIONAL if is_british else phonenumbers.PhoneNumberFormat.INTERNATIONAL
    )
    return phonenumbers.format_number(parsed, number_format)


def _digest(purpose: str, person_id: str, sent_at: str, code: str) -> bytes:
    """Keyed, because a stolen table could be searched for a million codes; with the time, so that rows differ."""
    return crypto.hmac_sha256(runtime.settings().secrets.tokens, purpose, person_id, sent_at, code)
