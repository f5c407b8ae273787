"""Take a timed job, so that of several workers one does it; a worker that dies loses it when the lease ends."""

from datetime import timedelta

from sqlalchemy import select, update

from idp.foundation import clock, inserts
from idp.foundation.database import session
from idp.jobs.models import Job


def take(name: str, *, worker: str, lease: timedelta) -> bool:
    """Whether `name` is due and now `worker`'s to do, for `lease`. The UPDATE is the gate.

    A job that has never been done is due at once.
    """
    now = clock.now()
    if session().get(Job, name) is None:
        inserts.once(Job, name=name, due_at=now)
    taken = (
        update(Job)
        .where(Job.name == name, Job.due_at <= now)
        .values(due_at=now + lease, worker=worker, began_at=now, ended_at=None)
        .returning(Job.name)
        .execution_options(synchronize_session=False)
    )
    return session().execute(taken).first() is not None


def done(name: str, *, worker: str, every: timedelta, fault: str | None = None) -> None:
    """`worker` has done its job, well or with a `fault`: it is due again `every` after it began.

    If the lease ended meanwhile and another took it, this says nothing.
    """
    job = session().scalar(select(Job).where(Job.name == name, Job.worker == worker, Job.ended_at.is_(None)))
    if job is not None and job.began_at is not None:
        job.ended_at, job.fault, job.due_at = clock.now(), fault, job.began_at + every


def listing() -> list[Job]:
    """Every job there is, by name."""
    return list(session().scalars(select(Job).order_by(Job.name)))
