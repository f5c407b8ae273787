"""Liveness and readiness: ready only with a database that has the tables of this release and accepts writes."""

import os

import pytest
from sqlalchemy import event, text

from idp.app import create_app
from idp.estabs.permissions import Action
from idp.foundation import database
from idp.foundation.load_settings import load
from idp.foundation.web import health
from tests.conftest import a_browser
from tests.databases import DATABASE_SETTINGS
from tests.factories import a_client, an_administrator

ON_POSTGRESQL = bool(os.environ.get("TEST_DATABASE"))


@pytest.fixture
def readiness(app, web, monkeypatch):
    """`readiness()` is the status of an uncached `/readyz`, and what it says of the database."""
    monkeypatch.setattr(health, "CACHE_SECONDS", 0.0)

    def ask(browser=web):
        response = browser.get("/readyz")
        assert (response.status_code == 503) == ("Retry-After" in response.headers)
        return response.status_code, response.get_json()["database"]

    return ask


def test_the_service_is_alive_and_ready(web, readiness):
    assert web.get("/healthz").get_json() == {"status": "ok", "address": "127.0.0.1"}
    assert readiness() == (200, "ok")


@pytest.fixture
def empty_database(databases, settings):
    """An application on another database, which is empty."""
    app = create_app(load(database={"url": databases.new("empty"), **DATABASE_SETTINGS}))
    yield app
    with app.app_context():
        database.db.engine.dispose()


def test_an_empty_database_is_not_ready(empty_database, settings, readiness):
    assert readiness(a_browser(empty_database, settings)) == (503, "without its tables")


@pytest.mark.parametrize(("at", "response"), [("0000", (503, "without its newest tables")), ("9999", (200, "ok"))])
def test_an_older_schema_is_not_ready_and_a_newer_one_is(app, readiness, transaction, at, response):
    with transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": at})
    try:
        assert readiness() == response
    finally:
        with transaction() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": health.SCHEMA_HEAD})


def test_a_read_only_database_is_not_ready(app, readiness):
    """As after a failover to a replica; a full disk is in tests/faults."""

    def read_only(connection, _record=None, _proxy=None):
        cursor = connection.cursor()
        if ON_POSTGRESQL:
            cursor.execute("SET default_transaction_read_only = on")
            connection.commit()
        else:
            cursor.execute("PRAGMA query_only = on")
        cursor.close()

    with app.app_context():
        engine = database.db.engine
        engine.dispose()
        event.listen(engine, "connect", read_only)
        try:
            assert readiness() == (503, "not writable")
        finally:
            event.remove(engine, "connect", read_only)
            engine.dispose()
    assert readiness() == (200, "ok")


def test_frequent_checks_cause_one_write_a_second(app, web, monkeypatch, record_statements):
    monkeypatch.setattr(health, "CACHE_SECONDS", 60.0)
    health.PROBE.for_app(app).checked_at = float("-inf")
    with record_statements() as statements:
        assert [web.get("/readyz").status_code for _ in range(5)] == [200] * 5
    assert len([statement for statement in statements if statement.startswith("UPDATE")]) == 1


def test_the_factories_make_valid_people_and_clients(transaction):
    with transaction():
        assert an_administrator().memberships[0].may(Action.AUTHORISE)
        assert a_client().scopes
