"""The worker: its loops, its jobs and its command, and how it starts and stops."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from importlib import import_module
from typing import cast, get_args

import pytest
from click.testing import CliRunner
from sqlalchemy import Boolean, Table, func, literal_column, select, text
from sqlalchemy.exc import OperationalError

from idp import worker
from idp.audit import chain, checkpoints, log
from idp.audit.models import Checkpoint, Entry
from idp.foundation import clock as clocks, retention
from idp.foundation.database import db
from idp.foundation.retention import DeleteAfter, KeepAll
from idp.foundation.setting_types import ROOT
from idp.jobs import cleaning, heartbeats, lease
from idp.jobs.models import Heartbeat, Job
from idp.oidc.models import Code, Revoked, UsedJti
from idp.onboarding.models import EmailVerification, JoinRequest, Registration
from idp.outbox import post
from idp.outbox.models import Message
from tests.factories import a_school, an_estab

TIMEOUT_SECONDS = 120
"""Seconds until a test fails; generous, because a busy machine is slow."""


@pytest.fixture
def eventually(transaction):
    """`eventually(condition)` waits until `condition(session)` is true, and returns its value.

    Each call has a new transaction.
    """

    def wait_until(condition):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            with transaction() as session:
                if value := condition(session):
                    return value
            time.sleep(0.02)
        raise AssertionError("it did not happen")

    return wait_until


@pytest.fixture
def short_intervals(change_settings, monkeypatch):
    """All intervals are a few milliseconds."""
    monkeypatch.setattr(worker, "SEAL_SECONDS", 0.01)
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.01)
    change_settings(outbox={"interval": 0.01})


@pytest.fixture
def start_worker(app, short_intervals):
    """`start_worker()` starts a worker in this process; it is stopped when the test ends."""
    stop, finishes = threading.Event(), []

    def start():
        finishes.append(worker.start(app, stop))

    yield start
    stop.set()
    for finish in finishes:
        finish()


def a_message(**overrides):
    return post.sms("mobile_code", to="+447700900123", code="123456", **overrides)


def a_used_jti(age):
    """The stored id of a DPoP proof or assertion that expired `age` ago."""
    return UsedJti(digest=os.urandom(8), expires_at=clocks.now() - age)


def test_the_worker_delivers_seals_signs_cleans_and_sends_a_heartbeat(start_worker, transaction, eventually):
    with transaction() as session:
        sent = a_message()
        log.record("estab.registered", by="adm_jo")
        session.add(a_used_jti(timedelta(days=2)))
    start_worker()
    eventually(lambda session: session.get(Message, sent).sent_at)
    eventually(lambda session: not session.scalar(select(func.count()).where(Entry.position.is_(None))))
    eventually(lambda session: session.scalar(select(func.count()).select_from(UsedJti)) == 0)
    eventually(lambda session: heartbeats.last_beat())
    with transaction():
        assert chain.verify(from_start=True).discrepancies == []


def test_stopping_the_worker_removes_its_heartbeat(app, short_intervals, transaction, eventually):
    stop = threading.Event()
    finish = worker.start(app, stop)
    eventually(lambda session: heartbeats.last_beat())
    stop.set()
    finish()
    with transaction():
        assert heartbeats.last_beat() is None
    assert not [thread for thread in threading.enumerate() if thread.name in {"email", "sms", "audit", "jobs"}]


def test_a_job_that_fails_is_logged_and_does_not_prevent_the_others(start_worker, transaction, eventually, monkeypatch):
    def fail(transaction):
        raise ZeroDivisionError("oops")

    jobs = (worker.Job("broken", timedelta(hours=1), timedelta(minutes=1), fail), *worker.JOBS)
    monkeypatch.setattr(worker, "JOBS", jobs)
    with transaction() as session:
        session.add(a_used_jti(timedelta(days=2)))
    start_worker()
    broken = eventually(lambda session: session.scalar(select(Job).where(Job.name == "broken", Job.fault.is_not(None))))
    assert broken.fault == "ZeroDivisionError: oops"
    eventually(lambda session: session.scalar(select(func.count()).select_from(UsedJti)) == 0)


@pytest.mark.parametrize("fault", [OperationalError("SELECT 1", {}, Exception("the database is away")), KeyError("x")])
def test_a_loop_continues_after_any_exception(app, transaction, monkeypatch, fault):
    monkeypatch.setattr(worker, "MAX_RETRY_SECONDS", 0.01)
    stop = threading.Event()
    turns: list[None] = []

    def turn(_transaction):
        turns.append(None)
        if len(turns) < 5:
            raise fault
        if len(turns) == 8:
            stop.set()
        return False

    worker._run_until_stopped(worker.Loop("loop", 0.001, turn), transaction, stop)
    assert len(turns) == 8


def test_the_wait_after_exceptions_grows_to_a_maximum(transaction, monkeypatch):
    stop = threading.Event()
    waits: list[float] = []
    monkeypatch.setattr(stop, "wait", waits.append)

    def turn(_transaction):
        if len(waits) == 9:
            stop.set()
        raise OperationalError("SELECT 1", {}, Exception("away"))

    worker._run_until_stopped(worker.Loop("loop", 0.5, turn), transaction, stop)
    assert waits == sorted(waits)
    assert waits[0] < 2
    assert waits[-1] == worker.MAX_RETRY_SECONDS


def test_the_worker_survives_an_unreachable_database_and_delivers_afterwards(
    start_worker, transaction, eventually, app, monkeypatch
):
    """Every connection fails, existing and new ones."""
    with app.app_context():
        engine = db.engine
    unreachable, tried = threading.Event(), threading.Semaphore(0)
    unreachable.set()
    connect = engine.pool._creator

    def refuse(*args):
        if unreachable.is_set():
            tried.release()
            raise OperationalError("connect", {}, Exception("connection refused"))
        return connect(*args)

    with transaction():
        sent = a_message()
    engine.dispose()
    monkeypatch.setattr(engine.pool, "_creator", refuse)
    monkeypatch.setattr(worker, "MAX_RETRY_SECONDS", 0.05)
    start_worker()
    for _ in range(10):  # each of its loops more than once
        assert tried.acquire(timeout=TIMEOUT_SECONDS)
    unreachable.clear()
    eventually(lambda session: session.get(Message, sent).sent_at)


class TestCheckpoint:
    def test_it_is_stored_and_logged(self, transaction, caplog):
        caplog.set_level("INFO")
        with transaction():
            chain.seal()
        worker.sign_checkpoint(transaction)
        with transaction() as session:
            line = checkpoints.line(session.scalars(select(Checkpoint)).one())
        assert line in caplog.text

    def test_a_tampered_chain_is_logged_as_an_error_and_not_signed(self, transaction, caplog):
        with transaction() as session:
            chain.seal()
            if session.get_bind().dialect.name == "postgresql":
                session.execute(text("SET LOCAL session_replication_role = replica"))  # no triggers
            else:
                session.execute(text("DROP TRIGGER audit_entries_only_sealed"))
            session.execute(text("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 1"))
        job = next(job for job in worker.JOBS if job.run is worker.sign_checkpoint)
        with transaction():
            lease.take(job.name, worker="me", lease=job.lease)
        worker._run_job(job, "me", transaction)
        with transaction() as session:
            assert session.scalars(select(Checkpoint)).all() == []
            assert "Tampered" in str(lease.list_jobs()[0].fault)
        assert "position 1" in caplog.text


class TestCleaning:
    def test_a_revocation_is_deleted_a_day_after_the_token_expired(self, transaction, clock):
        with transaction() as session:
            kept, gone = (Revoked(name=f"{hours}", at=clocks.now(), expires_at=clocks.now() - timedelta(hours=hours))
                          for hours in (23, 25))  # fmt: skip
            session.add_all([kept, gone])
        worker.clean(transaction)
        with transaction() as session:
            assert session.scalars(select(Revoked.name)).all() == ["23"]

    def test_the_id_of_a_dpop_proof_is_deleted_once_the_proof_is_too_old_to_be_accepted(self, transaction, clock):
        with transaction() as session:
            kept, gone = a_used_jti(timedelta(seconds=-1)), a_used_jti(timedelta(seconds=1))
            session.add_all([kept, gone])
        worker.clean(transaction)
        with transaction() as session:
            assert session.scalars(select(UsedJti.digest)).all() == [kept.digest]

    def test_unverified_registrations_are_deleted_with_their_links_and_others_are_kept(self, transaction, clock):
        with transaction() as session:
            school = a_school()
            for name, used in (("left", None), ("done", clocks.now())):
                session.add(a_registration(name, school, used_at=used))
                session.flush()
                session.add(an_email_verification(name))
        clock.move(timedelta(days=8, hours=1))
        worker.clean(transaction)
        with transaction() as session:
            assert session.scalars(select(Registration.id)).all() == ["done"]
            assert session.scalars(select(EmailVerification.registration_id)).all() == []

    def test_registrations_and_join_requests_are_deleted_ninety_days_after_they_are_needed(self, transaction, clock):
        with transaction() as session:
            estab = an_estab()
            for outcome in ("registered", "joining"):
                session.add(a_registration(outcome, estab.school, used_at=clocks.now(), outcome=outcome))
            session.flush()
            session.add(a_join_request(estab, "joining", expires_at=clocks.now() + timedelta(days=14)))
        clock.move(timedelta(days=96))
        worker.clean(transaction)
        with transaction() as session:
            assert set(session.scalars(select(Registration.id))) == {"registered", "joining"}
        clock.move(timedelta(days=2))
        worker.clean(transaction)
        with transaction() as session:
            assert session.scalars(select(Registration.id)).all() == ["joining"]  # the request names its person
        clock.move(timedelta(days=7))
        worker.clean(transaction)
        with transaction() as session:
            assert session.scalars(select(JoinRequest)).all() == []
            assert session.scalars(select(Registration)).all() == []

    def test_sent_messages_are_deleted_after_thirty_days_and_failed_ones_after_ninety(self, transaction, clock):
        with transaction() as session:
            sent, failed, waiting = (session.get(Message, a_message()) for _ in range(3))
            sent.sent_at = failed.failed_at = clocks.now()
        clock.move(timedelta(days=31))
        worker.clean(transaction)
        with transaction() as session:
            assert set(session.scalars(select(Message.id))) == {failed.id, waiting.id}
        clock.move(timedelta(days=60))
        worker.clean(transaction)
        with transaction() as session:
            assert set(session.scalars(select(Message.id))) == {waiting.id}

    def test_a_table_that_cannot_be_cleaned_does_not_prevent_cleaning_the_others(self, transaction, clock, monkeypatch):
        broken = DeleteAfter(Code.expires_at, "expired", literal_column("nonsense", Boolean))
        monkeypatch.setattr(worker, "RETENTION", (broken, *worker.RETENTION))
        with transaction() as session:
            session.add(a_used_jti(timedelta(days=2)))
        worker.clean(transaction)
        with transaction() as session:
            assert session.scalars(select(UsedJti)).all() == []

    def test_one_round_deletes_everything_that_is_due(self, transaction, clock, monkeypatch):
        monkeypatch.setattr(cleaning, "BATCH_SIZE", 3)
        monkeypatch.setattr(cleaning, "PAUSE_SECONDS", 0)
        with transaction() as session:
            session.add_all([a_used_jti(timedelta(days=2)) for _ in range(10)])
        worker.clean(transaction)
        with transaction() as session:
            assert session.scalars(select(UsedJti)).all() == []

    def test_every_column_rows_are_cleaned_by_has_an_index(self):
        for rule in worker.RETENTION:
            if isinstance(rule, DeleteAfter):
                table = cast("Table", rule.model.__table__)
                leading = {next(iter(index.columns)).name for index in table.indexes}
                assert rule.column.key in leading, f"{table.name}.{rule.column.key}"

    def test_every_period_is_a_setting_and_every_setting_is_used(self, settings):
        periods = {rule.period for rule in worker.RETENTION if isinstance(rule, DeleteAfter)}
        assert periods == set(get_args(retention.Period))
        assert type(settings.retention).model_fields.keys() - periods == {"rejected", "sandbox"}  # of jobs

    def test_every_table_has_a_retention_rule(self):
        assert {rule.model.__tablename__ for rule in worker.RETENTION} == set(db.metadata.tables)

    def test_tables_with_an_expiry_time_are_cleaned_except_two(self):
        deleted = {rule.model.__tablename__ for rule in worker.RETENTION if isinstance(rule, DeleteAfter)}
        expiring = {name for name, table in db.metadata.tables.items() if "expires_at" in table.columns}
        assert expiring - deleted == {"client_secrets", "initial_access_tokens"}  # kept as history; there are few

    def test_no_table_is_both_kept_and_cleaned(self):
        kept = {rule.model for rule in worker.RETENTION if isinstance(rule, KeepAll)}
        assert kept.isdisjoint(rule.model for rule in worker.RETENTION if not isinstance(rule, KeepAll))

    def test_a_package_declares_retention_of_its_own_tables_only(self):
        for module in ROOT.glob("idp/*/retention.py"):
            package = f"idp.{module.parent.name}"
            rules = getattr(import_module(f"{package}.retention"), "RETENTION", ())
            assert {rule.model.__module__ for rule in rules} <= {f"{package}.models"}


def a_registration(name, school, **overrides):
    now = clocks.now()
    values = {
        "id": name, "school_id": school.id, "name": "Jo", "email": "jo@oakhill.example", "mobile": "+447700900123",
        "declared_at": now, "browser": b"", "created_at": now, "expires_at": now + timedelta(days=7),
    }  # fmt: skip
    return Registration(**(values | overrides))


def a_join_request(estab, registration, **overrides):
    return JoinRequest(
        id=f"joi_{registration}", estab_id=estab.id, registration_id=registration, name="Jo",
        email="jo@oakhill.example", email_folded="jo@oakhill.example", mobile="+447700900123",
        created_at=clocks.now(), used_at=None, decision=None, decided_by=None, **overrides,
    )  # fmt: skip


def an_email_verification(registration):
    now = clocks.now() + timedelta(days=6)
    return EmailVerification(
        digest=os.urandom(8), purpose="register", registration_id=registration, email="jo@oakhill.example",
        email_folded="jo@oakhill.example", created_at=now, expires_at=now + timedelta(hours=1),
    )  # fmt: skip


def test_the_worker_stops_even_if_the_database_does_not_respond(app, monkeypatch):
    never, stop = threading.Event(), threading.Event()
    monkeypatch.setattr(worker, "HEARTBEAT_REMOVAL_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(heartbeats, "stop", lambda _me: never.wait(TIMEOUT_SECONDS))
    finish = worker.start(app, stop)
    stop.set()
    finishing = threading.Thread(target=finish)
    finishing.start()
    finishing.join(worker.STOP_TIMEOUT_SECONDS + TIMEOUT_SECONDS / 2)
    stuck = finishing.is_alive()
    never.set()
    finishing.join()

    assert not stuck


class TestCommand:
    def test_once_runs_due_jobs_and_stops(self, app, transaction):
        with transaction() as session:
            sent = a_message()
            log.record("estab.registered", by="adm_jo")
        result = CliRunner().invoke(worker.worker, ["--once"], obj=lambda: app)
        assert result.exit_code == 0, result.output
        with transaction() as session:
            assert session.get(Message, sent).sent_at
            assert session.scalar(select(func.count()).where(Entry.position.is_(None))) == 0
            assert session.scalars(select(Heartbeat)).all() == []

    @pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_stops_the_worker_cleanly(self, app, transaction, eventually, settings, signal_number):
        process = subprocess.Popen(
            [sys.executable, "-m", "idp.cli", "worker"],
            cwd=ROOT,
            env=os.environ
            | {
                "IDP_CONFIG": "config/test.toml",
                "IDP_DATABASE__URL": settings.database.url,
                "IDP_OUTBOX__MAILBOX": str(settings.outbox.mailbox),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            with transaction():
                sent = a_message()
            eventually(lambda session: session.get(Message, sent).sent_at)
            eventually(lambda session: heartbeats.last_beat())
            process.send_signal(signal_number)
            _, output = process.communicate(timeout=TIMEOUT_SECONDS)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, output
        with transaction():
            assert heartbeats.last_beat() is None
