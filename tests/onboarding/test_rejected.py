"""90 days after an account was rejected, only its Estab ID, its school and the reason are kept."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp import worker
from idp.audit import chain, events
from idp.audit.models import Details, Entry
from idp.estabs import accounts
from idp.estabs.models import Administrator, Estab
from idp.foundation.database import db
from idp.onboarding import review
from idp.onboarding.models import Review
from tests.factories import a_school
from tests.onboarding.registrations import a_registration, complete

PERSONAL = ("Jo Bloggs", "office@oakhill.example", "447700900123", "Nobody there knew her")


@pytest.fixture
def rejected(transaction, clock):
    """Register, telephone and reject a school."""
    with transaction():
        complete(a_registration(a_school(dfe_number="3124567")))
        review.note("3124567", "Nobody there knew her", by="cli")
        review.reject("3124567", "Your school says that it did not register.", by="cli")


def tables_with(transaction, word):
    """The tables that have the word in any column.

    Except messages, which are deleted by another rule; operators, who are our staff; and the register of schools.
    """
    excluded = {"outbox", "operators", "schools"}
    with transaction() as session:
        return [
            table.name
            for table in db.metadata.sorted_tables
            if table.name not in excluded
            and any(word in str(value) for row in session.execute(select(table)) for value in row)
        ]


def test_nothing_is_erased_before_the_retention_period_ends(rejected, transaction, clock):
    clock.move(timedelta(days=89))
    worker.erase_personal_data(transaction)
    assert "administrators" in tables_with(transaction, "Jo Bloggs")


def test_number_and_reason_are_kept_and_personal_data_is_erased(rejected, transaction, clock):
    assert "review_notes" in tables_with(transaction, PERSONAL[3])
    clock.move(timedelta(days=91))
    worker.clean(transaction)
    worker.erase_personal_data(transaction)
    for word in PERSONAL:
        assert tables_with(transaction, word) == [], word
    with transaction() as session:
        estab = session.scalars(select(Estab)).one()
        assert (estab.estab_id, estab.state, estab.school.dfe_number) == ("3124567", "rejected", "3124567")
        assert session.scalars(select(Review)).one().reason == "Your school says that it did not register."
        assert session.scalars(select(Administrator)).one().removed_at is not None
        assert events.PERSONAL_DATA_ERASED in session.scalars(select(Entry.event)).all()


def test_the_audit_chain_verifies_after_erasure(rejected, transaction, clock):
    with transaction():
        chain.seal()
    clock.move(timedelta(days=91))
    worker.erase_personal_data(transaction)
    with transaction() as session:
        while chain.seal():
            pass
        assert chain.verify(from_start=True).discrepancies == []
        about = select(Details).join(Entry, Entry.id == Details.entry_id).where(Entry.estab.is_not(None))
        assert session.scalars(about).all() == []


def test_an_account_is_erased_once_even_if_the_school_registered_again(rejected, transaction, clock):
    clock.move(timedelta(days=91))
    with transaction() as session:
        school = session.scalars(select(Estab)).one().school
        complete(a_registration(school))
    worker.erase_personal_data(transaction)
    worker.erase_personal_data(transaction)
    with transaction() as session:
        erasures = session.scalars(select(Entry).where(Entry.event == events.PERSONAL_DATA_ERASED)).all()
        assert len(erasures) == 1
        assert accounts.look_up("3124567").state == "rejected"
        names = session.scalars(select(Administrator.name).order_by(Administrator.name)).all()
        assert names == ["", "Jo Bloggs"]


def test_only_the_data_of_the_rejected_account_is_erased_where_there_are_others(rejected, transaction, clock):
    with transaction():
        complete(a_registration(a_school(dfe_number="3124568"), email="sam@field.example"))
        review.note("3124568", "Sam Field answered the telephone", by="cli")
    clock.move(timedelta(days=91))
    worker.clean(transaction)
    before = {word: tables_with(transaction, word) for word in ("sam@field.example", "Sam Field answered")}
    worker.erase_personal_data(transaction)
    assert tables_with(transaction, "office@oakhill.example") == []
    for word, tables in before.items():
        assert tables, word
        assert tables_with(transaction, word) == tables, word


def test_an_account_that_was_not_rejected_is_left_alone(transaction, clock):
    with transaction():
        complete(a_registration(a_school(dfe_number="3124567")))
    clock.move(timedelta(days=1000))
    worker.erase_personal_data(transaction)
    assert "administrators" in tables_with(transaction, "Jo Bloggs")
