"""Choose the browser in which a registration continues, when its link was opened in another than the one that began.

Anyone can begin a registration with another person's address and wait for that person to open the link. So verifying
the address in another browser gives nothing to the browser that began. The page of the link shows a six-digit code:
entered in the browser that began, within ten minutes and five attempts, it lets that browser continue. Or the person
continues in the browser that opened the link. Either is one conditional UPDATE of `continues_in`, so of two at once
one succeeds.
"""

import unicodedata
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, update

from idp.audit import events, log
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.foundation.errors import Refusal, TooManyRequests
from idp.onboarding.models import Registration

CODE_LIFETIME: Final = timedelta(minutes=10)
MAX_ATTEMPTS: Final = 5
MAX_CODES: Final = 3
"""Codes for one link, so 15 guesses in a million. For more, the reader of the mail has to open another link."""


class WrongCode(Refusal):
    """The code differs from the one that the other browser shows."""

    code, status, title = "wrong_code", 400, "That code is not right"
    message = "That is not the code on the other page. Check it and type it again."


class CodeExpired(Refusal):
    """The code is too old, was tried too often, or is no longer needed: the page does not say which."""

    code, status, title = "code_gone", 410, "That code no longer works"
    message = (
        "That code no longer works. A code works for 10 minutes and 5 attempts. You can get a new code on the page "
        "that shows it, or send the e-mail again and open the new link."
    )


class TooManyCodes(TooManyRequests):
    """The link has shown as many codes as it may."""

    code, title = "enough_codes", "No more codes for this link"
    message = "This link has shown three codes. Continue here instead, or send the e-mail again from where you began."


def code(registration: Registration) -> str | None:
    """The code for the browser that began; None if none is valid any more. It is derived, never stored."""
    made_at = registration.code_made_at
    has_choice = registration.is_verified and registration.used_at is None and registration.continues_in is None
    if (
        not has_choice
        or made_at is None
        or made_at + CODE_LIFETIME <= clock.now()
        or registration.code_tries >= MAX_ATTEMPTS
    ):
        return None
    return _code(registration.id, made_at)


def renew(registration: Registration, browser: bytes | None) -> None:
    """Issue another code, in the browser that opened the link.

    Does nothing if a browser has been chosen already. Raises `TooManyCodes`.
    """
    now = clock.now()
    renewed = _update(
        registration, Registration.verified_in == browser, Registration.codes_made < MAX_CODES,
        code_made_at=now, code_tries=0, codes_made=Registration.codes_made + 1,
    )  # fmt: skip
    if not renewed and registration.continues_in is None:
        raise TooManyCodes(reason=registration.id, retry_after=int(CODE_LIFETIME.total_seconds()))


def enter(registration: Registration, browser: bytes | None, typed: str) -> None:
    """Continue in the browser that began, where the code was entered. Raises `WrongCode`, `CodeExpired`.

    The attempt is counted only if the caller's transaction commits: catch these errors and render a page.
    """
    made_at = registration.code_made_at
    conditions = Registration.browser == browser, Registration.code_made_at == made_at
    in_time = Registration.code_made_at > clock.now() - CODE_LIFETIME, Registration.code_tries < MAX_ATTEMPTS
    was_counted = _update(registration, *conditions, *in_time, code_tries=Registration.code_tries + 1)
    if not was_counted or made_at is None:
        raise CodeExpired(reason=registration.id)
    digits = "".join(char for char in unicodedata.normalize("NFKC", typed) if char.isalnum())
    if not crypto.constant_time_compare(_code(registration.id, made_at), digits):
        raise WrongCode(reason=registration.id)
    if not _update(registration, *conditions, continues_in=browser):
        raise CodeExpired(reason=f"{registration.id}, at the same moment")
    log.record(events.REGISTRATION_HANDED_OVER, by="stranger", subject=registration.id)


def continue_here(registration: Registration, browser: bytes | None) -> bool:
    """Continue in the browser that opened the link; its code stops working. False if it continues elsewhere already."""
    return _update(registration, Registration.verified_in == browser, continues_in=browser)


def _update(registration: Registration, *conditions: ColumnElement[bool], **values: object) -> bool:
    """Update `registration` if `conditions` hold and no browser has been chosen yet, and reload it."""
    undecided = (
        Registration.id == registration.id, Registration.verified_email == Registration.email,
        Registration.continues_in.is_(None), Registration.used_at.is_(None), Registration.expires_at > clock.now(),
    )  # fmt: skip
    statement = update(Registration).where(*undecided, *conditions).values(**values).returning(Registration.id)
    changed = session().execute(statement.execution_options(synchronize_session=False)).one_or_none() is not None
    session().refresh(registration)
    return changed


def _code(registration_id: str, made_at: datetime) -> str:
    keyed = crypto.hmac_sha256(runtime.settings().secrets.tokens, "handover", registration_id, made_at.isoformat())
    return f"{int.from_bytes(keyed) % 1_000_000:06}"
