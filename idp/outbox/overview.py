"""Undelivered messages and text messages, for operators."""

from sqlalchemy import select

from idp.foundation.database import session
from idp.outbox.models import Message


def waiting(limit: int = 100) -> list[Message]:
    """Messages that are due or will be retried, the oldest `limit`."""
    statement = select(Message).where(Message.sent_at.is_(None), Message.failed_at.is_(None))
    return list(session().scalars(statement.order_by(Message.created_at, Message.id).limit(limit)))


def failed(limit: int = 100) -> list[Message]:
    """Messages that have failed, the newest `limit`."""
    statement = select(Message).where(Message.failed_at.is_not(None))
    return list(session().scalars(statement.order_by(Message.failed_at.desc(), Message.id).limit(limit)))


def texts(limit: int = 100) -> list[Message]:
    """Text messages in any state, the newest `limit`."""
    statement = select(Message).where(Message.kind == "sms").order_by(Message.created_at.desc(), Message.id)
    return list(session().scalars(statement.limit(limit)))
