"""Lease a scheduled job, so that one of several workers does it; if that worker dies, the lease expires."""

from datetime import timedelta

from sqlalchemy import select, update

from idp.foundation import clock, inserts
from idp.foundation.database import session
from idp.jobs.models import Job


def take(name: str, *, worker: str, lease: timedelta) -> bool:
    """Lease the job to `worker` for the time `lease` if it is due; returns whether it was. One UPDATE decides.

    A job that has never run is due at once.
    """
    now = clock.now()
    if session().get(Job, name) is None:
        inserts.insert_if_absent(Job, name=name, due_at=now)
    statement = (
        update(Job)
        .where(Job.name == name, Job.due_at <= now)
        .values(due_at=now + lease, worker=worker, began_at=now, ended_at=None)
        .returning(Job.name)
        .execution_options(synchronize_session=False)
    )
    return session().execute(statement).first() is not None


def finish(name: str, *, worker: str, every: timedelta, fault: str | None = None) -> None:
    """Record that `worker` has finished, perhaps with a `fault`; the job is due again `every` after it began.

    Does nothing if the lease expired meanwhile and another worker took the job.
    """
    job = session().scalar(select(Job).where(Job.name == name, Job.worker == worker, Job.ended_at.is_(None)))
    if job is not None and job.began_at is not None:
        job.ended_at, job.fault, job.due_at = clock.now(), fault, job.began_at + every


def list_jobs() -> list[Job]:
    """All jobs, by name."""
    return list(session().scalars(select(Job).order_by(Job.name)))
