"""Statements that go straight to the driver are the ones SQLAlchemy would have run, in the same transaction."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

import pytest
from sqlalchemy import NullPool, Table, bindparam, create_engine, event, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from idp.estabs.models import PersonalSecret
from idp.foundation import clock, crypto, database, request_state
from idp.foundation.fastpath import connections
from idp.foundation.fastpath.statements import Statement, WriteStatement
from idp.oidc.models import RefreshFamily, Revoked

TABLE = cast("Table", PersonalSecret.__table__)
FAMILIES = cast("Table", RefreshFamily.__table__)


class Secret(NamedTuple):
    digest: bytes
    purpose: str
    person_id: str
    value: str | None
    tries: int
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    superseded_at: datetime | None


class Name(NamedTuple):
    name: str


class Family(NamedTuple):
    scopes: frozenset[str]
    claims: dict[str, Any] | None
    rotates: bool
    digest: bytes


ADD = WriteStatement(insert(TABLE))
SELECT_SECRET = Statement(
    Secret, select(TABLE).where(TABLE.c.digest == bindparam("by_digest"), TABLE.c.purpose == "probe")
)
COUNT_TRY = WriteStatement(
    update(TABLE).where(TABLE.c.digest == bindparam("by_digest")).values(tries=TABLE.c.tries + 1)
)


def add(secret="the secret", **overrides):
    values = {
        "digest": crypto.digest(secret), "purpose": "probe", "person_id": "adm_1", "value": None, "tries": 0,
        "created_at": clock.now(), "expires_at": clock.now() + timedelta(hours=1), "used_at": None,
        "superseded_at": None,
    }  # fmt: skip
    ADD.run(**(values | overrides))


def test_a_written_row_is_read_again_with_the_same_values(transaction):
    with transaction():
        add()
    with transaction():
        row = SELECT_SECRET.one(by_digest=crypto.digest("the secret"))
        assert row == tuple(database.connection().execute(select(TABLE)).one())
        assert row.expires_at == database.session().scalars(select(PersonalSecret.expires_at)).one()
        assert row.expires_at.utcoffset() == timedelta(0)
        assert row.used_at is None


def test_sets_and_json_are_read_as_the_types_of_their_columns(transaction):
    family = {
        "id": "fam_1", "digest": b"\x00\xff", "rotates": True, "client_id": "cli_1", "person_id": "adm_1",
        "estab_id": "est_1", "authorisation_id": "aut_1", "lineage": "lin_1", "scopes": frozenset({"openid", "school"}),
        "resource": frozenset(), "dpop_jkt": None, "claims": {"userinfo": ["name"]}, "auth_time": clock.now(),
        "acr": "a", "amr": frozenset({"pwd"}), "sid": "ses_1", "sequence": 3, "rotated_at": None,
        "created_at": clock.now(), "last_used_at": clock.now(), "expires_at": clock.now(), "revoked_at": None,
    }  # fmt: skip
    with transaction():
        if database.connection().dialect.name == "postgresql":
            pytest.skip("this family's client does not exist, which PostgreSQL refuses")
        database.connection().exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        WriteStatement(insert(FAMILIES)).run(**family)
        row = Statement(Family, select(*(FAMILIES.c[name] for name in Family._fields))).one()
        assert row._asdict() == {name: family[name] for name in Family._fields}
        database.connection().rollback()


def test_a_statement_returns_the_number_of_changed_rows_or_none_for_a_missing_row(transaction):
    with transaction():
        add()
        assert COUNT_TRY.run(by_digest=crypto.digest("the secret")) == 1
        assert COUNT_TRY.run(by_digest=crypto.digest("another")) == 0
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")).tries == 1
        assert SELECT_SECRET.one(by_digest=crypto.digest("another")) is None


def test_a_write_statement_begins_and_belongs_to_the_transaction(transaction):
    def fail():
        add()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transaction():
        fail()
    with transaction():
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None
        add()
        assert database.session().scalar(select(func.count()).select_from(PersonalSecret)) == 1
    with transaction():
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is not None


def test_reading_begins_no_transaction_and_so_never_waits_for_a_writer(transaction):
    with transaction():
        add()
    with transaction():
        add("another")  # SQLite has one writer at a time
        with transaction():
            assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")).tries == 0
            assert not database.connection().in_transaction()


def test_the_first_statement_that_writes_begins_the_transaction_that_later_reads_belong_to(transaction):
    def fail():
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")).tries == 0
        assert COUNT_TRY.run(by_digest=crypto.digest("the secret")) == 1
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")).tries == 1
        assert database.connection().in_transaction()
        raise ZeroDivisionError

    with transaction():
        add()
    with pytest.raises(ZeroDivisionError), transaction():
        fail()
    with transaction():
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")).tries == 0


@pytest.mark.usefixtures("on_postgresql")
def test_a_statement_that_locks_rows_is_refused(transaction):
    with pytest.raises(TypeError, match="locks"), transaction():
        Statement(Name, select(Revoked.name).with_for_update()).one()


def test_in_autocommit_each_statement_is_committed_at_once(app, transaction):
    with app.app_context():
        request_state.current().autocommit = True
        WriteStatement(insert(cast("Table", Revoked.__table__))).run(name="jti", at=clock.now(), expires_at=clock.now())
        database.release_connection()
    with transaction():
        assert Statement(Name, select(Revoked.name)).one().name == "jti"


def test_errors_of_a_statement_are_sqlalchemys_and_quote_no_value(transaction):
    with transaction():
        add()
    with pytest.raises(IntegrityError) as refused, transaction():
        add(person_id="someone's name")
    assert "someone" not in str(refused.value)
    with pytest.raises(DBAPIError), transaction():
        Statement(Name, select(Revoked.name).where(func.no_such_function() == 1)).one()


def test_listeners_to_statement_events_get_both_events_with_the_context_of_the_execution(transaction):
    """OpenTelemetry's instrumentation stores its span on the context before a statement, and ends it afterwards."""
    before: list[str] = []
    after = []
    with transaction():
        add()
        listened_to = database.connection().engine

        @event.listens_for(listened_to, "before_cursor_execute", retval=True)
        def _before(_connection, _cursor, statement, parameters, context, _many):
            context.span = len(before)
            before.append(statement)
            return statement + " -- commented", parameters

        @event.listens_for(listened_to, "after_cursor_execute")
        def _after(_connection, _cursor, statement, _parameters, context, _many):
            after.append((context.span, statement))

        try:
            assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")).person_id == "adm_1"
            assert COUNT_TRY.run(by_digest=crypto.digest("the secret")) == 1
            assert SELECT_SECRET.one(by_digest=crypto.digest("another")) is None
        finally:
            event.remove(listened_to, "before_cursor_execute", _before)
            event.remove(listened_to, "after_cursor_execute", _after)
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")).tries == 1
    assert [statement.split()[0] for statement in before] == ["SELECT", "UPDATE", "SELECT"]
    assert after == [(place, f"{statement} -- commented") for place, statement in enumerate(before)]


def test_listeners_to_errors_get_them_with_the_context_of_the_execution(app, transaction):
    errors = []
    engine = database.CONNECTIONS.for_app(app).engine

    @event.listens_for(engine, "handle_error")
    def _note(context):
        errors.append(context)

    try:
        with transaction():
            add()
        with pytest.raises(IntegrityError), transaction():
            add()
    finally:
        event.remove(engine, "handle_error", _note)
    (error,) = errors
    assert isinstance(error.sqlalchemy_exception, IntegrityError)
    assert error.execution_context is not None


def make_psycopg_prepare_a_statement():
    for _ in range(6):  # psycopg prepares a statement when it is executed the sixth time
        database.connection().execute(select(func.count()).select_from(TABLE))


def deallocate_our_statements():
    names = database.connection().execute(text("SELECT name FROM pg_prepared_statements")).scalars().all()
    for name in names:
        if name.startswith("idp_"):
            database.connection().exec_driver_sql(f"DEALLOCATE {name}")


@pytest.mark.usefixtures("on_postgresql")
def test_statements_work_after_a_rollback_at_which_psycopg_deallocates_all(transaction):
    def fail():
        make_psycopg_prepare_a_statement()
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None
        raise ZeroDivisionError

    for _ in range(3):  # each connection of the pool
        with pytest.raises(ZeroDivisionError), transaction():
            fail()
        with transaction():
            assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None


@pytest.mark.usefixtures("on_postgresql")
def test_statements_work_after_a_savepoint_was_rolled_back(transaction):
    with transaction():
        make_psycopg_prepare_a_statement()
        add()
        with pytest.raises(IntegrityError), database.savepoint():
            add()
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")).person_id == "adm_1"
        assert COUNT_TRY.run(by_digest=crypto.digest("the secret")) == 1


@pytest.mark.usefixtures("on_postgresql")
def test_statements_of_psycopg_work_after_savepoints_were_rolled_back(app, transaction):
    def roll_back_a_savepoint():
        with pytest.raises(ZeroDivisionError), database.savepoint():
            raise ZeroDivisionError
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None

    database.CONNECTIONS.for_app(app).engine.dispose()  # psycopg has prepared nothing yet on a new connection
    with transaction():
        roll_back_a_savepoint()
    with transaction():
        make_psycopg_prepare_a_statement()
        roll_back_a_savepoint()
        make_psycopg_prepare_a_statement()


@pytest.mark.usefixtures("on_postgresql")
def test_a_statement_that_was_deallocated_elsewhere_fails_once(transaction):
    with transaction():
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None
        deallocate_our_statements()
    with pytest.raises(DBAPIError), transaction():
        SELECT_SECRET.one(by_digest=crypto.digest("the secret"))
    with transaction():
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None


@pytest.mark.usefixtures("on_postgresql")
def test_a_statement_that_was_deallocated_elsewhere_fails_once_in_autocommit_too(app):
    with app.app_context():
        request_state.current().autocommit = True
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None
        deallocate_our_statements()
        with pytest.raises(DBAPIError):
            SELECT_SECRET.one(by_digest=crypto.digest("the secret"))
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None


@pytest.mark.usefixtures("on_postgresql")
def test_a_statement_whose_columns_got_another_type_fails_once(app):
    change = "ALTER TABLE personal_secrets ALTER COLUMN tries TYPE"
    engine = database.CONNECTIONS.for_app(app).engine
    with app.app_context():
        request_state.current().autocommit = True
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None
        with engine.begin() as migration:
            migration.exec_driver_sql(f"{change} bigint")
        try:
            with pytest.raises(DBAPIError):
                SELECT_SECRET.one(by_digest=crypto.digest("the secret"))
            assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None
        finally:
            with engine.begin() as migration:
                migration.exec_driver_sql(f"{change} integer")
            database.close()
            engine.dispose()  # for later tests, which would fail once more


@pytest.mark.usefixtures("on_postgresql")
def test_rollbacks_leave_no_prepared_statements_behind(transaction):
    def fail():
        SELECT_SECRET.one(by_digest=crypto.digest("the secret"))
        raise ZeroDivisionError

    for _ in range(20):
        with pytest.raises(ZeroDivisionError), transaction():
            fail()
    with transaction():
        SELECT_SECRET.one(by_digest=crypto.digest("the secret"))
        names = database.connection().execute(text("SELECT name FROM pg_prepared_statements")).scalars().all()
    assert len([name for name in names if name.startswith("idp_")]) == 1


@pytest.fixture
def restarted_database(app):
    """The database was restarted: every connection of the pool is dead, and the pool does not know."""
    pool = database.CONNECTIONS.for_app(app)
    engine = pool.engine
    for taken in [pool.take() for _ in range(3)]:
        pool.release(taken)
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with create_engine(engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as outside:
        outside.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))
        while outside.scalar(text(f"SELECT count(*) {others}")):  # they end soon after the command
            pass
    yield
    engine.dispose()


@pytest.mark.usefixtures("on_postgresql")
def test_after_a_restart_only_one_statement_of_a_busy_pool_fails(restarted_database, transaction, monkeypatch):
    monkeypatch.setattr(connections, "MAX_IDLE_SECONDS", 3600)
    with pytest.raises(DBAPIError), transaction():
        SELECT_SECRET.one(by_digest=crypto.digest("the secret"))
    with transaction():
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None


@pytest.mark.usefixtures("on_postgresql")
def test_after_a_restart_no_statement_of_an_idle_pool_fails(restarted_database, transaction, monkeypatch):
    monkeypatch.setattr(connections, "MAX_IDLE_SECONDS", 0)
    with transaction():
        assert SELECT_SECRET.one(by_digest=crypto.digest("the secret")) is None
