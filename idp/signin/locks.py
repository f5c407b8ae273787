"""Which accounts are locked now by too many guesses, for our staff.

A counter's key is a digest, so accounts are found by calculating the key of each. Counters of names that do not exist,
and of single known browsers, cannot be named: they are only counted.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from idp.estabs.models import Administrator
from idp.foundation import clock
from idp.foundation.database import session
from idp.signin import guesses
from idp.signin.models import Guesses, Operator


@dataclass(frozen=True, slots=True)
class Lock:
    """A locked account. `kind` is `administrator` or `operator`; `guesses` is their number since the last pause."""

    kind: str
    person_id: str
    name: str
    guesses: int
    until: datetime


def current() -> tuple[list[Lock], int]:
    """The accounts that are locked now, and how many other counters are."""
    locked = select(Guesses).where(Guesses.locked_until > clock.now())
    rows = {row.key: row for row in session().scalars(locked)}
    if not rows:
        return [], 0
    people = session().execute(
        select(Administrator.id, Administrator.username, Administrator.sign_in_email).where(
            Administrator.removed_at.is_(None)
        )
    )
    account_locks: list[Lock] = []
    named: set[bytes] = set()
    for person_id, username, email in people:
        if hits := [rows[key] for key in _keys(person_id, username, email) if key in rows]:
            named.update(row.key for row in hits)
            account_locks.append(_lock("administrator", person_id, username, hits))
    for operator_id, email in session().execute(select(Operator.id, Operator.email)):
        if row := rows.get(guesses.key("account", operator_id)):
            named.add(row.key)
            account_locks.append(_lock("operator", operator_id, email, [row]))
    return sorted(account_locks, key=lambda lock: lock.until), len(rows) - len(named)


def locked_until(person: Administrator) -> datetime | None:
    """Until when no one can sign in to the account; None if it is not locked."""
    keys = _keys(person.id, person.username, person.sign_in_email)
    statement = select(func.max(Guesses.locked_until)).where(Guesses.key.in_(keys))
    until = session().scalar(statement)
    return until if until is not None and until > clock.now() else None


def _keys(person_id: str, *names: str | None) -> list[bytes]:
    """The keys of the counters that lock an account: its own, and those of the names with which it is signed in to."""
    return [guesses.key("account", person_id), *(guesses.key("name", name) for name in names if name)]


def _lock(kind: str, person_id: str, name: str, rows: list[Guesses]) -> Lock:
    until = max(row.locked_until for row in rows if row.locked_until is not None)
    return Lock(kind, person_id, name, max(row.count for row in rows), until)
