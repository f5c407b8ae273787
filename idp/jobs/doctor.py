"""Checks of `idp doctor` for the worker and its scheduled jobs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from idp.foundation import clock
from idp.foundation.command import format_time
from idp.foundation.doctor import Check, Finding
from idp.foundation.errors import one_line_summary
from idp.jobs import heartbeats, lease


def worker() -> Iterator[Finding]:
    """Check that a worker is running, and that no scheduled job has failed or is late."""
    if not heartbeats.is_beating():
        last = heartbeats.last_beat()
        state = "none is running" if last is None else f"the last heartbeat was at {format_time(last)}"
        yield Finding("worker", "fault", f"{state}: no message is sent", "run it as a service: idp worker")
    else:
        yield Finding("worker", "ok", "is running")
    for job in lease.list_jobs():
        if job.fault:
            yield Finding(
                f"job {job.name}",
                "warning",
                f"failed: {one_line_summary(Exception(job.fault)).removeprefix('Exception: ')}",
                "see the worker's log",
            )
        elif clock.now() - job.due_at > timedelta(minutes=10):
            yield Finding(f"job {job.name}", "warning", f"has been due since {format_time(job.due_at)}", "see: worker")


CHECKS: Final[tuple[Check, ...]] = (worker,)
