"""Confirming a mobile number by a texted code: only a confirmed number can ever reset a password.

Six digits, ten minutes, five tries, three messages an hour. A wrong code counts like a wrong password.
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

PURPOSE = "mobile"
LIFETIME = timedelta(minutes=10)
MESSAGES, PER = 3, timedelta(hours=1)


class TooManyMessages(TooManyRequests):
    """Three in an hour is what we send."""

    code, title = "too_many_messages", "We have sent you enough codes for now"
    says = "We send at most three codes an hour. If you have not received one, please check the number."


class WrongCode(Refusal):
    """Not the code that was sent."""

    code, status, title = "wrong_code", 400, "That code is not right"
    says = "That is not the code in our newest message. Please check it and type it again."


class CodeGone(Refusal):
    """No code is waiting: it is too old, was tried too often, or was never sent."""

    code, status, title = "code_gone", 410, "That code no longer works"
    says = "A code works for ten minutes and five tries. Please ask for a new one."


def send(person: Administrator) -> None:
    """Text a code to the person's number; the one before it dies. Raises `TooManyMessages`."""
    lock(Administrator, person.id)
    now = clock.now()
    if one_time_codes.issued_since(person.id, PURPOSE, now - PER) >= MESSAGES:
        raise TooManyMessages(because=person.id, retry_after=int(PER.total_seconds()))
    code = f"{secrets.randbelow(1_000_000):06}"
    digest = _digest(person.id, now.isoformat(), code)
    one_time_codes.issue(person.id, PURPOSE, digest, now, LIFETIME, value=person.mobile)
    post.sms("mobile_code", to=person.mobile, expires=now + LIFETIME, estab=person.estab_id, code=code)


def is_waiting(person: Administrator) -> bool:
    """Whether a code was sent that can still be typed."""
    return one_time_codes.is_waiting(person.id, PURPOSE)


def confirm(person: Administrator, code: str) -> None:
    """The person received `code`: the number is theirs. Raises `WrongCode`, `CodeGone`, `Locked`.

    The try counts only if the caller's transaction is committed: catch these, and answer with a page.
    """
    counter = guesses.key("account", person.id)
    guesses.count(counter)
    sent = one_time_codes.count_try(person.id, PURPOSE)
    if sent is None:
        raise CodeGone(because=person.id)
    digest = _digest(person.id, sent.created_at.isoformat(), "".join(code.split()))
    if not crypto.same(digest, sent.digest):
        raise WrongCode(because=person.id)
    if not one_time_codes.spend(person.id, PURPOSE, digest):
        raise CodeGone(because=f"{person.id}, at the same moment")
    if not people.confirm_mobile(person.id, sent.value):
        raise CodeGone(because=f"{person.id}: the number is another now")
    guesses.forget(counter)
    log.record(events.MOBILE_CONFIRMED, by=person.id, estab=person.estab_id, subject=person.id)


def in_words(number: str) -> str:
    """An E.164 number as it is written at home, or with its country where that is not the United Kingdom."""
    parsed = phonenumbers.parse(number)
    home = phonenumbers.region_code_for_country_code(parsed.country_code or 0) == "GB"
    kind = phonenumbers.PhoneNumberFormat.NATIONAL if home else phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(parsed, kind)


def _digest(person_id: str, sent_at: str, code: str) -> bytes:
    """Keyed, because a million codes are soon tried on a stolen table; with its time, so that no two are one row."""
    return crypto.keyed(runtime.settings().secrets.tokens, PURPOSE, person_id, sent_at, code)
