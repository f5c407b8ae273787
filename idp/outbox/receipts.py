"""Record what became of a text message after the provider took it: it reached the phone, or did not.

Receipts may come twice, in any order, and before the worker has recorded that the message was sent. So each is one
conditional UPDATE, and their order does not matter: "delivered" is final, and replaces "failed".
"""

from typing import Final

import structlog
from sqlalchemy import ColumnElement, func, update

from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.outbox.channels import RECEIPTS
from idp.outbox.channels.callback import Callback, Receipt
from idp.outbox.models import Message
from idp.outbox.outgoing import NotSent

NOT_DELIVERED: Final = "not delivered"

_log = structlog.get_logger("idp.outbox")


def process_callback(callback: Callback) -> None:
    """Record the receipt in a provider's callback. One for a message that was deleted, or is not ours, changes nothing.

    Raises `NotFound` where the channel has no receipts, `NotAuthentic` and `Unreadable`.
    """
    sms = runtime.settings().sms
    if sms.channel not in RECEIPTS:
        raise NotFound(reason=f"the channel {sms.channel} has no receipts")
    receipt = RECEIPTS[sms.channel](callback, sms)
    if receipt.status != "underway" and record(receipt):
        _log.info("receipt", kind="sms", row=receipt.message_id, code=receipt.status)


def record(receipt: Receipt) -> bool:
    """Record that the message was delivered or failed; False if that changes nothing."""
    now, wiped = clock.now(), {"sealed": None, "recipient": None, "leased_until": None}
    undecided: tuple[ColumnElement[bool], ...] = (Message.delivered_at.is_(None),)
    if receipt.status == "delivered":
        values = {
            "delivered_at": now,
            "sent_at": func.coalesce(Message.sent_at, now),
            "failed_at": None,
            "last_error": None,
        }
    else:
        undecided = *undecided, Message.failed_at.is_(None)
        reason = NotSent(f"{NOT_DELIVERED}: {receipt.reason}").reason
        values = {"failed_at": now, "sent_at": func.coalesce(Message.sent_at, now), "last_error": reason}
    statement = update(Message).where(Message.id == receipt.message_id, Message.kind == "sms", *undecided)
    changed = session().execute(statement.values(**values, **wiped).returning(Message.id))
    return changed.one_or_none() is not None
