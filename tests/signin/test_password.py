"""The password: checked between two transactions, and hashed again when its hash is out of date."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from idp.audit.models import Entry
from idp.estabs.models import Administrator
from idp.foundation import runtime
from idp.foundation.database import session
from idp.signin import password
from tests.factories import PASSWORD


def test_the_right_password_returns_the_person(transaction, account):
    with transaction():
        assert password.check(account.username, PASSWORD, device=None, address=None).id == account.id


@pytest.mark.parametrize("typed", [PASSWORD + " ", " " + PASSWORD, PASSWORD.upper(), PASSWORD[:-1], "", "x" * 100_000])
def test_a_password_is_compared_exactly_as_typed(transaction, account, typed):
    with transaction(), pytest.raises(password.WrongPassword):
        password.check(account.username, typed, device=None, address=None)


def test_a_person_who_has_no_password_yet_cannot_sign_in(transaction, account):
    with transaction() as session:
        session.get_one(Administrator, account.id).password_hash = None
    with transaction(), pytest.raises(password.WrongPassword):
        password.check(account.username, "", device=None, address=None)


def test_an_outdated_hash_is_replaced_and_the_password_still_works(transaction, account, app):
    with transaction() as session:
        person = session.get_one(Administrator, account.id)
        person.password_hash = old = PasswordHasher(time_cost=2, memory_cost=32, parallelism=1).hash(PASSWORD)
    with transaction():
        password.check(account.username, PASSWORD, device=None, address=None)
    with transaction() as session:
        now = session.get_one(Administrator, account.id).password_hash
        assert now != old
        assert not runtime.for_app(app).passwords.is_outdated(now)
    with transaction():
        password.check(account.username, PASSWORD, device=None, address=None)


def test_a_password_changed_while_the_old_one_was_checked_lets_no_one_in(transaction, account, app, monkeypatch):
    hasher = runtime.for_app(app).passwords
    matches = hasher.matches

    def match_and_change(stored, typed):
        right = matches(stored, typed)
        with transaction() as session:
            session.get_one(Administrator, account.id).password_hash = hasher.hash("another kettle at midnight")
        return right

    monkeypatch.setattr(hasher, "matches", match_and_change)
    with transaction(), pytest.raises(password.WrongPassword):
        password.check(account.username, PASSWORD, device=None, address=None)


def test_no_one_waits_for_the_database_while_a_password_is_hashed(transaction, account, app, monkeypatch):
    in_transaction: list[bool] = []
    hasher = runtime.for_app(app).passwords
    matches = hasher.matches

    def match_and_record(stored, typed):
        in_transaction.append(session().in_transaction())
        return matches(stored, typed)

    monkeypatch.setattr(hasher, "matches", match_and_record)
    with transaction():
        password.check(account.username, PASSWORD, device=None, address=None)

    assert in_transaction == [False]


def test_failures_are_recorded_and_so_is_the_lock(jo, account, transaction):
    for _ in range(11):
        jo.sign_in(account.username, "wrong every time")
    with transaction() as session:
        events = [entry.event for entry in session.scalars(select(Entry).where(Entry.subject == account.id))]

    assert events.count("sign_in.failed") == 10
    assert events.count("sign_in.locked") == 1


def test_signing_in_is_recorded_with_the_session_and_how(jo, account, transaction):
    jo.sign_in(account.username)
    with transaction() as session:
        entry = session.scalars(select(Entry).where(Entry.event == "sign_in.succeeded")).one()

    assert (entry.actor, entry.estab, entry.facts["amr"]) == (account.id, account.estab_id, ["pwd"])


def test_a_password_does_not_expire(transaction, account, clock):
    """ASVS 6.2.10: a person has to change only a password that is known to be stolen."""
    clock.move(timedelta(days=5 * 365))
    with transaction():
        assert password.check(account.username, PASSWORD, device=None, address=None).id == account.id
