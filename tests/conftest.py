"""Fixtures of all tests: the application, its database, its clock, its outbox.

The suite runs on SQLite, and with `TEST_DATABASE=postgresql://…` on a PostgreSQL server, where it makes a
database of its own. The application is built once; each test gets the database as it was at the start.
"""

import gc
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings as hypothesis_settings
from sqlalchemy import event, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

os.environ["IDP_CONFIG"] = "config/test.toml"

from idp.app import create_app
from idp.foundation import clock as clocks, database, runtime
from idp.foundation.fastpath import compact_jws, response_cache
from idp.foundation.load_settings import load
from idp.foundation.settings import Settings
from idp.foundation.web import transactions
from idp.oidc import authorization_server
from idp.partners import registry, resources
from tests import everything
from tests.databases import DATABASE_SETTINGS, Databases, open_databases
from tests.mail import Outbox

hypothesis_settings.register_profile(
    "suite", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("suite")  # the same examples each time, without a deadline; `make fuzz` tries others

MONDAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

TransactionFactory = Callable[[], AbstractContextManager[Session]]


def pytest_collection() -> None:
    """Switch garbage collection off while tests are collected: it took a quarter of that time and found nothing."""
    gc.disable()


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by these marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # Limits that are shared through Redis do not depend on the database.
        fixtures = getattr(item, "fixturenames", ())
        if "databases" in fixtures and not item.get_closest_marker("redis"):
            for mark in everything.marks(item.nodeid, fixtures):
                item.add_marker(mark)


def pytest_collection_finish() -> None:
    """Exclude the objects of eight thousand tests from garbage collection, which saves 7 % of the time."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def _only_values_of_json() -> Iterator[None]:
    """Have tests fail where a token or a response has bytes, a set or a time, which only msgspec writes."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (compact_jws, authorization_server):
            patch.setattr(module, "_to_json", lambda value: json.dumps(value, allow_nan=False).encode())
        yield


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Creates the databases of this session of tests."""
    with open_databases(tmp_path_factory.mktemp("databases")) as databases:
        yield databases


@pytest.fixture(scope="session")
def settings(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    mailbox = tmp_path_factory.mktemp("mailbox")
    return load(database={"url": databases.new("main"), **DATABASE_SETTINGS}, outbox={"mailbox": str(mailbox)})


@pytest.fixture(scope="session")
def session_app(settings: Settings, databases: Databases) -> Iterator[Flask]:
    """The application, with its tables and keys; `app` puts the database back before each test."""
    app = create_app(settings)
    databases.prepare(app)
    yield app
    with app.app_context():
        database.db.engine.dispose()


@pytest.fixture
def app(session_app: Flask, databases: Databases) -> Flask:
    databases.restore(session_app)
    clear_caches(session_app)
    return session_app


def clear_caches(app: Flask) -> None:
    """Have the application read again what it caches, which may be rows of the previous test."""
    with app.app_context():
        registry.forget()
    response_cache.CACHE.for_app(app).clear()
    for cached in runtime.for_app(app).values.values():
        if hasattr(cached, "read_at"):
            cached.read_at = float("-inf")


@pytest.fixture
def change_settings(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """`change_settings(mail={"port": 25})` changes settings until the test is over, and returns them."""

    def change(**sections: dict[str, Any]) -> Settings:
        program = runtime.for_app(app)
        changed = {name: getattr(program.settings, name).model_copy(update=new) for name, new in sections.items()}
        settings = program.settings.model_copy(update=changed)
        monkeypatch.setitem(app.extensions, runtime.EXTENSION_NAME, replace(program, settings=settings))
        return settings

    return change


@pytest.fixture
def change_ports(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`change_ports(navigation=list)` replaces functions of higher layers until the test is over."""

    def change(**ports: Any) -> None:
        program = runtime.for_app(app)
        monkeypatch.setitem(
            app.extensions, runtime.EXTENSION_NAME, replace(program, ports=replace(program.ports, **ports))
        )

    return change


@pytest.fixture
def transaction(app: Flask) -> TransactionFactory:
    """`with transaction() as session:` is a database session in a transaction, as each request has one."""

    @contextmanager
    def open_transaction() -> Iterator[Session]:
        with transactions.transaction(app):
            yield database.session()

    return open_transaction


@pytest.fixture
def web(app: Flask, settings: Settings) -> FlaskClient:
    """A browser: Flask's test client, which sends requests to our issuer."""
    return a_browser(app, settings)


def a_browser(app: Flask, settings: Settings) -> FlaskClient:
    """Flask's test client as a browser with cookies of its own."""

    class Browser(FlaskClient):
        def open(self, *args: Any, **kwargs: Any) -> TestResponse:
            if args and isinstance(args[0], str):
                kwargs.setdefault("base_url", settings.server.issuer)
            kwargs.setdefault("buffered", True)  # a static file is read and closed at once
            response = super().open(*args, **kwargs)
            is_page = response.data.lstrip()[:9].lower() == b"<!doctype"
            assert not is_page or response.mimetype == "text/html", "browsers show this page as its source"
            return response

    app.test_client_class = Browser
    return app.test_client()


@pytest.fixture
def new_browser(app: Flask, settings: Settings) -> Callable[[], FlaskClient]:
    """`new_browser()` makes another browser, with cookies of its own."""
    return lambda: a_browser(app, settings)


@pytest.fixture
def clock() -> Iterator[Any]:
    """The product's clock, stopped at half past nine on Monday 2 March 2026; `clock.move(…)` moves it on."""
    with clocks.fixed(MONDAY):
        yield clocks


@pytest.fixture
def outbox(transaction: TransactionFactory) -> Outbox:
    """The mails and text messages that the product has queued."""
    return Outbox(transaction)


@pytest.fixture
def run_concurrently(transaction: TransactionFactory) -> Callable[..., list[Any]]:
    """`run_concurrently(8, job)` runs `job` in eight threads, each in its own transaction; exceptions are outcomes."""

    def run(times: int, job: Callable[[], Any]) -> list[Any]:
        ready, outcomes = threading.Barrier(times), []

        def run_job() -> None:
            ready.wait(60)
            try:
                with transaction():
                    outcome = job()
            except Exception as error:  # noqa: BLE001  it is the outcome
                outcome = error
            outcomes.append(outcome)

        threads = [threading.Thread(target=run_job) for _ in range(times)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        return outcomes

    return run


@pytest.fixture
def run_overlapping(transaction: TransactionFactory) -> Callable[..., Any]:
    """`run_overlapping(first, second)` runs two transactions, of which the second begins before the first commits.

    It returns the outcome of `second`; an exception is its outcome. On PostgreSQL, `second` starts after `first` has
    run; the transaction of `first` commits when `second` waits for a lock or has ended, and `before_commit` runs just
    before that. SQLite has one writer at a time: there `second` runs after `first` has committed.
    """

    def run(
        first: Callable[[], Any], second: Callable[[], Any], before_commit: Callable[[], Any] = lambda: None
    ) -> Any:
        outcomes: list[Any] = []

        def run_second() -> None:
            try:
                with transaction():
                    outcome = second()
            except Exception as error:  # noqa: BLE001  it is the outcome
                outcome = error
            outcomes.append(outcome)

        thread = threading.Thread(target=run_second)
        with transaction() as session:
            first()
            session.flush()
            thread.start()
            if session.connection().dialect.name == "postgresql":
                count_waiting = text(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
                )
                while thread.is_alive() and not session.scalar(count_waiting):
                    thread.join(0.01)
            before_commit()
        thread.join(300)
        return outcomes[0]

    return run


@pytest.fixture
def record_statements(app: Flask) -> Callable[[], AbstractContextManager[list[str]]]:
    """`with record_statements() as statements:` collects the SQL statements that the block executes."""

    @contextmanager
    def record() -> Iterator[list[str]]:
        statements: list[str] = []

        def add_statement(*arguments: Any) -> None:
            statements.append(arguments[2])

        engine = database.CONNECTIONS.for_app(app).engine
        event.listen(engine, "before_cursor_execute", add_statement)
        try:
            yield statements
        finally:
            event.remove(engine, "before_cursor_execute", add_statement)

    return record


@pytest.fixture
def unexpired_caches(change_settings: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cached stays cached, for tests that count statements: on a slow machine it would be read again."""
    change_settings(keys={"reread": 600})
    for module in (registry, resources):
        monkeypatch.setattr(module, "CACHE_SECONDS", 600)


@pytest.fixture
def on_postgresql(app: Flask) -> None:
    """Skip the test on other databases; `tests/everything.py` has it run on PostgreSQL."""
    if database.CONNECTIONS.for_app(app).engine.dialect.name != "postgresql":
        pytest.skip("only PostgreSQL does this")


@pytest.fixture
def also_on_postgresql() -> None:
    """Has `tests/everything.py` run the test on PostgreSQL too, because what it checks differs there."""


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder that is deleted after the test; pytest keeps `tmp_path` for a while."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
