"""`idp doctor` distinguishes a stopped worker from a partner that does not respond, and shows no SQL."""

from datetime import timedelta
from importlib import import_module

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError

from idp import doctor, worker
from idp.cli import main
from idp.foundation import clock as clocks
from idp.foundation.errors import one_line_summary
from idp.foundation.setting_types import ROOT
from idp.jobs import heartbeats, lease
from idp.jobs.models import Heartbeat, Job
from idp.outbox import post, receipts
from idp.outbox.channels.callback import Receipt
from idp.outbox.models import Message
from idp.signin import guesses
from idp.signin.models import Guesses


@pytest.fixture
def report(app, monkeypatch, clock):
    """`report()` returns the lines that `idp doctor` prints."""
    monkeypatch.setattr("idp.cli._create_app", lambda: app)

    def lines():
        return CliRunner().invoke(main, ["doctor"]).stdout.splitlines()

    return lines


@pytest.fixture
def queued_message(transaction, clock):
    """A message that was queued an hour ago."""
    with transaction():
        post.sms("mobile_code", to="+447700900123", code="123456", minutes=10)
    clock.move(timedelta(hours=1))


def findings_about(lines, check):
    """The lines of one check."""
    return [line for line in lines if f"  {check}: " in line]


def test_a_message_held_until_later_is_not_reported_as_waiting_before_then(report, transaction, clock):
    with transaction():
        post.email(
            "new_devices", to="jo@oakhill.example", held_until=clocks.now() + timedelta(hours=1), deduplicate_as="jo",
            name=None, count=3, at="today", browser="A browser",
        )  # fmt: skip
    clock.move(timedelta(minutes=10))
    assert findings_about(report(), "outbox") == ["ok       outbox: nothing waits long"]
    clock.move(timedelta(hours=1))
    assert "messages wait untried" in findings_about(report(), "outbox")[0]


def test_a_stopped_worker_is_distinguished_from_a_partner_that_does_not_respond(report, queued_message, transaction):
    (line,) = findings_about(report(), "outbox")
    assert "messages wait untried" in line
    assert "run it as a service: idp worker" in line

    with transaction() as session:
        heartbeats.beat("a:1:b")
        dead = {"kind": "event", "attempts": 7, "recipient": "https://dead.example/hook?x=1", "client": "assembly"}
        session.execute(update(Message).values(last_error="could not connect", **dead))
    lines = report()
    assert findings_about(lines, "worker")[0].startswith("ok")
    assert not findings_about(lines, "outbox")
    (line,) = findings_about(lines, "outbox event")
    assert "dead.example of assembly has not taken 1 since" in line
    assert "could not connect" in line
    assert "the partner's server does not accept them" in line
    assert "idp worker" not in line


def test_a_worker_that_is_late_is_not_reported_as_stopped(report, queued_message, transaction):
    with transaction():
        heartbeats.beat("a:1:b")
    (line,) = findings_about(report(), "outbox")
    assert "it is behind" in line


def test_a_worker_that_died_is_reported_as_a_fault(report, transaction):
    with transaction() as session:
        session.add(Heartbeat(worker="a:1:b", started_at=clocks.now(), beat_at=clocks.now() - timedelta(hours=1)))
    assert findings_about(report(), "worker")[0].startswith("FAULT")


def test_no_statement_of_the_database_is_shown(report, transaction):
    with transaction() as session:
        session.add(
            Job(
                name="cleaning",
                due_at=clocks.now(),
                worker="a",
                began_at=None,
                ended_at=None,
                fault="OperationalError: gone\n[SQL: SELECT secret FROM outbox]",
            )
        )
        if session.get_bind().dialect.name == "sqlite":
            session.execute(text("DROP TABLE outbox"))
    output = "\n".join(report())
    assert "gone" in output
    for word in ("SELECT", "[SQL", "FROM", "sqlalche.me"):  # the last is in links of SQLAlchemy's messages
        assert word not in output


def test_the_error_of_a_job_is_stored_without_its_statement(app, transaction, clock):
    def fail(_transaction):
        raise OperationalError("SELECT secret FROM outbox", {}, Exception("the disk is full\nDETAIL: a row"))

    job = worker.Job("test", timedelta(hours=1), timedelta(hours=1), fail)
    with transaction():
        assert lease.take("test", worker="me", lease=job.lease)
    worker._run_job(job, "me", transaction)
    with transaction() as session:
        assert session.get_one(Job, "test").fault == "Exception: the disk is full"


def test_an_error_without_a_message_is_shown_by_its_type():
    assert one_line_summary(ValueError()) == "ValueError"


def test_every_check_that_a_package_declares_is_run():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("idp/*/**/doctor.py")]
    declared = [check for module in modules for check in import_module(module).CHECKS]
    assert {check.__name__ for check in declared} >= {"database", "keys", "outbox", "register", "worker", "settings"}
    assert set(declared) == set(doctor.CHECKS)


def test_a_file_of_breached_passwords_that_is_missing_or_wrong_is_reported(report, scratch, change_settings):
    path = scratch / "breached.txt"
    (line,) = findings_about(report(), "breached passwords")
    assert line.startswith("ok")
    assert "no file is installed" in line

    change_settings(passwords={"breached_file": str(path)})
    (line,) = findings_about(report(), "breached passwords")
    assert line.startswith("WARNING")
    assert "cannot be read" in line

    path.write_text("hunter2\n", "utf-8")
    (line,) = findings_about(report(), "breached passwords")
    assert "is not a list of SHA-1 hashes" in line

    path.write_text(f"{'A' * 40}:3\n", "utf-8")
    (line,) = findings_about(report(), "breached passwords")
    assert line.startswith("ok")


def test_text_messages_without_a_delivery_receipt_are_reported(report, transaction, clock, change_settings):
    assert findings_about(report(), "text messages") == []  # the mailbox has no receipts
    change_settings(sms={"channel": "http"})
    (line,) = findings_about(report(), "text messages")
    assert "delivery receipts are off" in line
    change_settings(sms={"channel": "http", "receipt_token": SecretStr("x" * 24)})
    with transaction() as session:
        messages = [post.sms("mobile_code", to="+447700900123", code="123456", minutes=10) for _ in range(3)]
        session.execute(update(Message).values(sent_at=clock.now(), attempts=1))
        discarded = post.sms("mobile_code", to="+447700900000", code="123456", minutes=10)
        session.execute(update(Message).where(Message.id == discarded).values(sent_at=clock.now()))
    clock.move(timedelta(hours=1))
    (line,) = findings_about(report(), "text messages")
    assert line.startswith("WARNING")
    assert "none of 3 since yesterday has a delivery receipt; the provider must be able to reach http" in line

    with transaction():
        receipts.record(Receipt(messages[0], "delivered"))
    (line,) = findings_about(report(), "text messages")
    assert line.startswith("ok")
    assert "1 of 3" in line

    with transaction():
        receipts.record(Receipt(messages[1], "failed", "no such number"))
    (line,) = findings_about(report(), "text messages")
    assert line.startswith("WARNING")
    assert "1 of 3 since yesterday did not reach the phone" in line


def test_many_locked_accounts_are_reported(report, transaction, clock):
    assert findings_about(report(), "locks")[0].startswith("ok")
    until = clock.now() + timedelta(minutes=1)
    with transaction() as session:
        for number in range(10):
            key = guesses.key("name", f"guessed-{number}")
            session.add(Guesses(key=key, count=10, locked_until=until, expires_at=until))
    (line,) = findings_about(report(), "locks")
    assert line.startswith("WARNING")
    assert "0 accounts and 10 other names or browsers are locked" in line
    clock.move(timedelta(minutes=1))
    assert findings_about(report(), "locks")[0].startswith("ok")
