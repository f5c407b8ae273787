"""What has not left: for operators."""

from sqlalchemy import select

from idp.foundation.database import session
from idp.outbox.models import Message


def waiting(most: int = 100) -> list[Message]:
    """Messages that are due or will be tried again, the oldest `most`."""
    undecided = select(Message).where(Message.sent_at.is_(None), Message.failed_at.is_(None))
    return list(session().scalars(undecided.order_by(Message.created_at).limit(most)))


def failed(most: int = 100) -> list[Message]:
    """Messages that will not be tried again by themselves, the newest `most`."""
    gone = select(Message).where(Message.failed_at.is_not(None))
    return list(session().scalars(gone.order_by(Message.failed_at.desc()).limit(most)))
