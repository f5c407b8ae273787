"""`idp worker`: background jobs.

A thread for each kind of message, one that seals the audit log, one for the timed jobs, so that a slow mail
server delays mail and nothing else. There may be several workers, on any machine: messages and timed jobs are
leased, and of several sealing at once one does. No fault ends a thread: it is logged and tried again, a
database that is away included.
"""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import Event, Thread
from typing import Final

import click
import structlog
from flask import Flask
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from idp.audit import chain, checkpoints, retention as audit
from idp.estabs import retention as estabs
from idp.foundation import clock, runtime
from idp.foundation.command import application
from idp.foundation.errors import in_a_line
from idp.foundation.retention import Rule
from idp.foundation.web import browser_store, transactions
from idp.jobs import cleaning, heart, lease, retention as jobs
from idp.keys import retention as keys
from idp.oidc import retention as oidc
from idp.onboarding import rejected, retention as onboarding
from idp.operate import register_changes
from idp.outbox import channels, deliver, retention as outbox
from idp.outbox.deliver import Work
from idp.partners import retention as partners
from idp.schools import retention as schools
from idp.sharing import retention as sharing
from idp.signin import retention as signin

BEAT: Final = 10.0
"""Seconds between heartbeats, and between looks at the timed jobs. `idp doctor` misses one after a minute."""
LOOPS: Final = {"event": 3}
"""Threads for a kind of message, where one is not enough: any client's address may hang for seconds."""
SEAL: Final = 1.0
"""Seconds between looks for entries to seal."""
MAX_RETRY_SECONDS: Final = 30.0
"""The longest wait after consecutive faults."""
FAREWELL: Final = 25.0
"""Seconds that a stop waits for what was begun …"""
GOODBYE: Final = 5.0
"""… and then to say so in the database, which may be away."""

_log = structlog.get_logger("idp.worker")


RETENTION: Final[tuple[Rule, ...]] = (
    *oidc.RETENTION, *signin.RETENTION, *browser_store.RETENTION, *estabs.RETENTION, *onboarding.RETENTION,
    *sharing.RETENTION, *partners.RETENTION, *schools.RETENTION, *outbox.RETENTION, *keys.RETENTION, *jobs.RETENTION,
    *audit.RETENTION,
)  # fmt: skip
"""What each package declares of its tables."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker does every so often; `lease` is how long it may take before another may begin it."""

    name: str
    every: timedelta
    lease: timedelta
    run: Callable[[Work], None]


def sign_checkpoint(work: Work) -> None:
    """Sign where the audit chain ends, to the table and, leaving the machine, to the log."""
    with work():
        line = chain.checkpoint()
    if line:
        _log.info("audit checkpoint", checkpoint=line)
        with work():
            checkpoints.export(line)


def verify_audit(work: Work) -> None:
    """Walk the audit chain from its start, and hold it against the newest exported checkpoint. Raises `Tampered`."""
    with work():
        known = checkpoints.exported()
    report = chain.verify(from_start=True, external=known, reading=work)
    if report.faults:
        raise chain.Tampered(report.faults)
    _log.info("audit chain verified", count=report.checked)


def clean(work: Work) -> None:
    """Delete what has been kept long enough, and what there is too much of."""
    cleaning.clean(work, RETENTION)


def reduce_rejected(work: Work) -> None:
    """Erase what accounts that were rejected long ago say of people."""
    more = True
    while more:
        with work():
            before = clock.now() - timedelta(days=runtime.settings().retention.rejected)
            more = rejected.erase_personal_data(before) == rejected.BATCH_SIZE


def tell_register_changes(work: Work) -> None:
    """Tell our staff what the register says anew about schools that have an account."""
    more = True
    while more:
        with work():
            more = register_changes.notify_operators()


JOBS: Final = (
    Job("audit checkpoint", every=timedelta(hours=1), lease=timedelta(minutes=10), run=sign_checkpoint),
    Job("audit verification", every=timedelta(days=1), lease=timedelta(hours=2), run=verify_audit),
    Job("cleaning", every=timedelta(minutes=1), lease=timedelta(minutes=5), run=clean),
    Job("rejected accounts", every=timedelta(hours=1), lease=timedelta(minutes=10), run=reduce_rejected),
    Job("register changes", every=timedelta(minutes=10), lease=timedelta(minutes=10), run=tell_register_changes),
)


@dataclass(frozen=True, slots=True)
class Loop:
    """What a thread does over and over: `turn` says whether there was anything to do, and so may be more."""

    name: str
    interval: float
    turn: Callable[[Work], bool]


def _loops(app: Flask, me: str, stop: Event) -> list[Loop]:
    with app.app_context():
        interval = runtime.settings().outbox.interval
    letters = [
        Loop(kind, interval, partial(_deliver, kind, stop))
        for kind in channels.KINDS
        for _ in range(LOOPS.get(kind, 1))
    ]
    return [*letters, Loop("audit", SEAL, _seal), Loop("jobs", BEAT, partial(_jobs, me))]


def _deliver(kind: str, stop: Event, work: Work) -> bool:
    return deliver.run_once(work, kind, stopping=stop.is_set) > 0


def _seal(work: Work) -> bool:
    with work():
        return chain.seal() > 0


def _jobs(me: str, work: Work) -> bool:
    """Record a heartbeat, and do the timed jobs that are due and not leased by another worker."""
    with work():
        heart.beat(me)
    for job in JOBS:
        try:
            with work():
                mine = lease.take(job.name, worker=me, lease=job.lease)
            if mine:
                _do(job, me, work)
        except Exception as error:  # noqa: BLE001  one job whose row is wrong must not keep the others
            _tell(job.name, error)
    return False


def _do(job: Job, me: str, work: Work) -> None:
    fault = None
    try:
        job.run(work)
    except Exception as error:  # noqa: BLE001  told, and kept where `idp doctor` sees it
        _tell(job.name, error)
        fault = in_a_line(error)
    with work():
        lease.finish(job.name, worker=me, every=job.every, fault=fault)


def _keep_on(loop: Loop, work: Work, stop: Event) -> None:
    """Take turns until told to stop; after faults in a row wait longer and longer."""
    faults = 0
    while not stop.is_set():
        try:
            wait = 0.0 if loop.turn(work) else loop.interval
        except Exception as error:  # noqa: BLE001  whatever it is, the next turn may go well
            _tell(loop.name, error)
            wait = min(loop.interval + 2.0**faults, MAX_RETRY_SECONDS)
            faults += 1
        else:
            if faults:
                _log.info("works again", job=loop.name)
            faults = 0
        stop.wait(wait)


def _tell(name: str, error: Exception) -> None:
    """One line where the database is away, for it will be many; the whole trace otherwise."""
    away = isinstance(error, OperationalError)
    because = str(error.orig).strip() if isinstance(error, OperationalError) else str(error)
    _log.error("job failed", job=name, error=type(error).__name__, because=because, exc_info=not away and error)


def start(app: Flask, stop: Event) -> Callable[[], None]:
    """Begin to work, in threads, until `stop` is set; returns what waits for them to finish."""
    me, work = heart.new_name(), partial(transactions.work, app)
    threads = [
        Thread(target=_keep_on, args=(loop, work, stop), name=loop.name, daemon=True) for loop in _loops(app, me, stop)
    ]
    for thread in threads:
        thread.start()
    _log.info("worker started", name=me)

    def say_so() -> None:
        with suppress(SQLAlchemyError), work():
            heart.stop(me)

    def finish() -> None:
        until = time.monotonic() + FAREWELL
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                _log.warning("did not finish in time; its leases will end", job=thread.name)
        last = Thread(target=say_so, daemon=True)  # a network that swallows everything may keep it for ever
        last.start()
        last.join(GOODBYE)
        _log.info("worker stopped", name=me)

    return finish


@click.command()
@click.option("--once", is_flag=True, help="Do what is due now, and stop: for a scheduler instead of a service.")
@click.pass_context
def worker(context: click.Context, *, once: bool) -> None:
    """Deliver messages, seal the audit log, clean up; runs until stopped (SIGTERM or Ctrl-C).

    There may be several, on any machine. On a stop, what was begun is finished first, within 30 seconds.
    """
    app = application(context)
    if once:
        _once(app)
        return
    told = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, told)  # before there are threads, which inherit it
    stop = Event()
    finish = start(app, stop)
    signal.sigwait(told)
    stop.set()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, told)  # a second signal stops it at once
    finish()


def _once(app: Flask) -> None:
    me, work, never = heart.new_name(), partial(transactions.work, app), Event()
    for loop in _loops(app, me, never):
        while loop.turn(work):
            pass
    with work():
        heart.stop(me)
