"""Deliver due messages: lease them in one transaction, send outside transactions, record each result in its own.

A row is leased and not removed, so if a worker dies, another one delivers its messages. A message may then be sent
twice, with the same `Message-ID`. A message that cannot be sent is retried at growing intervals until `give_up_at`;
then it has failed, stays visible, and can be retried by hand.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import ColumnElement, Exists, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from idp.foundation import clock, runtime
from idp.foundation.database import lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.foundation.web.transactions import TransactionFactory
from idp.outbox import channels, events, post
from idp.outbox.models import Message
from idp.outbox.outgoing import NotSent, OutgoingMessage, PermanentFailure, ServerUnreachable, TemporaryFailure

BATCH_SIZES: Final = {"email": 20, "sms": 20, "event": 1}
"""Messages leased at once. Events go to many servers, and one that hangs must not delay the others."""
EVENT: Final = "event"
LEASE: Final = timedelta(minutes=5)
"""How long a lease lasts; afterwards any worker may lease a message whose result was not recorded."""
MAX_ROUND_SECONDS: Final = 120.0
"""A round stops after this, well before the lease ends, so that no other worker leases its messages."""
FIRST_WAIT_SECONDS: Final = 5.0
"""Seconds between the first failure and the second attempt."""
MAX_WAIT_SECONDS: Final = 600.0
"""The longest time between two attempts, which doubles from `FIRST_WAIT_SECONDS` on."""

_log = structlog.get_logger("idp.outbox")


@dataclass(frozen=True, slots=True)
class Sent:
    """A server took the message; `provider_id` is its own id of it, if it named one."""

    provider_id: str | None


class NoSuchFailure(NotFound):
    """Only a failed message is retried."""

    code = "no_such_failure"
    message = "There is no failed message with that id."


class MessageExpired(Refusal):
    """The message's link or code has expired, so sending it would only confuse."""

    code, status = "message_expired", 409
    message = "The content of this message has expired or was deleted. Please start the action again that it was for."


def run_once(transaction: TransactionFactory, kind: str, *, stopping: Callable[[], bool] = lambda: False) -> int:
    """Deliver up to `BATCH_SIZES[kind]` messages of `kind` that are due; returns how many were due.

    Ends early, and releases messages that were not tried, when it takes too long or `stopping` returns true.
    """
    with transaction():
        batch = deque(_lease(kind))
        settings = runtime.settings()
    due = len(batch)
    if not due:
        return 0
    stop_at = time.monotonic() + MAX_ROUND_SECONDS
    try:
        with channels.open_channel(kind, settings) as send:
            while batch and time.monotonic() < stop_at and not stopping():
                outcome = _try_to_send(transaction, send, batch[0])
                if isinstance(outcome, ServerUnreachable):
                    raise outcome
                _settle(transaction, batch.popleft(), outcome)
    except ServerUnreachable as error:
        while batch:
            _settle(transaction, batch.popleft(), error)
    for outgoing in batch:
        _release(transaction, outgoing)
    return due


def retry(message_id: str) -> None:
    """Send a failed message again, as if it were new. Raises `NoSuchFailure`, `MessageExpired`."""
    message, now = session().get(Message, message_id), clock.now()
    if message is None or message.failed_at is None:
        raise NoSuchFailure(reason=message_id)
    if (
        message.sealed is None
        or message.recipient is None
        or (message.expires_at is not None and message.expires_at <= now)
    ):
        raise MessageExpired(reason=message_id)
    message.failed_at, message.due_at, message.attempts = None, now, 0
    message.give_up_at = now + timedelta(hours=runtime.settings().outbox.give_up_hours)


def _lease(kind: str) -> Sequence[OutgoingMessage]:
    """Lease due messages for `LEASE`. PostgreSQL skips rows that another worker is leasing; SQLite has one writer."""
    now = clock.now()
    statement = (
        select(Message)
        .where(Message.kind == kind, Message.sent_at.is_(None), Message.failed_at.is_(None), Message.due_at <= now)
        .where(or_(Message.leased_until.is_(None), Message.leased_until < now))
        .order_by(Message.due_at)
        .limit(BATCH_SIZES[kind])
        .with_for_update(skip_locked=True)
    )
    if kind == EVENT:
        statement = statement.where(~_is_being_delivered(now))
    leased = []
    for message in session().scalars(statement):
        if outgoing := _open(message, now):
            message.leased_until, message.attempts = now + LEASE, message.attempts + 1
            leased.append(outgoing)
    return leased


def _open(message: Message, now: datetime) -> OutgoingMessage | None:
    """The decrypted message; None if it has expired or cannot be read, and so has failed.

    A row that is broken does not keep the following ones from being sent.
    """
    if message.expires_at is not None and message.expires_at <= now:
        message.failed_at, message.last_error = now, "expired"
        message.sealed = message.recipient = None  # the link or code in it is no longer needed
        return None
    try:
        return post.unseal(message)
    except Exception as error:  # noqa: BLE001  a removed key, a missing or malformed body
        message.failed_at, message.last_error = now, f"cannot be opened: {error}"
        message.attempts += 1
        _log.error("set aside", kind=message.kind, name=message.name, row=message.id, reason=type(error).__name__)
        return None


def _is_being_delivered(now: datetime) -> Exists:
    """Whether another event for the same client is being delivered: one at a time, so a slow client blocks one loop."""
    other_event = aliased(Message)
    conditions = (
        other_event.kind == EVENT,
        other_event.client == Message.client,
        other_event.sent_at.is_(None),
        other_event.failed_at.is_(None),
    )
    return exists().where(*conditions, other_event.leased_until >= now)


def _try_to_send(transaction: TransactionFactory, send: channels.Send, outgoing: OutgoingMessage) -> Sent | NotSent:
    """Send `outgoing`; returns the error where it was not sent. An unexpected one must not delay the other messages."""
    try:
        if outgoing.kind == EVENT:
            with transaction():
                outgoing = events.render(outgoing)
        return Sent(send(outgoing))
    except NotSent as error:
        return error
    except Exception as error:  # noqa: BLE001  logged with its trace; the row says so too
        _log.exception("could not be sent", kind=outgoing.kind, name=outgoing.name, row=outgoing.id)
        return TemporaryFailure(f"an internal error: {type(error).__name__}")


def _settle(transaction: TransactionFactory, outgoing: OutgoingMessage, outcome: Sent | NotSent) -> None:
    """Record the result of one message. A receipt that has come already takes precedence."""
    with transaction():
        message = lock(Message, outgoing.id)
        if message is None:
            return
        if isinstance(outcome, Sent):
            message.provider_id = outcome.provider_id
        if message.sent_at is not None:
            return
        message.leased_until = None
        if isinstance(outcome, Sent):
            _mark_sent(message)
        else:
            _mark_not_sent(message, outcome)


def _release(transaction: TransactionFactory, outgoing: OutgoingMessage) -> None:
    """Release a message that was leased and not tried."""
    with transaction():
        message = session().get(Message, outgoing.id)
        if message is not None:
            message.leased_until, message.attempts = None, message.attempts - 1


def _mark_sent(message: Message) -> None:
    message.sent_at = clock.now()
    message.sealed = message.recipient = message.last_error = None
    _log.info("sent", kind=message.kind, name=message.name, row=message.id, attempt=message.attempts)


def _mark_not_sent(message: Message, outcome: NotSent) -> None:
    """Schedule a retry, or give up. The server's reply is stored only in the row, because it may name the recipient."""
    next_try = clock.now() + timedelta(
        seconds=seconds_until_retry(message.attempts if message.kind != EVENT else _most_attempts(message))
    )
    message.last_error = outcome.reason
    if isinstance(outcome, PermanentFailure) or next_try >= message.give_up_at:
        message.failed_at = clock.now()
    else:
        message.due_at = next_try
        if message.kind == EVENT:
            _postpone(message, next_try)
    _log.warning(
        "failed" if message.failed_at else "not sent yet", kind=message.kind, name=message.name, row=message.id,
        attempt=message.attempts, code=outcome.code, reason=type(outcome).__name__,
    )  # fmt: skip


def _most_attempts(message: Message) -> int:
    """The most attempts of any undelivered event of the client: later events wait as long."""
    return session().scalars(select(func.max(Message.attempts)).where(*_undelivered(message))).one() or message.attempts


def _postpone(message: Message, until: datetime) -> None:
    """Postpone the other events of a client that does not respond."""
    statement = update(Message).where(*_undelivered(message), Message.due_at < until).values(due_at=until)
    session().execute(statement.execution_options(synchronize_session=False))


def _undelivered(message: Message) -> tuple[ColumnElement[bool], ...]:
    return (
        Message.kind == EVENT, Message.client == message.client, Message.sent_at.is_(None), Message.failed_at.is_(None),
    )  # fmt: skip


def seconds_until_retry(attempts: int) -> float:
    """Seconds until the next attempt: doubling, with random jitter in the upper half, so that retries spread out."""
    max_wait = min(FIRST_WAIT_SECONDS * float(2 ** (attempts - 1)), MAX_WAIT_SECONDS)
    return max_wait * (0.5 + secrets.randbelow(1000) / 2000)
