"""The audit log: append-only; the worker chains entries after they were committed."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base


class Entry(Base):
    """One act or change of state. It holds ids only; personal details stand apart and may be erased."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_estab_at", "estab", "at"),
        Index("ix_audit_entries_at", "at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    event: Mapped[str]
    actor: Mapped[str]
    """Who did it: an administrator's, operator's or client's id, `system`, or `stranger`."""
    estab: Mapped[str | None]
    client: Mapped[str | None]
    subject: Mapped[str | None]
    """The id of what it was done to."""
    facts: Mapped[dict[str, Any]]
    """Ids, codes and numbers; nothing personal."""
    details_digest: Mapped[bytes | None]
    """SHA-256 of the salted details, so that the chain verifies after they were erased."""
    position: Mapped[int | None] = mapped_column(unique=True)
    """Its place in the chain, from 1; None until the worker has sealed it."""
    chained: Mapped[bytes | None]
    """SHA-256 of this entry and the one before it."""


class Details(Base):
    """The personal part of an entry, with its salt: erasable."""

    __tablename__ = "audit_details"

    entry_id: Mapped[int] = mapped_column(ForeignKey("audit_entries.id"), primary_key=True)
    salt: Mapped[bytes]
    said: Mapped[dict[str, Any]]


class Checkpoint(Base):
    """The chain's end at some moment, signed; it also leaves the machine by the log."""

    __tablename__ = "audit_checkpoints"

    position: Mapped[int] = mapped_column(primary_key=True)
    chained: Mapped[bytes]
    at: Mapped[datetime]
    signature: Mapped[str]
