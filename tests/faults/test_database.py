"""While the database is busy or unreachable, responses are 503 with `Retry-After`, never 500."""

import os
import resource
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from sqlalchemy import make_url

from idp.app import create_app
from idp.foundation import database, runtime
from idp.foundation.fastpath import connections
from idp.foundation.load_settings import load
from idp.foundation.web import transactions
from tests import factories, postgresql
from tests.conftest import a_browser
from tests.databases import PostgresqlDatabases
from tests.oidc.support import Partner, obtain_tokens

ON_POSTGRESQL = bool(os.environ.get("TEST_DATABASE"))
PATHS = ("/readyz", "/sign-in", "/register?q=oakhill", "/oauth/authorize?client_id=unknown")
UNAVAILABLE = (503, True)


def request_statuses(outside, url, refresh):
    """For each kind of request: the status of its response, and whether it has `Retry-After`."""
    responses = [outside.get(url + path, timeout=60) for path in PATHS]
    responses.append(refresh(outside, url))
    return [(response.status_code, "Retry-After" in response.headers) for response in responses]


def refresh_call(partner, token):
    """A function that refreshes this token."""
    form = {"grant_type": "refresh_token", "refresh_token": token}

    def call(outside, url):
        return outside.post(f"{url}/oauth/token", data=form, headers=partner.basic, timeout=60)

    return call


@pytest.mark.skipif(ON_POSTGRESQL, reason="PostgreSQL has many writers")
def test_while_another_program_locks_sqlite_requests_get_503_and_no_other_error(
    instance, outside, world, web, settings
):
    token = obtain_tokens(web, world.partner, world.username)["refresh_token"]
    call = refresh_call(world.partner, token)
    with (
        instance(database__busy_timeout=1) as (process, url),
        closing(
            sqlite3.connect(str(make_url(settings.database.url).database), isolation_level=None, timeout=60)
        ) as locking_connection,
    ):
        before = request_statuses(outside, url, call)
        locking_connection.execute("BEGIN IMMEDIATE")
        during = request_statuses(outside, url, call)
        locking_connection.execute("ROLLBACK")
        after = request_statuses(outside, url, call)

    assert [status for status, _ in before] == [200, 200, 200, 400, 200]
    assert set(during) <= {UNAVAILABLE, *before}
    assert UNAVAILABLE in during
    assert after == before
    assert "unforeseen" not in process.output


class OwnServer(NamedTuple):
    """A PostgreSQL server, the URL of a database on it, and a partner with a refresh token."""

    server: Any
    url: str
    partner: Partner
    refresh_token: str


@pytest.fixture
def own_server():
    """A PostgreSQL server for this test alone, which it may stop."""
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("the PostgreSQL server of this run is on another machine")
    with postgresql.running_server(programs) as server:
        databases = PostgresqlDatabases(server.url)
        app = create_app(load(database={"url": databases.new("own_server")}))
        databases.prepare(app)
        with transactions.transaction(app):
            username, partner = factories.an_administrator().username, Partner(factories.a_client().id)
        settings = runtime.for_app(app).settings
        web = a_browser(app, settings)
        token = obtain_tokens(web, partner, username)["refresh_token"]
        with app.app_context():
            database.db.engine.dispose()
        yield OwnServer(server, settings.database.url, partner, token)


@pytest.mark.skipif(not ON_POSTGRESQL, reason="done where the suite runs on PostgreSQL")
def test_after_a_restart_of_postgresql_requests_succeed_again(instance, outside, own_server):
    server, database_url, partner, token = own_server
    call = refresh_call(partner, token)
    with instance(database__url=database_url) as (process, url):
        before = request_statuses(outside, url, call)
        server.stop()
        while_stopped = request_statuses(outside, url, call)
        server.start()
        after_restart = [request_statuses(outside, url, call) for _ in range(12)]

    assert [status for status, _ in before] == [200, 200, 200, 400, 200]
    assert set(while_stopped) <= {UNAVAILABLE, *before}
    assert while_stopped[-1] == UNAVAILABLE
    assert all(set(item) <= {UNAVAILABLE, *before} for item in after_restart)
    assert after_restart[-1] == before
    assert "unforeseen" not in process.output


@pytest.mark.skipif(not ON_POSTGRESQL, reason="done where the suite runs on PostgreSQL")
def test_after_a_restart_of_postgresql_no_request_gets_a_dead_connection(instance, outside, own_server):
    server, database_url, partner, token = own_server
    call = refresh_call(partner, token)
    with instance(database__url=database_url) as (process, url), ThreadPoolExecutor(8) as pool:
        before = request_statuses(outside, url, call)
        list(pool.map(lambda _: outside.get(url + "/sign-in", timeout=60), range(32)))  # the whole pool is in use
        idle_since = time.monotonic()
        server.stop()
        server.start()
        time.sleep(max(0.0, idle_since + connections.MAX_IDLE_SECONDS * 2 - time.monotonic()))
        after_restart = [request_statuses(outside, url, call) for _ in range(6)]

    assert after_restart == [before] * 6
    assert "unforeseen" not in process.output


@pytest.mark.skipif(not ON_POSTGRESQL, reason="done where the suite runs on PostgreSQL")
def test_connections_to_a_server_that_takes_no_writes_are_not_kept(instance, outside, own_server):
    server, url, partner, token = own_server
    call = refresh_call(partner, token)
    name = make_url(url).database
    with (
        instance(database__url=url) as (process, address),
        psycopg.connect(server.url, autocommit=True) as operator,
        ThreadPoolExecutor(8) as pool,
    ):
        before = request_statuses(outside, address, call)
        operator.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        operator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        for _ in range(3):  # connections are opened to a server that takes no writes, as during a switch to another
            list(pool.map(lambda _: outside.get(address + "/sign-in", timeout=60), range(32)))
        time.sleep(1)  # so that /readyz asks again
        problem = outside.get(address + "/readyz", timeout=60).json()["database"]
        during = request_statuses(outside, address, call)
        operator.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        time.sleep(1)
        after = [request_statuses(outside, address, call) for _ in range(20)]

    assert (problem, during[0]) == ("not writable", UNAVAILABLE)
    assert all(item == before for item in after)
    assert "unforeseen" not in process.output


@pytest.mark.skipif(ON_POSTGRESQL, reason="PostgreSQL's disk is not ours to fill")
def test_with_a_full_disk_readyz_responds_503_until_there_is_space_again(instance, outside):
    with instance() as (process, url):
        assert outside.get(url + "/readyz", timeout=60).status_code == 200
        main = process.popen.pid
        (worker,) = Path(f"/proc/{main}/task/{main}/children").read_text("ascii").split()
        before = resource.prlimit(int(worker), resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

        def is_ready():
            return outside.get(url + "/readyz", timeout=60).status_code == 200

        process.wait_until(lambda: not is_ready())
        assert outside.get(url + "/readyz", timeout=60).json()["database"] == "not writable"
        assert outside.get(url + "/healthz", timeout=60).status_code == 200
        resource.prlimit(int(worker), resource.RLIMIT_FSIZE, before)
        process.wait_until(is_ready)
