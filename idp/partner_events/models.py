"""Events for clients, and the state of the delivery to each client."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base

_WAITING = text("delivered_at IS NULL AND failed_at IS NULL")


class PartnerEvent(Base):
    """An event for one client. It is kept for a while after the delivery, so that it can be delivered again."""

    __tablename__ = "partner_events"
    __table_args__ = (
        Index("ix_partner_events_waiting", "client_id", "number", postgresql_where=_WAITING, sqlite_where=_WAITING),
        Index(
            "ix_partner_events_waiting_of", "client_id", "subject", "number",
            postgresql_where=_WAITING, sqlite_where=_WAITING,
        ),
        Index("ix_partner_events_client", "client_id", "number"),
        Index("ix_partner_events_created_at", "created_at"),
        {"sqlite_autoincrement": True},
    )  # fmt: skip

    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    """The order of events. Events of one subject are recorded under its lock, so they are committed in this order."""
    id: Mapped[str] = mapped_column(unique=True)
    """The `jti`: the same however often it is delivered."""
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    name: Mapped[str]
    """A key of `event_types.TYPES`."""
    subject: Mapped[str]
    """The id in `sub_id`. Events of one subject are delivered in order."""
    facts: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int]
    delivered_at: Mapped[datetime | None]
    """When the client took it."""
    failed_at: Mapped[datetime | None]
    """When the client refused it for good; an operator can have it delivered again."""
    last_error: Mapped[str | None]


class EventStream(Base):
    """The state of the delivery to one client, whose events one worker at a time pushes."""

    __tablename__ = "event_streams"

    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), primary_key=True)
    due_at: Mapped[datetime]
    """Nothing is sent before this: after a failure, or for a short pause between two rounds."""
    failures: Mapped[int]
    """How many rounds in a row have found the endpoint unreachable since it last took an event."""
    is_slow: Mapped[bool]
    """Whether its last response was slow: its events are then pushed in the lane `slow`."""
    leased_until: Mapped[datetime | None]
    leased_by: Mapped[str | None]
    """A random number of the round that has the lease."""
    tried_at: Mapped[datetime | None]
    """When events were last sent, or asked for."""
    delivered_at: Mapped[datetime | None]
    """When it last took an event."""
    last_error: Mapped[str | None]
    """Why it did not take the last one; None if it did."""
