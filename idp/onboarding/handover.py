"""Where a registration goes on when its link was pressed in another browser than the one that began it.

Anyone can begin with another person's address and wait for that person to press the button in our mail. So pressing
it elsewhere verifies the address and gives nothing to the browser that waits. The page of the link shows a code of
six digits: typed where the registration began, within ten minutes and five tries, it brings that browser on. Or the
person goes on where they are. Either is one conditional UPDATE of `continues_in`, so of two at once one wins.
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

LIFETIME: Final = timedelta(minutes=10)
TRIES: Final = 5
MAX_CODES: Final = 3
"""For one link: fifteen guesses at a million, and the next link needs the mail's reader again."""


class WrongCode(Refusal):
    """Not the code that the other browser shows."""

    code, status, title = "wrong_code", 400, "That code is not right"
    says = "That is not the code on the other page. Check it and type it again."


class CodeGone(Refusal):
    """Too old, tried too often, or the registration went on elsewhere: the answer does not tell which."""

    code, status, title = "code_gone", 410, "That code no longer works"
    says = (
        "That code no longer works. A code works for 10 minutes and 5 tries. You can get a new code on the page that "
        "shows it, or send the e-mail again and open the new link."
    )


class EnoughCodes(TooManyRequests):
    """The page of one link shows a few codes."""

    code, title = "enough_codes", "No more codes for this link"
    says = "This link has shown three codes. Go on here instead, or send the e-mail again where you began."


def code(registration: Registration) -> str | None:
    """The code for the browser that began; None where none works any more. Derived, so that it is stored nowhere."""
    made_at = registration.code_made_at
    has_choice = registration.is_verified and registration.used_at is None and registration.continues_in is None
    if not has_choice or made_at is None or made_at + LIFETIME <= clock.now() or registration.code_tries >= TRIES:
        return None
    return _code(registration.id, made_at)


def renew(registration: Registration, browser: bytes | None) -> None:
    """Another code in place of one that no longer works, in the browser in which the link was pressed.

    Nothing where the registration goes on somewhere already. Raises `EnoughCodes`.
    """
    now = clock.now()
    renewed = _update(
        registration, Registration.proved_in == browser, Registration.codes_made < MAX_CODES,
        code_made_at=now, code_tries=0, codes_made=Registration.codes_made + 1,
    )  # fmt: skip
    if not renewed and registration.continues_in is None:
        raise EnoughCodes(because=registration.id, retry_after=int(LIFETIME.total_seconds()))


def enter(registration: Registration, browser: bytes | None, typed: str) -> None:
    """Go on in the browser that began, where the code was typed. Raises `WrongCode`, `CodeGone`.

    The try counts only if the caller's transaction is committed: catch these, and answer with a page.
    """
    made_at = registration.code_made_at
    still = Registration.browser == browser, Registration.code_made_at == made_at
    in_time = Registration.code_made_at > clock.now() - LIFETIME, Registration.code_tries < TRIES
    counted = _update(registration, *still, *in_time, code_tries=Registration.code_tries + 1)
    if not counted or made_at is None:
        raise CodeGone(because=registration.id)
    plain = "".join(char for char in unicodedata.normalize("NFKC", typed) if char.isalnum())
    if not crypto.same(_code(registration.id, made_at), plain):
        raise WrongCode(because=registration.id)
    if not _update(registration, *still, continues_in=browser):
        raise CodeGone(because=f"{registration.id}, at the same moment")
    log.record(events.REGISTRATION_HANDED_OVER, by="stranger", subject=registration.id)


def go_on_here(registration: Registration, browser: bytes | None) -> bool:
    """Go on in the browser in which the link was pressed; its code dies. False where it goes on elsewhere already."""
    return _update(registration, Registration.proved_in == browser, continues_in=browser)


def _update(registration: Registration, *must: ColumnElement[bool], **values: object) -> bool:
    """Change it, if `must` holds and no browser has been chosen yet; `registration` is read anew."""
    undecided = (
        Registration.id == registration.id, Registration.verified_email == Registration.email,
        Registration.continues_in.is_(None), Registration.used_at.is_(None), Registration.expires_at > clock.now(),
    )  # fmt: skip
    statement = update(Registration).where(*undecided, *must).values(**values).returning(Registration.id)
    changed = session().execute(statement.execution_options(synchronize_session=False)).one_or_none() is not None
    session().refresh(registration)
    return changed


def _code(registration_id: str, made_at: datetime) -> str:
    keyed = crypto.keyed(runtime.settings().secrets.tokens, "handover", registration_id, made_at.isoformat())
    return f"{int.from_bytes(keyed) % 1_000_000:06}"
