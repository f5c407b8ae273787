"""Checks of `idp doctor` for undelivered messages."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import and_, func, or_, select

from idp.foundation import clock, runtime
from idp.foundation.command import format_time
from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding
from idp.jobs import heartbeats
from idp.outbox.channels import RECEIPTS
from idp.outbox.models import Message

MAX_EXAMINED: Final = 1000
"""How many late messages are read, the oldest first."""
MIN_SENT_FOR_WARNING: Final = 3
"""From this many text messages on, it is a warning that none has a receipt."""
ADVICE: Final = {
    "email": "see: idp outbox list; the settings [mail]",
    "sms": "see: idp outbox list; the settings [sms]",
    "event": "the partner's server does not accept them, and ours works: write to its contact; idp outbox list",
}
"""What to do where messages of a kind are tried and not taken."""


def outbox() -> Iterator[Finding]:
    """Check that no message has failed or waits long, and find why: no worker, or a receiver that does not respond."""
    before = clock.now() - timedelta(minutes=5)
    is_late = or_(Message.due_at < before, and_(Message.attempts > 0, Message.created_at < before))
    waiting = select(Message).where(Message.sent_at.is_(None), Message.failed_at.is_(None), is_late)
    oldest_first = waiting.order_by(Message.created_at).limit(MAX_EXAMINED)
    late = list(session().scalars(oldest_first))
    untried = [message for message in late if not message.attempts]
    if untried:
        advice = "see the worker's log: it is behind" if heartbeats.is_beating() else "run it as a service: idp worker"
        yield Finding("outbox", "warning", f"since {format_time(untried[0].due_at)} messages wait untried", advice)
    refusing: dict[tuple[str, str], list[Message]] = {}
    for message in late:
        if message.attempts:
            refusing.setdefault((message.kind, _receiver(message)), []).append(message)
    for (kind, receiver), messages in refusing.items():
        summary = f"{receiver} has not taken {len(messages)} since {format_time(messages[0].created_at)}"
        reason = f" ({messages[-1].last_error})" if messages[-1].last_error else ""
        yield Finding(f"outbox {kind}", "warning", summary + reason, ADVICE[kind])
    if not late:
        yield Finding("outbox", "ok", "nothing waits long")
    failed = session().scalar(select(func.count()).where(Message.failed_at > clock.now() - timedelta(days=1)))
    if failed:
        yield Finding("outbox", "warning", f"{failed} messages failed since yesterday", "see: idp outbox list --failed")


def _receiver(message: Message) -> str:
    """Who should have taken it: a partner's endpoint, or our own mail server or gateway."""
    if message.kind != "event":
        return {"email": "the mail server", "sms": "the gateway"}.get(message.kind, message.kind)
    return f"{urlsplit(message.recipient or '').netloc} of {message.client or 'a partner'}"


def receipts() -> Iterator[Finding]:
    """Check that text messages of the last day reached their phones, as far as the provider reports it."""
    sms = runtime.settings().sms
    if not sms.has_receipts:
        if sms.channel in RECEIPTS:
            message = "delivery receipts are off, so messages that do not arrive go unnoticed"
            yield Finding("text messages", "warning", message, "set sms.receipt_token, here and at the provider")
        return
    a_day_ago, long_ago = clock.now() - timedelta(days=1), clock.now() - timedelta(minutes=30)
    # Without an attempt a message was discarded: that of a reset for a name that does not exist
    conditions = Message.kind == "sms", Message.sent_at > a_day_ago, Message.sent_at < long_ago, Message.attempts > 0
    counted = select(func.count(), func.count(Message.delivered_at), func.count(Message.failed_at)).where(*conditions)
    sent, delivered, failed = session().execute(counted).one()
    if failed:
        yield Finding(
            "text messages", "warning", f"{failed} of {sent} since yesterday did not reach the phone",
            "see why: idp outbox list --failed; ask the provider by the id that idp outbox texts shows",
        )  # fmt: skip
    elif sent >= MIN_SENT_FOR_WARNING and not delivered:
        yield Finding(
            "text messages", "warning", f"none of {sent} since yesterday has a delivery receipt",
            f"the provider must be able to reach {runtime.url('/receipts/sms')}; check sms.receipt_token",
        )  # fmt: skip
    else:
        yield Finding("text messages", "ok", f"{delivered} of {sent} since yesterday reached the phone")


CHECKS: Final[tuple[Check, ...]] = (outbox, receipts)
