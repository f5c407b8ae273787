"""Heartbeats of workers, which `idp doctor` checks."""

import os
import secrets
import socket
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from idp.foundation import clock
from idp.foundation.database import session
from idp.jobs.models import Heartbeat


def new_name() -> str:
    """A unique worker name: host, process and a random suffix, because host and process may repeat in containers."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def beat(worker: str) -> None:
    """Record that `worker` is running."""
    now = clock.now()
    row = session().get(Heartbeat, worker)
    if row is None:
        session().add(Heartbeat(worker=worker, started_at=now, beat_at=now))
    else:
        row.beat_at = now


def stop(worker: str) -> None:
    """Record that `worker` has stopped normally."""
    session().execute(delete(Heartbeat).where(Heartbeat.worker == worker))


def is_beating() -> bool:
    """Whether a worker has sent a heartbeat within the last minute."""
    latest = last_beat()
    return latest is not None and clock.now() - latest <= timedelta(minutes=1)


def last_beat() -> datetime | None:
    """The time of the last heartbeat of a worker that has not stopped normally; None if there is none."""
    return session().scalar(select(func.max(Heartbeat.beat_at)))
