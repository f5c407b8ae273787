"""The username and password of a new school's first owner, shown once; or a password of their own.

The password is made before the registration is completed, shown in the answer to that very click, and kept as
its hash alone. If the answer was lost on its way, the browser that signed up may have another for a quarter of
an hour, until a password has been chosen; nobody else can.
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
"""How long after signing up the password may be replaced without knowing it."""


class TooLateToCollect(Refusal):
    """The password was for those who had just signed up."""

    code, status, title = "too_late_to_collect", 410, "The password can no longer be changed here"
    says = "This is possible only for a short time after signing up, and only in the same browser."


@dataclass(frozen=True, slots=True)
class Made:
    """A generated password and its hash. The password is for the answer's page and nothing else."""

    password: str
    hash: str


def make() -> Made:
    """Make a password. Slow: call it outside a transaction."""
    password = passphrases.generate()
    return Made(password, runtime.passwords().hash(password))


def issue(registration: Registration, person: Administrator, made: Made) -> None:
    """Give the new owner the password that is about to be shown."""
    credentials.set_hash(person, made.hash, by=person.id, is_ours=True)
    registration.collected_at = person.password_changed_at


def owner(registration: Registration, browser: bytes | None) -> Administrator | None:
    """The owner whose password this browser may still replace; None where there is none, or no longer."""
    if registration.used_at is None or clock.now() >= registration.used_at + REPLACEMENT_WINDOW:
        return None
    if not registration.was_completed_in(browser):
        return None
    person = people.get(registration.administrator_id or "")
    untouched = person and registration.collected_at and person.password_changed_at == registration.collected_at
    return person if untouched else None


def owner_or_refuse(registration: Registration, browser: bytes | None) -> Administrator:
    """The same, or `TooLateToCollect`."""
    person = owner(registration, browser)
    if person is None:
        raise TooLateToCollect(because=registration.id, next_steps=(("Sign in", "/sign-in"),))
    return person


def replace(registration: Registration, browser: bytes | None, made: Made) -> None:
    """Another password instead of one that was never seen. Raises `TooLateToCollect`."""
    person = _owner_locked(registration, browser)
    issue(registration, person, made)
    log.record(events.CREDENTIALS_REPLACED, by=person.id, estab=person.estab_id, subject=person.id)


def why_not_own(person: Administrator, password: str) -> str | None:
    """Why a password of one's own is refused: short, common, or about the school or a partner; None when it is good."""
    return credentials.why_not(password, (*credentials.words_about(person), *registry.names()))


def choose(registration: Registration, browser: bytes | None, password_hash: str) -> None:
    """The owner's own password, checked before, takes the place of the one shown; from now on it takes a sign-in.

    Raises `TooLateToCollect`.
    """
    person = _owner_locked(registration, browser)
    credentials.set_hash(person, password_hash, by=person.id)
    registration.collected_at = None


def _owner_locked(registration: Registration, browser: bytes | None) -> Administrator:
    """As `owner_or_refuse`, deciding on both rows as they are now: of two at once, the second sees the first."""
    lock(Registration, registration.id)
    lock(Administrator, registration.administrator_id or "")
    return owner_or_refuse(registration, browser)
