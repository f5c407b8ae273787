"""Transactions, savepoints, claims and locks of the database layer."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import NullPool, create_engine, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, TimeoutError as PoolTimeout

from idp.estabs.models import PersonalSecret
from idp.foundation import clock, crypto, database, request_state
from idp.foundation.fastpath import connections, libpq
from idp.outbox.models import Message
from idp.partners.models import ClientSecret


def a_secret(secret="the secret", **overrides):
    """Store a secret, which can be claimed."""
    values = {
        "digest": crypto.digest(secret), "purpose": "probe", "person_id": "adm_1", "value": None,
        "tries": 0, "created_at": clock.now(), "expires_at": clock.now() + timedelta(hours=1), "used_at": None,
        "superseded_at": None,
    }  # fmt: skip
    database.session().add(PersonalSecret(**(values | overrides)))


def claim(secret="the secret", **overrides):
    conditions = {"purpose": "probe", "person_id": "adm_1", "superseded_at": None} | overrides
    return database.claim(PersonalSecret, digest=crypto.digest(secret), **conditions)


def test_of_eight_claims_at_once_one_succeeds(transaction, run_concurrently):
    with transaction():
        a_secret()

    outcomes = run_concurrently(8, claim)

    assert outcomes.count(True) == 1
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]


@pytest.mark.parametrize("wrong", [{"purpose": "other"}, {"person_id": "adm_2"}, {"value": "other"}])
def test_a_claim_with_another_value_of_any_condition_fails(transaction, wrong):
    with transaction():
        a_secret()
    with transaction():
        assert not claim(**wrong)
    with transaction():
        assert claim()


def test_an_expired_or_superseded_secret_cannot_be_claimed(transaction, clock):
    with transaction():
        a_secret("superseded", superseded_at=clock.now())
        a_secret("expires")
    clock.move(timedelta(hours=1))

    with transaction():
        assert not claim("superseded")
        assert not claim("expires")


def test_a_secret_can_be_claimed_again_after_a_rollback(transaction):
    with transaction():
        a_secret()
    with pytest.raises(LookupError), transaction():  # noqa: PT012  what happens before it raises is the point
        assert claim()
        raise LookupError

    with transaction():
        assert claim()


def test_times_are_read_in_utc(transaction):
    summer = timezone(timedelta(hours=1))
    with transaction():
        a_secret(created_at=datetime(2026, 7, 1, 10, tzinfo=summer))

    with transaction() as session:
        row = session.scalars(select(PersonalSecret)).one()
    assert row.created_at == datetime(2026, 7, 1, 9, tzinfo=UTC)
    assert row.created_at.tzinfo is UTC


def test_a_naive_time_is_refused(transaction):
    with pytest.raises(Exception, match="naive"), transaction():
        a_secret(created_at=datetime(2026, 7, 1))  # noqa: DTZ001


def test_ending_a_read_transaction_with_unsaved_changes_is_refused(transaction):
    with transaction():
        a_secret()
        with pytest.raises(RuntimeError, match="lose"):
            database.end_read_transaction()


def test_foreign_keys_are_enforced(transaction):
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"), transaction() as session:
        session.add(ClientSecret(digest=b"x", client_id="none", sealed=None, created_at=clock.now(), expires_at=None))


def test_changes_of_a_request_that_raised_are_rolled_back(transaction):
    with pytest.raises(LookupError), transaction() as session:  # noqa: PT012  what happens before it raises is the point
        a_secret()
        session.flush()
        raise LookupError
    with transaction() as session:
        assert session.scalars(select(PersonalSecret)).all() == []
        assert session.scalars(select(Message)).all() == []


@pytest.mark.usefixtures("on_postgresql")
def test_a_transaction_that_was_left_open_is_rolled_back_before_the_next_request(app):
    pool = database.CONNECTIONS.for_app(app)
    left_open = pool.take()
    left_open.exec_driver_sql("CREATE TABLE left_open (id int)")
    pool.release(left_open)
    taken = pool.take()
    assert taken is left_open, "the one that was returned last is used first"
    assert not taken.in_transaction()
    assert taken.exec_driver_sql("SELECT to_regclass('left_open')").scalar() is None
    pool.release(taken)


@pytest.mark.usefixtures("on_postgresql")
def test_a_connection_whose_commit_failed_serves_the_next_request(app):
    pool = database.CONNECTIONS.for_app(app)
    taken = pool.take()
    taken.exec_driver_sql("CREATE TABLE numbers (number int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    taken.exec_driver_sql("INSERT INTO numbers VALUES (1), (1)")
    with pytest.raises(IntegrityError):
        taken.commit()
    pool.release(taken)

    following = pool.take()
    assert following.exec_driver_sql("SELECT to_regclass('numbers')").scalar() is None
    assert following.in_transaction()
    pool.release(following)


@pytest.mark.usefixtures("on_postgresql")
def test_a_connection_whose_driver_has_a_transaction_that_sqlalchemy_does_not_know_of_is_not_kept(app):
    pool = database.CONNECTIONS.for_app(app)
    taken = pool.take()
    libpq.execute(taken, "BEGIN")
    pool.release(taken)
    assert taken.closed


@pytest.mark.usefixtures("on_postgresql")
def test_after_begin_has_failed_the_request_continues_on_another_connection_and_in_a_transaction(app, monkeypatch):
    with app.app_context():
        first = database.connection()
        monkeypatch.setattr(libpq, "_SUCCEEDED", frozenset())  # any result of BEGIN is an error
        with pytest.raises(DBAPIError):
            first.begin()
        monkeypatch.undo()
        assert first.closed
        following = database.connection()
        assert following is not first
        following.exec_driver_sql("SELECT 1")
        assert following.in_transaction()
        assert following.connection.driver_connection.info.transaction_status == TransactionStatus.INTRANS
        database.close()


@pytest.mark.usefixtures("on_postgresql")
def test_a_connection_on_which_begin_failed_for_another_reason_than_the_database_is_not_kept_either(app, monkeypatch):
    def fail(*_of):
        raise KeyError("an unknown error")

    with app.app_context():
        taken = database.connection()
        monkeypatch.setattr(libpq, "_check", fail)
        with pytest.raises(KeyError):
            taken.begin()
        assert taken.closed
        database.close()


@pytest.mark.usefixtures("on_postgresql")
def test_an_unknown_sqlstate_raises_database_error(app):
    command = "DO $$ BEGIN RAISE EXCEPTION 'unheard of' USING ERRCODE = 'ZZ999'; END $$"
    with app.app_context(), pytest.raises(psycopg.DatabaseError, match="unheard of"):
        libpq.execute(database.connection(), command)


@pytest.mark.usefixtures("on_postgresql")
def test_a_connection_that_was_in_use_while_another_was_lost_is_pinged_before_its_next_use(app, monkeypatch):
    pool = database.CONNECTIONS.for_app(app)
    pinged: list[Any] = []
    monkeypatch.setattr(pool.engine.dialect, "do_ping", pinged.append)
    in_use, lost = pool.take(), pool.take()
    lost.invalidate()
    pool.release(lost)
    pool.release(in_use)
    assert pool.take() is in_use
    assert pinged == [in_use.connection.dbapi_connection]
    pool.release(in_use)
    assert pool.take() is in_use
    assert len(pinged) == 1
    pool.release(in_use)


@pytest.mark.usefixtures("on_postgresql")
def test_a_connection_is_lost_soon_after_the_machine_of_the_database_has_vanished(app):
    with app.app_context():
        parameters = database.connection().connection.driver_connection.info.get_parameters()
    assert parameters["tcp_user_timeout"] == "15000"
    assert [parameters[f"keepalives_{name}"] for name in ("idle", "interval", "count")] == ["15", "5", "3"]


@pytest.mark.usefixtures("on_postgresql")
def test_while_all_connections_are_in_use_a_request_waits_and_is_then_refused(app, monkeypatch):
    monkeypatch.setattr(connections, "MAX_WAIT_SECONDS", 0.05)
    engine = database.CONNECTIONS.for_app(app).engine
    pool = connections.KeptConnections(engine, 2)
    first, second = pool.take(), pool.take()
    with pytest.raises(PoolTimeout):
        pool.take()
    pool.release(second)
    assert pool.take() is second
    for taken in (first, second):
        pool.release(taken)
    engine.dispose()
    assert first.closed
    assert second.closed


@pytest.mark.usefixtures("on_postgresql")
def test_a_failed_connection_does_not_count_for_the_size_of_the_pool(app):
    unreachable = create_engine("postgresql+psycopg://idp@127.0.0.1:1/idp", poolclass=NullPool)
    pool = connections.KeptConnections(unreachable, 1)
    for _ in range(2):
        with pytest.raises(OperationalError):
            pool.take()


def test_statements_and_objects_share_one_transaction(transaction):
    def write_and_fail():
        with transaction():
            a_secret("an object")
            database.session().flush()
            assert stored_tries("an object"), "a statement sees what the session wrote"
            database.connection().execute(update(PersonalSecret).values(tries=3))
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_and_fail()
    with transaction():
        assert not stored_tries("an object"), "and both are undone together"


@pytest.mark.parametrize("error", [LookupError, IntegrityError])
def test_only_the_changes_of_a_row_that_fails_are_rolled_back(transaction, caplog, error):
    values = {
        "purpose": "probe",
        "person_id": "adm_1",
        "tries": 0,
        "created_at": clock.now(),
        "expires_at": clock.now(),
    }
    add = insert(PersonalSecret.__table__)
    with transaction():
        for number in range(3):
            with database.row_isolated("secret", str(number)):
                database.connection().execute(add, values | {"digest": b"%d" % number})
                if number == 1 and error is IntegrityError:
                    database.connection().execute(add, values | {"digest": b"0"})
                elif number == 1:
                    raise LookupError

    with transaction() as session:
        assert session.scalars(select(PersonalSecret.digest).order_by(PersonalSecret.digest)).all() == [b"0", b"2"]
    assert error.__name__ in caplog.text


def test_changes_by_statements_alone_are_committed(transaction):
    with transaction():
        a_secret()
    with transaction():
        database.connection().execute(update(PersonalSecret).values(tries=3))
    with transaction():
        assert stored_tries().tries == 3


def test_a_read_in_autocommit_does_not_block_other_transactions(transaction):
    with transaction():
        a_secret()
    with transaction():
        request_state.current().autocommit = True
        assert stored_tries()
        with transaction():  # SQLite has one writer at a time
            database.connection().execute(update(PersonalSecret).values(tries=1))
        assert stored_tries().tries == 1, "and it reads what was committed meanwhile"


def test_ending_a_read_transaction_returns_the_connection(transaction):
    with transaction():
        stored_tries()
        assert request_state.current().connection is not None
        database.end_read_transaction()
        assert request_state.current().connection is None


def stored_tries(secret="the secret"):
    """The row with the column `tries` of the secret, or None."""
    query = select(PersonalSecret.tries).where(PersonalSecret.digest == crypto.digest(secret))
    return database.connection().execute(query).one_or_none()
