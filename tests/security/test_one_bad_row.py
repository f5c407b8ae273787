"""security.md S51: a row that cannot be read or deleted is skipped, counted and reported; the rows after it are
processed.
"""

from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from idp import worker
from idp.audit import chain, log
from idp.audit.models import Entry
from idp.estabs import people, person_invitations
from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.foundation.retention import DeleteAfter
from idp.jobs import doctor as jobs_doctor, lease
from idp.jobs.models import Job
from idp.onboarding.models import Registration
from idp.outbox import channels, deliver, doctor as outbox_doctor, events, overview, post
from idp.outbox.models import Message
from idp.partners import initial_tokens, registry
from idp.schools import gias
from idp.schools.models import School
from idp.signin import factor_recovery
from tests.audit.conftest import tamper
from tests.factories import a_client, a_partner, a_school, an_administrator, an_estab
from tests.schools.conftest import import_register, sample
from tests.signin.apps import an_app
from tests.test_worker import a_registration, an_email_verification

__all__ = ["import_register", "sample", "tamper"]


class TestOutbox:
    @pytest.fixture
    def messages(self, transaction):
        """Three messages, of which the first is wrong in the way that the test says."""
        with transaction():
            facts = {"to": "https://partner.example/logout", "client": "c", "sub": "x"}
            return [post.event("logout", **facts) for _ in range(3)]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"sealed": None}, {"recipient": None}, {"sealed": ""}, {"sealed": "nonsense"}, {"sealed": "gone.AAAA"},
            {"sealed": "test.AAAA"},
        ],
    )  # fmt: skip
    def test_a_message_that_cannot_be_opened_is_set_aside_and_the_others_leave(
        self, transaction, messages, wrong, monkeypatch, caplog
    ):
        with transaction() as session:
            for name, value in wrong.items():
                setattr(session.get_one(Message, messages[0]), name, value)
            session.get_one(Message, messages[0]).due_at -= timedelta(hours=1)
        sent: list[Any] = []
        monkeypatch.setattr(channels, "open_channel", partial(_recording_channel, sent))
        monkeypatch.setattr(events, "render", lambda mail: mail)
        for _ in range(3):
            deliver.run_once(transaction, "event")
        assert [mail.id for mail in sent] == messages[1:]
        with transaction():
            (failed,) = overview.failed()
            assert (failed.id, failed.attempts) == (messages[0], 1)
            assert str(failed.last_error).startswith("cannot be opened")
            findings = [finding.message for finding in outbox_doctor.outbox()]
        assert any("1 messages failed" in message for message in findings)
        assert "set aside" in caplog.text

    def test_a_message_without_its_text_is_not_retried(self, transaction, messages):
        with transaction() as session:
            session.get_one(Message, messages[0]).recipient = None
            session.get_one(Message, messages[0]).failed_at = clocks.now()
        with transaction(), pytest.raises(deliver.MessageExpired):
            deliver.retry(messages[0])


def _recording_channel(sent, _kind, _settings):
    return nullcontext(sent.append)


class TestAuditChain:
    def test_an_unreadable_entry_does_not_keep_others_out_of_the_chain(self, transaction, tamper, caplog):
        with transaction() as session:
            if session.get_bind().dialect.name == "postgresql":
                pytest.skip("PostgreSQL stores only valid JSON")
            chain.seal()
            log.record("estab.registered", by="adm_jo")
            unreadable_id = session.scalar(select(func.max(Entry.id)))
        tamper("UPDATE audit_entries SET facts = '{' WHERE id = :id", id=unreadable_id)
        with transaction() as session:
            for _ in range(3):
                log.record("estab.registered", by="adm_jo")
            assert chain.seal() == 3
            assert chain.verify(from_start=True).waiting == 1
            waiting = select(Entry.id).where(Entry.position.is_(None))
            assert session.scalars(waiting).all() == [unreadable_id]
        assert "audit entry set aside" in caplog.text


class TestRegister:
    def test_an_invalid_line_of_the_register_does_not_stop_the_import(
        self, import_register, sample, monkeypatch, transaction
    ):
        parse_school = gias.school

        def fail(line):
            if line.urn == "900001":
                raise ValueError("unexpected")
            return parse_school(line)

        monkeypatch.setattr(gias, "school", fail)
        first = import_register(sample)
        assert (first.rows, first.added) == (300, 299)
        assert [(odd.kind, odd.urn) for odd in first.oddities if odd.kind == "left_out"] == [("left_out", "900001")]
        monkeypatch.setattr(gias, "school", parse_school)
        assert import_register(sample).added == 1
        monkeypatch.setattr(gias, "school", fail)
        for row in sample:
            row["EstablishmentName"] += " II"
        second = import_register(sample)
        assert (second.changed, second.left) == (299, 0)
        with transaction() as session:
            names = session.scalars(select(School.name).where(School.name.not_like("% II"))).all()
        assert len(names) == 1


class TestCleaning:
    def test_a_row_that_cannot_be_deleted_does_not_stop_the_cleaning(self, transaction, monkeypatch, caplog):
        rule = DeleteAfter(Registration.expires_at, "expired")
        monkeypatch.setattr(worker, "RETENTION", (rule,))
        with transaction() as session:
            school, past = a_school(), clocks.now() - timedelta(days=30)
            for name in ("held", "free", "also-free"):
                session.add(a_registration(name, school, expires_at=past))
                session.flush()
            session.add(an_email_verification("held"))
        worker.clean(transaction)
        with transaction() as session:
            assert session.scalars(select(Registration.id)).all() == ["held"]
        assert "row set aside" in caplog.text


class TestErasure:
    def test_a_rejected_account_that_cannot_be_erased_does_not_stop_the_erasure(
        self, transaction, clock, monkeypatch, caplog
    ):
        with transaction():
            first, second = (an_administrator(an_estab(state="rejected")) for _ in range(2))
            failing = first.memberships[0].estab_id
        erase = people.erase

        def fail(estab_id):
            if estab_id == failing:
                raise ValueError("cannot be erased")
            return erase(estab_id)

        monkeypatch.setattr(people, "erase", fail)
        clock.move(timedelta(days=91))
        worker.erase_personal_data(transaction)
        with transaction() as session:
            emails = {person.id: person.email for person in session.scalars(select(Administrator))}
        assert (emails[first.id], emails[second.id]) == (first.email, people.ERASED)
        assert "row set aside" in caplog.text


class TestNotices:
    """Two rows are due; for the first, no message can be made."""

    @pytest.fixture
    def fail_mails_to(self, monkeypatch):
        """`fail_mails_to(address)` has each mail to this address raise an error."""

        def fail(address):
            send = post.email

            def email(template, /, *, to, **facts):
                if to == address:
                    raise ValueError("cannot be rendered")
                return send(template, to=to, **facts)

            monkeypatch.setattr(post, "email", email)

        return fail

    def test_an_invitation_that_fails_does_not_stop_other_reminders(
        self, transaction, clock, fail_mails_to, outbox, caplog, settings
    ):
        with transaction():
            owner = an_administrator().memberships[0]
            for address in ("first@school.example", "second@school.example"):
                person_invitations.invite("Sam Smith", address, "viewer", by=owner)
        fail_mails_to("first@school.example")
        clock.move(timedelta(days=settings.onboarding.invitation_lifetime_days - 1))
        worker.remind_of_expiry(transaction)
        assert [mail.to for mail in outbox.all("invitation_reminder")] == ["second@school.example"]
        assert "row set aside" in caplog.text

    def test_a_client_that_fails_does_not_stop_other_reminders(self, transaction, clock, fail_mails_to, outbox, caplog):
        with transaction():
            for address in ("first@partner.example", "second@partner.example"):
                client = a_client(a_partner(name=address, contact_email=address))
                registry.rotate_secret(client.id, overlap=timedelta(days=7), by="cli")
                initial_tokens.issue(
                    address, {"scopes": {"required": ["openid"]}, "most": 2}, lasts=timedelta(days=7), by="cli"
                )
        fail_mails_to("first@partner.example")
        clock.move(timedelta(days=6))
        worker.remind_of_expiry(transaction)
        for name in ("client_secret_expires", "initial_token_expires"):
            assert [mail.to for mail in outbox.all(name)] == ["second@partner.example"], name
        assert "row set aside" in caplog.text

    def test_a_recovery_that_fails_does_not_stop_other_notices(self, transaction, clock, fail_mails_to, outbox, caplog):
        with transaction():
            for person in [an_administrator(email=f"{name}@school.example") for name in ("first", "second")]:
                an_app(person.id)
                factor_recovery.start(person, by="cli")
        outbox_before = len(outbox.all("recovery_notice"))
        fail_mails_to("first@school.example")
        clock.move(timedelta(hours=13))
        worker.notify_factor_recoveries(transaction)
        assert [mail.to for mail in outbox.all("recovery_notice")[outbox_before:]] == ["second@school.example"]
        assert "row set aside" in caplog.text


class TestJobs:
    def test_a_job_with_an_invalid_row_does_not_stop_other_jobs(self, transaction, monkeypatch, caplog):
        take, done = lease.take, []

        def wrong(name, **options):
            if name == worker.JOBS[0].name:
                raise ValueError("its row is wrong")
            return take(name, **options)

        monkeypatch.setattr(lease, "take", wrong)
        monkeypatch.setattr(worker, "_run_job", lambda job, _me, _transaction: done.append(job.name))
        worker._run_due_jobs("me", transaction)
        assert done == [job.name for job in worker.JOBS[1:]]
        assert "its row is wrong" in caplog.text

    def test_a_job_that_fails_is_reported_by_doctor_and_does_not_stop_others(self, transaction, monkeypatch):
        def fail(_transaction):
            raise ValueError("one row")

        jobs = (worker.Job("bad", timedelta(hours=1), timedelta(minutes=1), fail), worker.JOBS[-1])
        monkeypatch.setattr(worker, "JOBS", jobs)
        worker._run_due_jobs("me", transaction)
        with transaction() as session:
            assert session.get_one(Job, "bad").fault == "ValueError: one row"
            assert session.get_one(Job, worker.JOBS[-1].name).fault is None
            messages = {finding.what: finding.message for finding in jobs_doctor.worker()}
        assert "one row" in messages["job bad"]
