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
from typing import Any, Final

import click
import structlog
from flask import Flask
from sqlalchemy import ColumnElement, exists, true
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute

from idp.audit import chain, checkpoints
from idp.estabs.models import PersonalSecret
from idp.foundation import clock, runtime
from idp.foundation.command import application
from idp.foundation.errors import in_a_line
from idp.foundation.web import transactions
from idp.foundation.web.kept import KeptForm
from idp.jobs import cleaning, heart, lease
from idp.jobs.models import Heartbeat
from idp.oidc.models import AuthorizationRequest, Code, DeviceCode, RefreshFamily, Revoked, Seen
from idp.onboarding import rejected
from idp.onboarding.models import EmailProof, JoinRequest, Registration
from idp.operate import register_changes
from idp.outbox import channels, deliver
from idp.outbox.deliver import Work
from idp.outbox.models import Message
from idp.partners.models import ClientEvent
from idp.schools.models import SchoolChange
from idp.signin.models import BrowserSession, Guesses, KnownDevice, SessionClient

BEAT: Final = 10.0
"""Seconds between heartbeats, and between looks at the timed jobs. `idp doctor` misses one after a minute."""
LOOPS: Final = {"event": 3}
"""Threads for a kind of message, where one is not enough: any client's address may hang for seconds."""
SEAL: Final = 1.0
"""Seconds between looks for entries to seal."""
PATIENCE: Final = 30.0
"""Seconds: the longest wait after faults in a row."""
FAREWELL: Final = 25.0
"""Seconds that a stop waits for what was begun …"""
GOODBYE: Final = 5.0
"""… and then to say so in the database, which may be away."""
ROUND: Final = 60.0
"""Seconds that one round of cleaning may take."""
PAUSE: Final = 0.05
"""Seconds between two batches of cleaning: others get their turn at the database."""

_log = structlog.get_logger("idp.worker")


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows go this many days (a setting of `[retention]`) after `column`; only those of which `only` holds."""

    column: InstrumentedAttribute[Any]
    days: str
    only: ColumnElement[bool] | None = None


RETENTION: Final = (  # security.md §6.4
    Kept(AuthorizationRequest.expires_at, "expired"),
    Kept(Code.expires_at, "expired"),
    Kept(DeviceCode.expires_at, "expired"),
    Kept(RefreshFamily.expires_at, "expired"),
    Kept(RefreshFamily.revoked_at, "revoked"),
    Kept(Revoked.expires_at, "expired"),
    Kept(Seen.expires_at, "counters"),
    Kept(BrowserSession.expires_at, "sessions"),
    Kept(SessionClient.since, "sessions"),
    Kept(KnownDevice.expires_at, "expired"),
    Kept(Guesses.expires_at, "counters"),
    Kept(KeptForm.expires_at, "expired"),
    Kept(PersonalSecret.expires_at, "expired"),
    Kept(EmailProof.expires_at, "expired"),
    Kept(
        Registration.expires_at, "expired",
        Registration.used_at.is_(None) & ~exists().where(EmailProof.registration_id == Registration.id),
    ),
    Kept(JoinRequest.expires_at, "registrations"),
    Kept(
        Registration.expires_at, "registrations",
        Registration.used_at.is_not(None)
        & ~exists().where(JoinRequest.registration_id == Registration.id)
        & ~exists().where(EmailProof.registration_id == Registration.id),
    ),
    Kept(ClientEvent.last_at, "client_events"),
    Kept(Message.sent_at, "outbox"),
    Kept(Message.failed_at, "outbox_failed"),
    Kept(SchoolChange.told_at, "register_changes"),
    Kept(Heartbeat.beat_at, "expired"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Most:
    """Of the rows of which `only` holds, the newest `most` by `column` stay; with `per`, of each value of that."""

    column: InstrumentedAttribute[Any]
    most: int
    only: ColumnElement[bool]
    per: InstrumentedAttribute[Any] | None = None


BOUNDS: Final = (  # what strangers, or one person alone, could make without end (docs/storage.md)
    Most(EmailProof.expires_at, 50_000, true()),
    Most(
        Registration.expires_at, 20_000,
        Registration.used_at.is_(None) & ~exists().where(EmailProof.registration_id == Registration.id),
    ),
    Most(Guesses.expires_at, 200_000, true()),
    Most(BrowserSession.expires_at, 200, BrowserSession.ended_at.is_not(None), BrowserSession.person_id),
    Most(KnownDevice.expires_at, 50, true(), KnownDevice.person_id),
    Most(Message.sent_at, 200_000, Message.sent_at.is_not(None)),
    Most(Message.failed_at, 200_000, Message.failed_at.is_not(None)),
)  # fmt: skip


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
    report = chain.verify(from_start=True, known=known, reading=work)
    if report.faults:
        raise chain.Tampered(report.faults)
    _log.info("audit chain verified", count=report.checked)


def clean(work: Work) -> None:
    """Delete what has had its time, and what there is too much of; a table that cannot be cleaned is passed over."""
    stop_at = time.monotonic() + ROUND
    for rule in (*RETENTION, *BOUNDS):
        name = f"{rule.column.class_.__tablename__}.{rule.column.key}"
        try:
            gone = _clean_one(work, rule, stop_at)
        except SQLAlchemyError:
            _log.exception("could not be cleaned", name=name)
            continue
        if gone:
            _log.info("cleaned", name=name, count=gone)
        if time.monotonic() > stop_at:
            _log.warning("cleaning is behind: it goes on next time", name=name)
            return


def _clean_one(work: Work, rule: Kept | Most, stop_at: float) -> int:
    gone = 0
    while time.monotonic() < stop_at:
        with work():
            count, is_last = _batch(rule)
        gone += count
        if is_last:
            break
        time.sleep(PAUSE)
    return gone


def _batch(rule: Kept | Most) -> tuple[int, bool]:
    """Delete some rows; how many they were, and whether no more are to go."""
    if isinstance(rule, Most):
        count = cleaning.surplus(rule.column, rule.most, rule.only, per=rule.per)
        return count, count == 0
    before = clock.now() - timedelta(days=getattr(runtime.settings().retention, rule.days))
    count = cleaning.batch(rule.column, before, *(() if rule.only is None else (rule.only,)))
    return count, count < cleaning.BATCH


def reduce_rejected(work: Work) -> None:
    """Erase what accounts that were rejected long ago say of people."""
    more = True
    while more:
        with work():
            before = clock.now() - timedelta(days=runtime.settings().retention.rejected)
            more = rejected.reduce(before) == rejected.BATCH


def tell_register_changes(work: Work) -> None:
    """Tell our staff what the register says anew about schools that have an account."""
    more = True
    while more:
        with work():
            more = register_changes.tell()


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
        lease.done(job.name, worker=me, every=job.every, fault=fault)


def _keep_on(loop: Loop, work: Work, stop: Event) -> None:
    """Take turns until told to stop; after faults in a row wait longer and longer."""
    faults = 0
    while not stop.is_set():
        try:
            wait = 0.0 if loop.turn(work) else loop.interval
        except Exception as error:  # noqa: BLE001  whatever it is, the next turn may go well
            _tell(loop.name, error)
            wait = min(loop.interval + 2.0**faults, PATIENCE)
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
