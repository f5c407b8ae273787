"""Codes for one person to type: for one purpose, good once, for a time and so many tries; a newer one replaces them.

What a code looks like, and its digest, is the caller's business.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select, update

from idp.estabs import links
from idp.estabs.models import PersonalSecret
from idp.foundation import clock
from idp.foundation.database import claim, session

TRIES = 5


class Waiting(NamedTuple):
    """A code that can still be typed."""

    digest: bytes
    value: str | None
    created_at: datetime


def issue(person_id: str, purpose: str, digest: bytes, now: datetime, lifetime: timedelta, *, value: str) -> None:
    """Let the code behind `digest`, made now, confirm `value`; the person's earlier codes for `purpose` die.

    Hold a lock on the person: of two codes at once, both would live.
    """
    links.supersede(person_id, purpose)
    links.insert(person_id, purpose, digest, now, lifetime, value=value)


def issued_since(person_id: str, purpose: str, since: datetime) -> int:
    """How many codes for `purpose` were made after `since`."""
    made = select(func.count()).where(*_of(person_id, purpose), PersonalSecret.created_at > since)
    return session().scalar(made) or 0


def is_waiting(person_id: str, purpose: str) -> bool:
    """Whether there is a code that can still be typed."""
    return session().scalars(select(PersonalSecret.digest).where(*_live(person_id, purpose))).first() is not None


def count_try(person_id: str, purpose: str) -> Waiting | None:
    """Count a try at the code that is waiting, and return it; None if there is none."""
    tried = (
        update(PersonalSecret)
        .where(*_live(person_id, purpose))
        .values(tries=PersonalSecret.tries + 1)
        .returning(PersonalSecret.digest, PersonalSecret.value, PersonalSecret.created_at)
    )
    row = session().execute(tried).one_or_none()
    return None if row is None else Waiting(*row)


def spend(person_id: str, purpose: str, digest: bytes) -> bool:
    """Use the code up; False where it was used or replaced meanwhile."""
    return claim(PersonalSecret, digest=digest, purpose=purpose, person_id=person_id, superseded_at=None)


def _live(person_id: str, purpose: str) -> tuple[ColumnElement[bool], ...]:
    """The one code a person can still type."""
    sent = PersonalSecret
    return (
        *_of(person_id, purpose), sent.used_at.is_(None), sent.superseded_at.is_(None),
        sent.expires_at > clock.now(), sent.tries < TRIES,
    )  # fmt: skip


def _of(person_id: str, purpose: str) -> tuple[ColumnElement[bool], ...]:
    return PersonalSecret.person_id == person_id, PersonalSecret.purpose == purpose
