"""Count guesses of passwords and codes per account, over all names, pages and browsers (security.md §5), and sign-ins.

A guess is counted *before* it is checked: of a hundred sent at once, all are counted and only ten are checked. Ten
guesses without a pause of five minutes lock the account for 1, then 2, 4, 8, 15 minutes; never for good.
"""

from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Executable, case, delete, or_, select, update

from idp.foundation import clock, crypto, inserts, runtime
from idp.foundation.database import session
from idp.foundation.errors import TooManyRequests
from idp.signin.models import Guesses

LOCK_MINUTES = (1, 2, 4, 8, 15)
"""Minutes of each consecutive lock; the last one repeats."""

LOCK_MEMORY = timedelta(hours=1)
"""How long after a lock one more wrong guess brings the next, longer lock."""

SIGN_IN_WINDOW = timedelta(hours=1)
"""The period over which successful sign-ins are counted."""


class Locked(TooManyRequests):
    """Too many guesses at one account; the lock ends at `until`."""

    code, title = "account_locked", "Too many wrong passwords"

    def __init__(self, until: datetime) -> None:
        self.minutes = max(1, ceil((until - clock.now()) / timedelta(minutes=1)))
        wait = "a minute" if self.minutes == 1 else f"{self.minutes} minutes"
        super().__init__(
            f"To protect this account, no one can sign in to it for {wait}. Then you can try again.",
            reason=f"locked until {until:%H:%M:%S}",
            retry_after=max(1, ceil((until - clock.now()).total_seconds())),
        )


class TooManySignIns(TooManyRequests):
    """Too many successful sign-ins: a program that does not keep its session, or an attack."""

    code, title = "too_many_sign_ins", "Signed in too often"
    message = (
        "Someone has signed in to this account very many times within an hour, so no one can sign in to it until the "
        "hour is over. If you are signed in in another window, you can continue there."
    )


def key(*parts: str) -> bytes:
    """The key of the counter that these parts name: an account, an unknown name, or an account in one known browser."""
    return crypto.digest("".join(f"{len(part)}:{part}" for part in parts))


def refuse_locked(counter: bytes) -> None:
    """Raise `Locked` if the counter is locked. Only a cheap first check: `count` decides."""
    until = session().scalar(select(Guesses.locked_until).where(Guesses.key == counter))
    if until is not None and until > clock.now():
        raise Locked(until)


def count(counter: bytes) -> bool:
    """Count one guess; True if it is the one that locks the account. Raises `Locked` if it is locked already."""
    limits, now = runtime.settings().throttle, clock.now()
    guessed = session().execute(_count_statement(counter, now, now + timedelta(seconds=limits.account_window))).scalar()
    if guessed is None:
        refuse_locked(counter)
        raise Locked(now)  # it was unlocked between the two statements
    if guessed < limits.account_guesses:
        return False
    minutes = LOCK_MINUTES[min(guessed - limits.account_guesses, len(LOCK_MINUTES) - 1)]
    until = now + timedelta(minutes=minutes)
    statement = update(Guesses).where(Guesses.key == counter).values(locked_until=until, expires_at=until + LOCK_MEMORY)
    session().execute(statement)
    return bool(guessed == limits.account_guesses)


def forget(counter: bytes | None) -> None:
    """Reset the counter after a successful sign-in."""
    session().execute(delete(Guesses).where(Guesses.key == counter))


def count_sign_in(person_id: str) -> None:
    """Count a successful sign-in. Raises `TooManySignIns` beyond the settings' limit for an hour."""
    limits = runtime.settings().throttle
    count, until = tally(key("sign-in", person_id), SIGN_IN_WINDOW)
    if count > limits.account_sign_ins * limits.factor:
        wait = max(1, ceil((until - clock.now()).total_seconds()))
        raise TooManySignIns(reason=f"{person_id}: {count} within an hour", retry_after=wait)


def tally(counter: bytes, window: timedelta) -> tuple[int, datetime]:
    """Count an event that is not a guess; returns its count in the current window, and the window's end."""
    now = clock.now()
    has_expired = Guesses.expires_at <= now
    statement = inserts.insert(Guesses).values(key=counter, count=1, locked_until=None, expires_at=now + window)
    row = (
        session()
        .execute(
            statement.on_conflict_do_update(
                index_elements=[Guesses.key],
                set_={
                    "count": case((has_expired, 1), else_=Guesses.count + 1),
                    "expires_at": case((has_expired, now + window), else_=Guesses.expires_at),
                },
            ).returning(Guesses.count, Guesses.expires_at)
        )
        .one()
    )
    times, until = row
    return times, until


def _count_statement(counter: bytes, now: datetime, expires_at: datetime) -> Executable:
    """A statement that adds a guess and returns the number of guesses, or no row while the account is locked."""
    return (
        inserts.insert(Guesses)
        .values(key=counter, count=1, locked_until=None, expires_at=expires_at)
        .on_conflict_do_update(
            index_elements=[Guesses.key],
            set_={
                "count": case((Guesses.expires_at <= now, 1), else_=Guesses.count + 1),
                "locked_until": None,
                "expires_at": expires_at,
            },
            where=or_(Guesses.locked_until.is_(None), Guesses.locked_until <= now),
        )
        .returning(Guesses.count)
    )
