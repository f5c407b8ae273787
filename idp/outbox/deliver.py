"""Deliver what is due: leased in one transaction, sent in none, settled each in its own.

A row is leased and not removed, so a worker that dies leaves its letters to the next one; a letter may then
leave twice, and says so by the same `Message-ID`. What cannot be sent is tried again, at growing intervals,
until `give_up_at`; then it has failed, stays visible, and can be retried by hand.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Exists, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound, Refusal
from idp.outbox import channels, events, post
from idp.outbox.letter import Later, Letter, NotSent, Refused, Unreachable
from idp.outbox.models import Message

Work = Callable[[], AbstractContextManager[Any]]
"""Opens one transaction: `partial(transactions.work, app)`."""

BATCH: Final = {"email": 20, "sms": 20, "event": 1}
"""Letters leased at once. Events go to many places, and one that hangs must not keep the others waiting."""
EVENT: Final = "event"
LEASE: Final = timedelta(minutes=5)
"""After this a letter that was leased and not settled is anybody's."""
ROUND: Final = 120.0
"""Seconds after which a round stops: well before the lease ends, so that no other worker has begun on its letters."""
FIRST_WAIT: Final = 5.0
LONGEST_WAIT: Final = 600.0
"""Seconds between tries, doubling from the first to the longest."""

_log = structlog.get_logger("idp.outbox")


class NoSuchFailure(NotFound):
    """Only a failed message is retried."""

    code = "no_such_failure"
    says = "There is no failed message with that id."


class MessageExpired(Refusal):
    """Its link or code has expired, and sending it would only confuse."""

    code, status = "message_expired", 409
    says = "What this message says has expired or is gone. Please start what it was about again."


def run_once(work: Work, kind: str, *, stopping: Callable[[], bool] = lambda: False) -> int:
    """Deliver up to `BATCH[kind]` messages of `kind` that are due; returns how many were due.

    Ends early, giving back what it has not tried, when it takes too long or `stopping` says so.
    """
    with work():
        left = deque(_leased(kind))
        settings = runtime.settings()
    due = len(left)
    if not due:
        return 0
    stop_at = time.monotonic() + ROUND
    try:
        with channels.opened(kind, settings) as send:
            while left and time.monotonic() < stop_at and not stopping():
                outcome = _tried(work, send, left[0])
                if isinstance(outcome, Unreachable):
                    raise outcome
                _settle(work, left.popleft(), outcome)
    except Unreachable as unreachable:
        while left:
            _settle(work, left.popleft(), unreachable)
    for letter in left:
        _give_back(work, letter)
    return due


def retry(message_id: str) -> None:
    """Send a failed message again, as if it had been written now. Raises `NoSuchFailure`, `MessageExpired`."""
    message, now = session().get(Message, message_id), clock.now()
    if message is None or message.failed_at is None:
        raise NoSuchFailure(because=message_id)
    if (
        message.sealed is None
        or message.recipient is None
        or (message.expires_at is not None and message.expires_at <= now)
    ):
        raise MessageExpired(because=message_id)
    message.failed_at, message.due_at, message.attempts = None, now, 0
    message.give_up_at = now + timedelta(hours=runtime.settings().outbox.give_up_hours)


def _leased(kind: str) -> Sequence[Letter]:
    """Letters that are ours for `LEASE`. SQLite has one writer; PostgreSQL skips what another has just taken."""
    now = clock.now()
    due = (
        select(Message)
        .where(Message.kind == kind, Message.sent_at.is_(None), Message.failed_at.is_(None), Message.due_at <= now)
        .where(or_(Message.leased_until.is_(None), Message.leased_until < now))
        .order_by(Message.due_at)
        .limit(BATCH[kind])
        .with_for_update(skip_locked=True)
    )
    if kind == EVENT:
        due = due.where(~_is_being_told(now))
    letters = []
    for message in session().scalars(due):
        if letter := _opened(message, now):
            message.leased_until, message.attempts = now + LEASE, message.attempts + 1
            letters.append(letter)
    return letters


def _opened(message: Message, now: datetime) -> Letter | None:
    """What is to be sent; None if it is of no use any more, or cannot be read, and so has failed.

    Whatever is wrong with one row, those behind it are sent.
    """
    if message.expires_at is not None and message.expires_at <= now:
        message.failed_at, message.last_error = now, "expired"
        message.sealed = message.recipient = None  # the link or code in it is no longer needed
        return None
    try:
        return post.opened(message)
    except Exception as fault:  # noqa: BLE001  a key that is gone, a body that is missing or malformed
        message.failed_at, message.last_error = now, f"cannot be opened: {fault}"
        message.attempts += 1
        _log.error("set aside", kind=message.kind, name=message.name, row=message.id, because=type(fault).__name__)
        return None


def _is_being_told(now: datetime) -> Exists:
    """Whether another event for the same client is on its way: one at a time, so a client that hangs holds one loop."""
    other = aliased(Message)
    mine = other.kind == EVENT, other.client == Message.client, other.sent_at.is_(None), other.failed_at.is_(None)
    return exists().where(*mine, other.leased_until >= now)


def _tried(work: Work, send: channels.Send, letter: Letter) -> NotSent | None:
    """Why `letter` did not leave, or None if it did. A fault of our own must not keep the others waiting."""
    try:
        if letter.kind == EVENT:
            with work():
                letter = events.made(letter)
        send(letter)
    except NotSent as fault:
        return fault
    except Exception as fault:  # noqa: BLE001  logged with its trace; the row says so too
        _log.exception("could not be sent", kind=letter.kind, name=letter.name, row=letter.id)
        return Later(f"a fault of our own: {type(fault).__name__}")
    return None


def _settle(work: Work, letter: Letter, outcome: NotSent | None) -> None:
    """Write down what came of it."""
    with work():
        message = session().get(Message, letter.id)
        if message is None or message.sent_at is not None:
            return
        message.leased_until = None
        if outcome is None:
            _sent(message)
        else:
            _not_sent(message, outcome)


def _give_back(work: Work, letter: Letter) -> None:
    """It was leased and not tried."""
    with work():
        message = session().get(Message, letter.id)
        if message is not None:
            message.leased_until, message.attempts = None, message.attempts - 1


def _sent(message: Message) -> None:
    message.sent_at = clock.now()
    message.sealed = message.recipient = message.last_error = None
    _log.info("sent", kind=message.kind, name=message.name, row=message.id, attempt=message.attempts)


def _not_sent(message: Message, outcome: NotSent) -> None:
    """Try again later, or give up. What the other side said stays in the row: it may name the recipient."""
    again = clock.now() + timedelta(seconds=_wait(message.attempts if message.kind != EVENT else _tries(message)))
    message.last_error = outcome.why
    if isinstance(outcome, Refused) or again >= message.give_up_at:
        message.failed_at = clock.now()
    else:
        message.due_at = again
        if message.kind == EVENT:
            _put_off(message, again)
    _log.warning(
        "failed" if message.failed_at else "not sent yet", kind=message.kind, name=message.name, row=message.id,
        attempt=message.attempts, code=outcome.code, because=type(outcome).__name__,
    )  # fmt: skip


def _tries(message: Message) -> int:
    """How often the client's oldest trouble was tried: what comes after it waits as long."""
    return session().scalars(select(func.max(Message.attempts)).where(*_waiting(message))).one() or message.attempts


def _put_off(message: Message, until: datetime) -> None:
    """A client that does not answer keeps only its own events waiting."""
    later = update(Message).where(*_waiting(message), Message.due_at < until).values(due_at=until)
    session().execute(later.execution_options(synchronize_session=False))


def _waiting(message: Message) -> tuple[ColumnElement[bool], ...]:
    return (
        Message.kind == EVENT, Message.client == message.client, Message.sent_at.is_(None), Message.failed_at.is_(None),
    )  # fmt: skip


def _wait(attempts: int) -> float:
    """Seconds until the next try: doubling, and somewhere in the upper half, so that letters spread out."""
    longest = min(FIRST_WAIT * float(2 ** (attempts - 1)), LONGEST_WAIT)
    return longest * (0.5 + secrets.randbelow(1000) / 2000)
