"""Scheduled jobs and running workers."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base, transient


@transient
class Job(Base):
    """A scheduled job: when it is due, and the result of its last run. `due_at` is also the end of its lease."""

    __tablename__ = "jobs"

    name: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]
    worker: Mapped[str | None]
    began_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    """None while it is running, or if its worker died."""
    fault: Mapped[str | None]
    """The error of the last run."""


@transient
class Heartbeat(Base):
    """A running worker; the row is deleted when it stops normally."""

    __tablename__ = "heartbeats"

    worker: Mapped[str] = mapped_column(primary_key=True)
    """Host, process and a random word."""
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime] = mapped_column(index=True)
