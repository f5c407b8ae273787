"""Heartbeats: how `idp doctor` knows that a worker lives."""

import os
import secrets
import socket
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from idp.foundation import clock
from idp.foundation.database import session
from idp.jobs.models import Heartbeat


def new_name() -> str:
    """What a worker calls itself: host, process and a random word, since machines repeat the first two."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def beat(worker: str) -> None:
    """`worker` lives."""
    now = clock.now()
    row = session().get(Heartbeat, worker)
    if row is None:
        session().add(Heartbeat(worker=worker, started_at=now, beat_at=now))
    else:
        row.beat_at = now


def stop(worker: str) -> None:
    """`worker` stops in good order."""
    session().execute(delete(Heartbeat).where(Heartbeat.worker == worker))


def is_beating() -> bool:
    """Whether a worker was heard of within a minute."""
    latest = last()
    return latest is not None and clock.now() - latest <= timedelta(minutes=1)


def last() -> datetime | None:
    """When any worker was last heard of; None if none is running and none has died."""
    return session().scalar(select(func.max(Heartbeat.beat_at)))
