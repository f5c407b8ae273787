"""The username and generated password of a new school's first owner, shown once; or a password they choose.

The password is generated before the registration is completed, shown in the response to that click, and stored only
as a hash. If that response was lost, the browser that signed up may have another password for 15 minutes, until the
owner chooses one; no other browser may.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from idp.audit import events, log
from idp.estabs import credentials, passphrases, people
from idp.estabs.models import Administrator
from idp.foundation import clock, runtime
from idp.foundation.database import lock
from idp.foundation.errors import Refusal
from idp.onboarding.models import Registration
from idp.partners import registry

REPLACEMENT_WINDOW: Final = timedelta(minutes=15)
"""How long after signing up the password may be replaced without knowing the first one."""


class PasswordNotReplaceable(Refusal):
    """The replacement window is over, or this is another browser."""

    code, status, title = "too_late_to_collect", 410, "The password can no longer be changed here"
    message = "You can do this only for a short time after signing up, and only in the same browser."


@dataclass(frozen=True, slots=True)
class GeneratedPassword:
    """A generated password and its hash. The password is shown on the response's page and used for nothing else."""

    password: str
    hash: str


def generate() -> GeneratedPassword:
    """Generate a password and hash it. Slow: call it outside a transaction."""
    password = passphrases.generate()
    return GeneratedPassword(password, runtime.passwords().hash(password))


def issue(registration: Registration, person: Administrator, generated: GeneratedPassword) -> None:
    """Give the new owner the password that is about to be shown."""
    credentials.set_hash(person, generated.hash, by=person.id, is_generated=True)
    registration.collected_at = person.password_changed_at


def replaceable_owner(registration: Registration, browser: bytes | None) -> Administrator | None:
    """The owner whose password this browser may still replace; None if there is none."""
    if registration.used_at is None or clock.now() >= registration.used_at + REPLACEMENT_WINDOW:
        return None
    if not registration.was_completed_in(browser):
        return None
    person = people.get(registration.administrator_id or "")
    is_unchanged = person and registration.collected_at and person.password_changed_at == registration.collected_at
    return person if is_unchanged else None


def require_owner(registration: Registration, browser: bytes | None) -> Administrator:
    """As `replaceable_owner`, but raises `PasswordNotReplaceable` instead of returning None."""
    person = replaceable_owner(registration, browser)
    if person is None:
        raise PasswordNotReplaceable(reason=registration.id, next_steps=(("Sign in", "/sign-in"),))
    return person


def replace(registration: Registration, browser: bytes | None, generated: GeneratedPassword) -> None:
    """Set another generated password in place of the first. Raises `PasswordNotReplaceable`."""
    person = _lock_owner(registration, browser)
    issue(registration, person, generated)
    log.record(events.CREDENTIALS_REPLACED, by=person.id, estab=person.sole_estab_id, subject=person.id)


def rejection_reason(person: Administrator, password: str) -> str | None:
    """Why a chosen password is refused: short, common, or about the school or a partner; None when it is good."""
    return credentials.rejection_reason(password, (*credentials.words_about(person), *registry.partner_names()))


def set_own(registration: Registration, browser: bytes | None, password_hash: str) -> None:
    """Replace the generated password by one that the owner chose. The caller has checked it (`rejection_reason`).

    Afterwards this browser can no longer change the password without signing in. Raises `PasswordNotReplaceable`.
    """
    person = _lock_owner(registration, browser)
    credentials.set_hash(person, password_hash, by=person.id)
    registration.collected_at = None


def _lock_owner(registration: Registration, browser: bytes | None) -> Administrator:
    """As `require_owner`, with both rows locked: of two requests at once, the second sees the first's result."""
    lock(Registration, registration.id)
    lock(Administrator, registration.administrator_id or "")
    return require_owner(registration, browser)
