"""Our staff get one mail about what an import of the register record_change of schools with an account."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from idp import worker
from idp.foundation import clock as clocks
from idp.operate import register_changes
from idp.partner_events import streams
from idp.partners import event_types
from idp.schools.models import SchoolChange
from idp.sharing import authorise
from idp.signin import operators
from tests.factories import a_client, a_school, an_administrator, an_estab


@pytest.fixture
def sam(transaction, clock):
    with transaction():
        operator, _ = operators.add("Sam", "sam@idaas.example")
        operator.set_up_at = clocks.now()


@pytest.fixture
def record_change(transaction, clock):
    """`record_change(kind, details, state="verified")` records a change of a school whose account is in this state."""

    def change(kind, details=None, state="verified", times=1, **school):
        with transaction() as session:
            school_row = a_school(**school)
            if state:
                an_estab(school_row, state=state)
            for _ in range(times):
                session.add(
                    SchoolChange(
                        school_id=school_row.id,
                        import_id=school_row.last_seen_in,
                        kind=kind,
                        details=details or {},
                        told_at=None,
                    )
                )

    return change


def count_unreported(transaction):
    with transaction() as session:
        return len(session.scalars(select(SchoolChange).where(SchoolChange.told_at.is_(None))).all())


def test_the_closure_of_a_school_is_mailed_once(sam, record_change, transaction, outbox):
    record_change("closed", name="Oak Hill School")
    for _ in range(2):
        worker.notify_register_changes(transaction)
    message = outbox.last("register_changes")
    assert message.to == "sam@idaas.example"
    assert "Oak Hill School" in message.text
    assert "is closed in the register" in message.text
    assert len(outbox.all("register_changes")) == 1


def test_changes_of_name_and_number_are_mailed(sam, record_change, transaction, outbox):
    record_change(
        "changed", {"name": ["Oak Hill", "Oak Hill Academy"], "dfe_number": [None, "3124567"], "town": ["A", "B"]}
    )
    worker.notify_register_changes(transaction)
    mail = outbox.last("register_changes").text
    assert "name was Oak Hill, and is Oak Hill Academy; DfE number was none, and is 3124567" in mail
    assert "town" not in mail


@pytest.mark.parametrize(
    ("kind", "details", "state"),
    [
        ("closed", {}, None),
        ("closed", {}, "rejected"),
        ("added", {}, "verified"),
        ("changed", {"town": ["A", "B"]}, "verified"),
    ],
)
def test_changes_of_schools_without_an_account_are_not_mailed(
    sam, record_change, transaction, outbox, kind, details, state
):
    record_change(kind, details, state)
    worker.notify_register_changes(transaction)
    assert outbox.all("register_changes") == []
    assert count_unreported(transaction) == 0


def test_without_an_operator_the_mail_waits(record_change, transaction, outbox):
    record_change("closed")
    worker.notify_register_changes(transaction)
    assert count_unreported(transaction) == 1


def test_a_large_import_is_taken_in_batches(sam, record_change, transaction, monkeypatch, outbox):
    monkeypatch.setattr(register_changes, "BATCH_SIZE", 3)
    record_change("added", times=7)
    record_change("left", name="Oak Hill School")
    worker.notify_register_changes(transaction)
    assert count_unreported(transaction) == 0
    assert "left the register" in outbox.last("register_changes").text


def test_of_two_workers_at_once_one_sends_the_mail(sam, record_change, transaction, run_concurrently, outbox):
    record_change("closed")
    outcomes = run_concurrently(4, register_changes.notify_operators)
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert len(outbox.all("register_changes")) == 1


def test_changes_that_were_notified_are_deleted_in_time(sam, record_change, transaction, clock):
    record_change("closed")
    worker.notify_register_changes(transaction)
    clock.move(timedelta(days=91))
    worker.clean(transaction)
    with transaction() as session:
        assert session.scalars(select(SchoolChange)).all() == []


@pytest.mark.parametrize(
    ("kind", "details", "is_notified"),
    [
        ("closed", {}, True),
        ("changed", {"closed_on": [None, "2026-08-31"]}, True),
        ("changed", {"closed_on": ["2026-08-31", None]}, False),
        ("changed", {"name": ["Oak Hill", "Elm Grove"]}, False),
    ],
)
def test_partners_of_a_school_that_closes_get_an_event(sam, transaction, kind, details, is_notified):
    with transaction() as session:
        school = a_school(closed_on=date(2026, 8, 31))
        owner = an_administrator(an_estab(school))
        client = a_client(events_method=event_types.POLL)
        authorise.give(
            client, client.required_scopes, by=owner.memberships[0], agreement_version="1",
            until=authorise.default_end(client), second_step=True,
        )  # fmt: skip
        session.add(
            SchoolChange(
                school_id=school.id, import_id=school.last_seen_in, kind=kind, details=details, told_at=None
            )
        )  # fmt: skip
    worker.notify_register_changes(transaction)
    with transaction():
        facts = {event.name: event.facts for event in streams.newest(client.id)}
    assert ("school-closing" in facts) is is_notified
    if is_notified:
        assert facts["school-closing"]["closes_on"] == "2026-08-31"
