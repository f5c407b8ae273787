"""Messages that wait to be sent."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base, transient

_DUE = text("sent_at IS NULL AND failed_at IS NULL")


@transient
class Message(Base):
    """An e-mail, text message or event, stored in the transaction of the change that it reports."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_due", "kind", "due_at", postgresql_where=_DUE, sqlite_where=_DUE),
        Index("ix_outbox_sent", "sent_at"),
        Index("ix_outbox_failed", "failed_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """`email`, `sms` or `event`."""
    name: Mapped[str]
    """The template: `verify_email`, `sharing_receipt`, …"""
    recipient: Mapped[str | None]
    """E-mail address, number or URL; wiped with the body."""
    sealed: Mapped[str | None]
    """The rendered message, sealed; wiped once sent."""
    estab: Mapped[str | None]
    client: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """The message is not sent after this, for instance because a link in it has expired."""
    due_at: Mapped[datetime]
    give_up_at: Mapped[datetime]
    """Until then delivery is retried; then the message has failed, and can be retried by hand."""
    attempts: Mapped[int]
    leased_until: Mapped[datetime | None]
    last_error: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    """When a server took it."""
    provider_id: Mapped[str | None]
    """The provider's id of a text message."""
    delivered_at: Mapped[datetime | None]
    """When the provider reported that a text message reached the phone; if it did not, `failed_at` is set."""
    failed_at: Mapped[datetime | None]
