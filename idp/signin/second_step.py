"""The second step of a sign-in: after the right password, for people who have a second factor.

A sign-in that waits for it is a row here and a random secret in a cookie of the browser: it works once, for ten
minutes, and is not a sign-in by itself (security.md S27, S33). A wrong answer counts on the same counters as a wrong
password (S30).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import flash, request
from sqlalchemy import select

from idp.estabs import people
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import claim, session
from idp.foundation.errors import Refusal
from idp.foundation.web.security import cookie_name, set_cookie
from idp.signin import devices, factor_recovery, factors, guesses, password, session as browser_sessions, sign_ins
from idp.signin.models import HalfSignIn

LIFETIME = timedelta(minutes=10)


class WrongAnswer(Refusal):
    """The code or the passkey of the second step is not right."""

    code, status, title = "wrong_code", 401, "That code is not right"


class StepExpired(Refusal):
    """Nothing in this browser waits for a second step: it took too long, was used, or was begun elsewhere."""

    code, status, title = "second_step_expired", 410, "Please sign in again"
    message = "You have ten minutes for the second step. Please sign in again."


@dataclass(frozen=True, slots=True)
class HalfSignedIn:
    """A person who has taken the first step in this browser, and whose second step is missing."""

    digest: bytes
    person_id: str
    amr: frozenset[str]
    name_counter: bytes
    created_at: datetime
    provider: str | None


def sign_in(
    person_id: str,
    *,
    name_counter: bytes,
    amr: frozenset[str] = browser_sessions.PASSWORD,
    provider: str | None = None,
) -> bool:
    """After a first step by the methods `amr`: sign the person in, or wait for their second step.

    Returns whether they are signed in. `name_counter` counts wrong answers at the second step, in addition to the
    account's counter; `provider` is what pages call the account of another provider that took the place of the
    password.
    """
    lost = amr == browser_sessions.PASSWORD and factor_recovery.complete(person_id)
    if lost:
        flash("Your lost phone or key has been removed from your account. Please set up a new one.", "info")
    if lost or not factors.has_any(person_id):
        begin_session(person_id, amr, provider=provider)
        return True
    secret, now = crypto.new_secret(), clock.now()
    session().add(
        HalfSignIn(
            digest=crypto.digest(secret), person_id=person_id, amr=amr,
            name_counter=name_counter, provider=provider, created_at=now, expires_at=now + LIFETIME, used_at=None,
        )
    )  # fmt: skip
    set_cookie(_cookie(), secret, lifetime=LIFETIME)
    return False


def sign_in_owner(person_id: str) -> None:
    """Sign in the owner who has just registered their school, unless they have a second factor by now."""
    if not factors.has_any(person_id):
        _begin(person_id, browser_sessions.PASSWORD)


def waiting() -> HalfSignedIn | None:
    """The sign-in of this browser that waits for its second step; None if none can still be completed."""
    secret = request.cookies.get(_cookie())
    if not secret:
        return None
    live = HalfSignIn.used_at.is_(None), HalfSignIn.expires_at > clock.now()
    row = session().scalar(select(HalfSignIn).where(HalfSignIn.digest == crypto.digest(secret), *live))
    if row is None:
        return None
    return HalfSignedIn(row.digest, row.person_id, row.amr, row.name_counter, row.created_at, row.provider)


def complete(half_signed_in: HalfSignedIn, prove: Callable[[], bool], amr: frozenset[str]) -> None:
    """Sign the person in if `prove`, which spends what it accepts, returns True; `amr` are its methods (RFC 8176).

    Raises `WrongAnswer`, `guesses.Locked` and `StepExpired`. As with `password.check`, the caller must render a page,
    so that the guess is counted.
    """
    person = people.get_locked(half_signed_in.person_id)
    counters = half_signed_in.name_counter, devices.guess_counter(half_signed_in.person_id, devices.device_id())
    locks = [guesses.count(counter) for counter in counters]
    if not prove():
        password.note_failure(half_signed_in.person_id, locks=any(locks))
        raise WrongAnswer(reason=half_signed_in.person_id)
    is_first = claim(HalfSignIn, digest=half_signed_in.digest, person_id=half_signed_in.person_id)
    if (
        not is_first
        or person is None
        or not person.may_sign_in
        or _is_newer(person.password_changed_at, half_signed_in)
    ):
        raise StepExpired(reason=half_signed_in.person_id)
    for counter in counters:
        guesses.forget(counter)
    set_cookie(_cookie(), "")
    factor_recovery.stop_for(half_signed_in.person_id)
    begin_session(half_signed_in.person_id, half_signed_in.amr | amr | {"mfa"}, provider=half_signed_in.provider)


def abandon() -> None:
    """Delete the unfinished sign-in of this browser."""
    half_signed_in = waiting()
    if half_signed_in is not None:
        claim(HalfSignIn, digest=half_signed_in.digest)
    set_cookie(_cookie(), "")


def begin_session(person_id: str, amr: frozenset[str], *, provider: str | None = None) -> None:
    """Sign in a person who has passed every step, and tell them by mail if this browser is new to them."""
    person = people.get(person_id)
    assert person is not None  # read a moment ago, in this transaction
    browser = devices.describe(str(request.user_agent))
    password.notify_new_device(person, device=devices.device_id(), browser=browser)
    _begin(person_id, amr, provider)


def _begin(person_id: str, amr: frozenset[str], provider: str | None = None) -> None:
    """Begin the session, and record the sign-in for the person's list of sign-ins."""
    signed_in = browser_sessions.begin(person_id, amr)
    device = devices.describe(str(request.user_agent))
    sign_ins.record(signed_in, device=device, address=request.remote_addr or "", provider=provider)


def _is_newer(password_changed_at: datetime | None, half_signed_in: HalfSignedIn) -> bool:
    """Whether the password was changed after the first step."""
    return password_changed_at is not None and password_changed_at > half_signed_in.created_at


def _cookie() -> str:
    return cookie_name(runtime.settings(), "second-step")
