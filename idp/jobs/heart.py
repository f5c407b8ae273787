"""Heartbeats: how `idp doctor` knows that a worker lives."""

import os
import secrets
import socket
from datetime import datetime

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


def last() -> datetime | None:
    """When any worker was last heard of; None if none is running and none has died."""
    return session().scalar(select(func.max(Heartbeat.beat_at)))
