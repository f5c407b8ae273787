"""Wrong passwords and codes, counted per account over every name, page and browser (security.md §5); right ones too.

Counted *before* the answer is known: of a hundred guesses at once, all are counted and ten are answered. Ten
without five quiet minutes between them lock the account for 1, then 2, 4, 8, 15 minutes; never for good.
"""

from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Executable, case, delete, or_, select, update

from idp.foundation import clock, crypto, inserts, runtime
from idp.foundation.database import session
from idp.foundation.errors import TooManyRequests
from idp.signin.models import Guesses

LOCKS = (1, 2, 4, 8, 15)
"""Minutes; the last one again and again."""

REMEMBERED = timedelta(hours=1)
"""After a lock, one more wrong guess within this time brings the next longer one."""

SIGN_INS_WITHIN = timedelta(hours=1)
"""Right passwords are counted for so long."""


class Locked(TooManyRequests):
    """Too many guesses at one account; it opens by itself at `until`."""

    code, title = "account_locked", "Too many wrong passwords"

    def __init__(self, until: datetime) -> None:
        self.minutes = max(1, ceil((until - clock.now()) / timedelta(minutes=1)))
        wait = "a minute" if self.minutes == 1 else f"{self.minutes} minutes"
        super().__init__(
            f"To protect this account, nobody can sign in to it for {wait}. Then you can try again.",
            because=f"locked until {until:%H:%M:%S}",
            retry_after=max(1, ceil((until - clock.now()).total_seconds())),
        )


class TooManySignIns(TooManyRequests):
    """The password was right, again and again: a program that does not keep its session, or a flood."""

    code, title = "too_many_sign_ins", "Signed in too often"
    says = (
        "This account has been signed in to so often lately that we stop for a while. If you are signed in in another "
        "window, you can carry on there."
    )


def key(*whose: str) -> bytes:
    """The counter of an account, of an unknown name, or of an account in one known browser."""
    return crypto.digest("".join(f"{len(part)}:{part}" for part in whose))


def refuse_locked(counter: bytes) -> None:
    """Raise `Locked` if no guess would be answered now. Says nothing about a moment later: `count` decides."""
    until = session().scalar(select(Guesses.locked_until).where(Guesses.key == counter))
    if until is not None and until > clock.now():
        raise Locked(until)


def count(counter: bytes) -> bool:
    """Count one guess; True if it is the one that locks the account. Raises `Locked` if it is locked already."""
    limits, now = runtime.settings().throttle, clock.now()
    guessed = session().execute(_one_more(counter, now, now + timedelta(seconds=limits.account_window))).scalar()
    if guessed is None:
        refuse_locked(counter)
        raise Locked(now)  # it was unlocked between the two statements
    if guessed < limits.account_guesses:
        return False
    minutes = LOCKS[min(guessed - limits.account_guesses, len(LOCKS) - 1)]
    until = now + timedelta(minutes=minutes)
    lock = update(Guesses).where(Guesses.key == counter).values(locked_until=until, expires_at=until + REMEMBERED)
    session().execute(lock)
    return bool(guessed == limits.account_guesses)


def forget(counter: bytes | None) -> None:
    """It was the right person: begin again at nought."""
    session().execute(delete(Guesses).where(Guesses.key == counter))


def count_sign_in(person_id: str) -> None:
    """Count a right password. Raises `TooManySignIns` beyond the settings' limit for an hour."""
    limits = runtime.settings().throttle
    count, until = tally(key("sign-in", person_id), SIGN_INS_WITHIN)
    if count > limits.account_sign_ins * limits.factor:
        wait = max(1, ceil((until - clock.now()).total_seconds()))
        raise TooManySignIns(because=f"{person_id}: {count} since an hour", retry_after=wait)


def tally(counter: bytes, within: timedelta) -> tuple[int, datetime]:
    """Count something that is no guess: how often it has happened in a period of this length, and its end."""
    now = clock.now()
    is_over = Guesses.expires_at <= now
    added = inserts.insert(Guesses).values(key=counter, count=1, locked_until=None, expires_at=now + within)
    row = (
        session()
        .execute(
            added.on_conflict_do_update(
                index_elements=[Guesses.key],
                set_={
                    "count": case((is_over, 1), else_=Guesses.count + 1),
                    "expires_at": case((is_over, now + within), else_=Guesses.expires_at),
                },
            ).returning(Guesses.count, Guesses.expires_at)
        )
        .one()
    )
    times, until = row
    return times, until


def _one_more(counter: bytes, now: datetime, forgotten: datetime) -> Executable:
    """One statement that adds a guess and returns their number, or no row while the account is locked."""
    return (
        inserts.insert(Guesses)
        .values(key=counter, count=1, locked_until=None, expires_at=forgotten)
        .on_conflict_do_update(
            index_elements=[Guesses.key],
            set_={
                "count": case((Guesses.expires_at <= now, 1), else_=Guesses.count + 1),
                "locked_until": None,
                "expires_at": forgotten,
            },
            where=or_(Guesses.locked_until.is_(None), Guesses.locked_until <= now),
        )
        .returning(Guesses.count)
    )
