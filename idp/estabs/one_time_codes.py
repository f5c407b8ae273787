"""Single-use codes that a person types, each for one purpose; a newer one replaces them.

A code expires, and can be tried `MAX_ATTEMPTS` times. The caller chooses its form and calculates its digest.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select, update

from idp.estabs import links
from idp.estabs.models import PersonalSecret
from idp.foundation import clock
from idp.foundation.database import claim, session

MAX_ATTEMPTS = 5


class PendingCode(NamedTuple):
    """A code that can still be entered."""

    digest: bytes
    value: str | None
    created_at: datetime


def issue(person_id: str, purpose: str, digest: bytes, now: datetime, lifetime: timedelta, *, value: str) -> None:
    """Store a code by its digest; entering it confirms `value`. Earlier codes of the person for `purpose` stop working.

    Hold a lock on the person: otherwise two codes issued at the same time would both work.
    """
    links.supersede(person_id, purpose)
    links.insert(person_id, purpose, digest, now, lifetime, value=value)


def issued_since(person_id: str, purpose: str, since: datetime) -> int:
    """How many codes for `purpose` were issued after `since`."""
    statement = select(func.count()).where(*_conditions(person_id, purpose), PersonalSecret.created_at > since)
    return session().scalar(statement) or 0


def is_waiting(person_id: str, purpose: str) -> bool:
    """Whether there is a code that can still be entered."""
    return session().scalars(select(PersonalSecret.digest).where(*_usable(person_id, purpose))).first() is not None


def count_attempt(person_id: str, purpose: str) -> PendingCode | None:
    """Count an attempt at the code that can still be entered, and return it; None if there is none."""
    statement = (
        update(PersonalSecret)
        .where(*_usable(person_id, purpose))
        .values(tries=PersonalSecret.tries + 1)
        .returning(PersonalSecret.digest, PersonalSecret.value, PersonalSecret.created_at)
    )
    row = session().execute(statement).one_or_none()
    return None if row is None else PendingCode(*row)


def spend(person_id: str, purpose: str, digest: bytes) -> bool:
    """Use the code up; False where it was used or replaced meanwhile."""
    return claim(PersonalSecret, digest=digest, purpose=purpose, person_id=person_id, superseded_at=None)


def _usable(person_id: str, purpose: str) -> tuple[ColumnElement[bool], ...]:
    """The conditions for the one code that the person can still enter."""
    row = PersonalSecret
    return (
        *_conditions(person_id, purpose), row.used_at.is_(None), row.superseded_at.is_(None),
        row.expires_at > clock.now(), row.tries < MAX_ATTEMPTS,
    )  # fmt: skip


def _conditions(person_id: str, purpose: str) -> tuple[ColumnElement[bool], ...]:
    return PersonalSecret.person_id == person_id, PersonalSecret.purpose == purpose
