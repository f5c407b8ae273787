"""Timed jobs and the workers that do them."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base


class Job(Base):
    """A timed job: when it is due, and how it went the last time. `due_at` is also the lease of who is doing it."""

    __tablename__ = "jobs"

    name: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]
    worker: Mapped[str | None]
    began_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    """None while it is being done, or when its worker died doing it."""
    fault: Mapped[str | None]
    """What went wrong the last time."""


class Heartbeat(Base):
    """A worker that lives; gone when it stopped in good order."""

    __tablename__ = "heartbeats"

    worker: Mapped[str] = mapped_column(primary_key=True)
    """Host, process and a random word."""
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime] = mapped_column(index=True)
