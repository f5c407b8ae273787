"""Second factors of administrators: the kinds, who has one, and the records and mails about changes.

A kind of factor is a line of `KINDS`. A person who has a factor of any kind is asked for a second step at each sign-in
(`second_step`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from idp.audit import events, log
from idp.estabs.models import Administrator
from idp.foundation import clock, dates
from idp.outbox import post
from idp.signin import authenticator_app, passkeys, recovery_codes


@dataclass(frozen=True, slots=True)
class FactorKind:
    """A kind of second factor."""

    name: str
    title: str
    """The name in the sentences of pages and mails."""
    has_any: Callable[[str], bool]
    """Whether the person with this id has one."""
    forget: Callable[[str], object]
    """Delete all of the person's factors of this kind."""


APP: Final = FactorKind("app", "authenticator app", authenticator_app.is_set_up, authenticator_app.remove)
PASSKEY: Final = FactorKind("passkey", "passkey", passkeys.has_any, passkeys.forget)
KINDS: Final = (APP, PASSKEY)


def kinds(person_id: str) -> frozenset[str]:
    """The names of the kinds of factor that the person has."""
    return frozenset(kind.name for kind in KINDS if kind.has_any(person_id))


def has_any(person_id: str) -> bool:
    """Whether the person has a second factor, so that a password alone does not sign them in."""
    return any(kind.has_any(person_id) for kind in KINDS)


def forget_all(person_id: str) -> None:
    """Delete all second factors of a person and their recovery codes, without a notice: the caller says why."""
    for kind in KINDS:
        kind.forget(person_id)
    recovery_codes.forget(person_id)


def note_added(person: Administrator, kind: FactorKind, *, replaced: bool = False) -> None:
    """Record that the person has added a factor, or replaced one, and tell them by mail."""
    event = events.FACTOR_REPLACED if replaced else events.FACTOR_ADDED
    log.record(event, by=person.id, estab=person.sole_estab_id, subject=person.id, kind=kind.name)
    _mail("factor_replaced" if replaced else "factor_added", person, kind)


def note_removed(person: Administrator, kind: FactorKind) -> None:
    """Record that the person has removed a factor, and tell them by mail. With the last one, recovery codes go too."""
    log.record(events.FACTOR_REMOVED, by=person.id, estab=person.sole_estab_id, subject=person.id, kind=kind.name)
    if not has_any(person.id):
        recovery_codes.forget(person.id)
    _mail("factor_removed", person, kind)


def _mail(template: str, person: Administrator, kind: FactorKind) -> None:
    post.email(
        template, to=person.email, estab=person.sole_estab_id, name=person.name_in_mails,
        at=dates.day_and_time(clock.now()), factor=kind.title, is_last=not has_any(person.id),
    )  # fmt: skip
