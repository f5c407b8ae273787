"""What `idp doctor` asks of the worker and its timed jobs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from idp.foundation import clock
from idp.foundation.command import when
from idp.foundation.doctor import Check, Finding
from idp.foundation.errors import in_a_line
from idp.jobs import heart, lease


def worker() -> Iterator[Finding]:
    """A worker lives, and its timed jobs went well and are not late."""
    if not heart.is_beating():
        last = heart.last_beat()
        heard = "none is running" if last is None else f"last heard of at {when(last)}"
        yield Finding("worker", "fault", f"{heard}: no message leaves", "run it as a service: idp worker")
    else:
        yield Finding("worker", "ok", "its heart beats")
    for job in lease.listing():
        if job.fault:
            yield Finding(
                f"job {job.name}",
                "warning",
                f"failed: {in_a_line(Exception(job.fault)).removeprefix('Exception: ')}",
                "see the worker's log",
            )
        elif clock.now() - job.due_at > timedelta(minutes=10):
            yield Finding(f"job {job.name}", "warning", f"has been due since {when(job.due_at)}", "see: worker")


CHECKS: Final[tuple[Check, ...]] = (worker,)
