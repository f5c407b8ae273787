"""`idp worker`: background jobs.

There is a thread for each kind of message, one that seals the audit log, and one for the scheduled jobs, so that a slow
mail server delays mail and nothing else. Several workers may run, on any machine: messages and scheduled jobs are
leased, and only one of several workers seals at a time. No exception ends a thread: it is logged, and the work is tried
again, also when the database is unreachable.
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
from idp.developers import unused_sandboxes
from idp.estabs import person_invitations, retention as estabs
from idp.federation import retention as federation
from idp.foundation import clock, runtime
from idp.foundation.command import application
from idp.foundation.errors import one_line_summary
from idp.foundation.retention import Rule
from idp.foundation.web import browser_store, transactions
from idp.foundation.web.transactions import TransactionFactory
from idp.invitations import retention as invitations
from idp.jobs import cleaning, heartbeats, lease, retention as jobs
from idp.keys import retention as keys
from idp.oidc import retention as oidc
from idp.onboarding import rejected, retention as onboarding
from idp.operate import register_changes, request_notices
from idp.outbox import channels, deliver, retention as outbox
from idp.partner_events import deliver as partner_events, retention as events_retention
from idp.partners import reminders, retention as partners
from idp.schools import retention as schools
from idp.sharing import closures, expiry, retention as sharing, reviewing
from idp.signin import factor_recovery, retention as signin
from idp.xporter import lost_endpoints, retention as xporter

HEARTBEAT_SECONDS: Final = 10.0
"""The time between two heartbeats, and between two checks for due jobs.

`idp doctor` reports a worker whose last heartbeat is a minute old.
"""
THREADS: Final = {"event": 3}
"""How many threads send each kind of message, if not one: a client's URL may take seconds to respond."""
EVENT_THREADS: Final[dict[partner_events.Lane, int]] = {"prompt": 8, "slow": 2}
"""The threads that push events to partners: a slow or unreachable endpoint occupies only those of its own lane."""
SEAL_SECONDS: Final = 1.0
"""The time between two checks for audit entries to seal."""
MAX_RETRY_SECONDS: Final = 30.0
"""The longest wait after consecutive exceptions."""
STOP_TIMEOUT_SECONDS: Final = 25.0
"""How long a stop waits for the work in progress."""
HEARTBEAT_REMOVAL_TIMEOUT_SECONDS: Final = 5.0
"""How long a stop then waits for the removal of the heartbeat: the database may be unreachable."""

_log = structlog.get_logger("idp.worker")


RETENTION: Final[tuple[Rule, ...]] = (
    *oidc.RETENTION, *signin.RETENTION, *browser_store.RETENTION, *estabs.RETENTION, *onboarding.RETENTION,
    *sharing.RETENTION, *partners.RETENTION, *schools.RETENTION, *outbox.RETENTION, *keys.RETENTION, *jobs.RETENTION,
    *audit.RETENTION, *federation.RETENTION, *invitations.RETENTION, *events_retention.RETENTION,
    *xporter.RETENTION,
)  # fmt: skip
"""The retention rules that the packages declare for their tables."""


@dataclass(frozen=True, slots=True)
class Job:
    """A scheduled job, run by one worker at a time; when `lease` has passed, another worker may start it."""

    name: str
    every: timedelta
    lease: timedelta
    run: Callable[[TransactionFactory], None]


def sign_checkpoint(transaction: TransactionFactory) -> None:
    """Sign the end of the audit chain; store it in the table, in the log, and in the file outside the database."""
    with transaction():
        line = chain.checkpoint()
    if line:
        _log.info("audit checkpoint", checkpoint=line)
        with transaction():
            checkpoints.export(line)


def verify_audit(transaction: TransactionFactory) -> None:
    """Verify the audit chain from its start and against the newest exported checkpoint. Raises `TamperedChain`."""
    with transaction():
        exported = checkpoints.exported()
    report = chain.verify(from_start=True, external=exported, transaction=transaction)
    if report.discrepancies:
        raise chain.TamperedChain(report.discrepancies)
    _log.info("audit chain verified", count=report.checked)


def clean(transaction: TransactionFactory) -> None:
    """Delete rows whose retention period has passed, and those above the maximum number."""
    cleaning.clean(transaction, RETENTION)


def erase_personal_data(transaction: TransactionFactory) -> None:
    """Erase the personal data of accounts whose registration was rejected long ago."""
    more = True
    while more:
        with transaction():
            before = clock.now() - timedelta(days=runtime.settings().retention.rejected)
            more = rejected.erase_personal_data(before) == rejected.BATCH_SIZE


def notify_register_changes(transaction: TransactionFactory) -> None:
    """Notify the operators of changes in the school register that concern schools with an account."""
    more = True
    while more:
        with transaction():
            more = register_changes.notify_operators()


def notify_requests(transaction: TransactionFactory) -> None:
    """Notify the operators of new requests of partners."""
    more = True
    while more:
        with transaction():
            more = request_notices.mail_due()


def remove_unused(transaction: TransactionFactory) -> None:
    """Mail partners about sandbox applications and fictional schools that no one uses, and remove them later."""
    for step in (unused_sandboxes.mail_due, unused_sandboxes.remove_applications, unused_sandboxes.remove_schools):
        after: str | None = ""
        while after is not None:
            with transaction():
                after = step(after)


def notify_factor_recoveries(transaction: TransactionFactory) -> None:
    """Mail people who wait for the removal of a lost second factor how far that has come."""
    with transaction():
        factor_recovery.notify_due()


def remind_of_expiry(transaction: TransactionFactory) -> None:
    """Remind people of invitations, partners of secrets and tokens, and schools of agreements, that expire soon."""
    with transaction():
        person_invitations.remind_due()
    with transaction():
        reminders.remind_due()
    more = True
    while more:
        with transaction():
            more = expiry.remind_due()


def mail_reviews(transaction: TransactionFactory) -> None:
    """Mail owners whose school has to review its sharing: a service asks for more data, or has a new agreement."""
    more = True
    while more:
        with transaction():
            more = reviewing.mail_due()


def tell_closing(transaction: TransactionFactory) -> None:
    """Tell owners of schools that the register says have closed, or are about to."""
    more = True
    while more:
        with transaction():
            more = closures.announce_due()


def tell_lost_endpoints(transaction: TransactionFactory) -> None:
    """Tell partners of schools' servers that have not been heard from for a day."""
    after: str | None = ""
    while after is not None:
        with transaction():
            after = lost_endpoints.announce_due(after)


JOBS: Final = (
    Job("audit checkpoint", every=timedelta(hours=1), lease=timedelta(minutes=10), run=sign_checkpoint),
    Job("audit verification", every=timedelta(days=1), lease=timedelta(hours=2), run=verify_audit),
    Job("cleaning", every=timedelta(minutes=1), lease=timedelta(minutes=5), run=clean),
    Job("rejected accounts", every=timedelta(hours=1), lease=timedelta(minutes=10), run=erase_personal_data),
    Job("register changes", every=timedelta(minutes=10), lease=timedelta(minutes=10), run=notify_register_changes),
    Job("partners' requests", every=timedelta(minutes=10), lease=timedelta(minutes=10), run=notify_requests),
    Job("unused sandboxes", every=timedelta(hours=6), lease=timedelta(minutes=10), run=remove_unused),
    Job("factor recoveries", every=timedelta(minutes=5), lease=timedelta(minutes=5), run=notify_factor_recoveries),
    Job("reminders of expiry", every=timedelta(minutes=10), lease=timedelta(minutes=10), run=remind_of_expiry),
    Job("closing schools", every=timedelta(minutes=10), lease=timedelta(minutes=10), run=tell_closing),
    Job("reviews of sharing", every=timedelta(minutes=5), lease=timedelta(minutes=10), run=mail_reviews),
    Job("lost endpoints", every=timedelta(minutes=5), lease=timedelta(minutes=10), run=tell_lost_endpoints),
)


@dataclass(frozen=True, slots=True)
class Loop:
    """What a thread repeats. `run_once` returns True if it did something, and is then called again without a wait."""

    name: str
    interval: float
    run_once: Callable[[TransactionFactory], bool]


def _loops(app: Flask, worker_name: str, stop: Event) -> list[Loop]:
    with app.app_context():
        interval = runtime.settings().outbox.interval
    deliveries = [
        Loop(kind, interval, partial(_deliver, kind, stop))
        for kind in channels.KINDS
        for _ in range(THREADS.get(kind, 1))
    ]
    pushes = [
        Loop(f"events, {lane}", interval, partial(_push_events, lane, stop))
        for lane, threads in EVENT_THREADS.items()
        for _ in range(threads)
    ]
    return [
        *deliveries,
        *pushes,
        Loop("audit", SEAL_SECONDS, _seal),
        Loop("jobs", HEARTBEAT_SECONDS, partial(_run_due_jobs, worker_name)),
    ]


def _deliver(kind: str, stop: Event, transaction: TransactionFactory) -> bool:
    return deliver.run_once(transaction, kind, stopping=stop.is_set) > 0


def _push_events(lane: partner_events.Lane, stop: Event, transaction: TransactionFactory) -> bool:
    return partner_events.run_once(transaction, lane, pause=partner_events.PAUSE, stopping=stop.is_set) > 0


def _seal(transaction: TransactionFactory) -> bool:
    with transaction():
        return chain.seal() > 0


def _run_due_jobs(worker_name: str, transaction: TransactionFactory) -> bool:
    """Record a heartbeat, and run the scheduled jobs that are due and not leased by another worker."""
    with transaction():
        heartbeats.beat(worker_name)
    for job in JOBS:
        try:
            with transaction():
                is_leased = lease.take(job.name, worker=worker_name, lease=job.lease)
            if is_leased:
                _run_job(job, worker_name, transaction)
        except Exception as error:  # noqa: BLE001  one job with a bad row must not prevent the others
            _log_failure(job.name, error)
    return False


def _run_job(job: Job, worker_name: str, transaction: TransactionFactory) -> None:
    fault = None
    try:
        job.run(transaction)
    except Exception as error:  # noqa: BLE001  logged, and stored for `idp doctor`
        _log_failure(job.name, error)
        fault = one_line_summary(error)
    with transaction():
        lease.finish(job.name, worker=worker_name, every=job.every, fault=fault)


def _run_until_stopped(loop: Loop, transaction: TransactionFactory, stop: Event) -> None:
    """Repeat the loop until `stop` is set; the wait grows with each consecutive exception."""
    failures = 0
    while not stop.is_set():
        try:
            wait = 0.0 if loop.run_once(transaction) else loop.interval
        except Exception as error:  # noqa: BLE001  the next attempt may succeed
            _log_failure(loop.name, error)
            wait = min(loop.interval + 2.0**failures, MAX_RETRY_SECONDS)
            failures += 1
        else:
            if failures:
                _log.info("works again", job=loop.name)
            failures = 0
        stop.wait(wait)


def _log_failure(name: str, error: Exception) -> None:
    """Log one line if the database is unreachable, because that repeats; otherwise the whole traceback."""
    is_unreachable = isinstance(error, OperationalError)
    reason = str(error.orig).strip() if isinstance(error, OperationalError) else str(error)
    _log.error("job failed", job=name, error=type(error).__name__, reason=reason, exc_info=not is_unreachable and error)


def start(app: Flask, stop: Event) -> Callable[[], None]:
    """Start the threads, which work until `stop` is set; returns a function that waits until they have finished."""
    worker_name, transaction = heartbeats.new_name(), partial(transactions.transaction, app)
    threads = [
        Thread(target=_run_until_stopped, args=(loop, transaction, stop), name=loop.name, daemon=True)
        for loop in _loops(app, worker_name, stop)
    ]
    for thread in threads:
        thread.start()
    _log.info("worker started", name=worker_name)

    def remove_heartbeat() -> None:
        with suppress(SQLAlchemyError), transaction():
            heartbeats.stop(worker_name)

    def finish() -> None:
        until = time.monotonic() + STOP_TIMEOUT_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                _log.warning("did not finish in time; its leases will expire", job=thread.name)
        removal = Thread(target=remove_heartbeat, daemon=True)  # without a network it may never return
        removal.start()
        removal.join(HEARTBEAT_REMOVAL_TIMEOUT_SECONDS)
        _log.info("worker stopped", name=worker_name)

    return finish


@click.command()
@click.option("--once", is_flag=True, help="Do what is due now, and stop: for a scheduler instead of a service.")
@click.pass_context
def worker(context: click.Context, *, once: bool) -> None:
    """Deliver messages, seal the audit log, clean up; runs until stopped (SIGTERM or Ctrl-C).

    Several may run, on any machine. On a stop, the work in progress is finished first, within 30 seconds.
    """
    app = application(context)
    if once:
        _once(app)
        return
    stop_signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)  # before the threads start, which inherit it
    stop = Event()
    finish = start(app, stop)
    signal.sigwait(stop_signals)
    stop.set()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals)  # a second signal stops the process at once
    finish()


def _once(app: Flask) -> None:
    worker_name, transaction, never = heartbeats.new_name(), partial(transactions.transaction, app), Event()
    for loop in _loops(app, worker_name, never):
        while loop.run_once(transaction):
            pass
    with transaction():
        heartbeats.stop(worker_name)
