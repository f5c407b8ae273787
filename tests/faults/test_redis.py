"""Redis, by which processes share their limits: in use, unreachable, hanging, available again (performance.md §8)."""

import json
import subprocess
import sys
from typing import NamedTuple

import pytest
import requests

from idp.app import create_app
from idp.foundation import database, runtime
from idp.foundation.load_settings import load
from idp.foundation.setting_types import ROOT
from idp.foundation.web import transactions
from tests import redis
from tests.factories import an_administrator
from tests.html import parse
from tests.processes import an_instance, environment_with

pytestmark = pytest.mark.redis
LIMITED_PATH = "/set-up/unknown"
CALLS_A_MINUTE = 30
"""The calls of this path that are allowed from an IP address in a minute."""


@pytest.fixture(scope="module")
def server():
    if redis.program() is None:
        pytest.fail("Redis is not installed (Debian: redis-server)")
    with redis.running_server() as running:
        yield running


class DatabaseAndUsername(NamedTuple):
    """The URL of a database, and the username of a school's owner in it."""

    url: str
    username: str


@pytest.fixture(scope="module")
def database_and_username(databases):
    """A database that two instances share, with a school's owner."""
    app = create_app(load(database={"url": databases.new("shared")}))
    databases.prepare(app)
    with transactions.transaction(app):
        username = an_administrator().username
    yield DatabaseAndUsername(runtime.for_app(app).settings.database.url, username)
    with app.app_context():
        database.db.engine.dispose()


@pytest.fixture(scope="module")
def instances(server, database_and_username, tmp_path_factory):
    """Two instances with one database and one Redis."""
    folder, (url, _) = tmp_path_factory.mktemp("shared"), database_and_username
    environment = {"database__url": url, "throttle__storage": server.url, "throttle__factor": 1}
    with (
        an_instance(folder / "one.log", **environment) as first,
        an_instance(folder / "two.log", **environment) as second,
    ):
        yield first, second


@pytest.fixture
def call_in_turn(instances):
    """`call_in_turn(4)` is the statuses of four calls, at the two servers in turn."""

    def send(times):
        return [
            requests.get(instances[number % 2].url + LIMITED_PATH, timeout=60).status_code for number in range(times)
        ]

    return send


def sign_in_wrongly(url, username):
    """Sign in with a wrong password; returns the status."""
    with requests.Session() as browser:
        page = parse(browser.get(f"{url}/sign-in", timeout=60).text)
        token = page.find("input", {"name": "csrf_token"})["value"]
        fields = {"csrf_token": token, "username": username, "password": "not the password"}
        return browser.post(f"{url}/sign-in", data=fields, timeout=60).status_code


def outages_logged(instances):
    """How often each server logged that Redis is unreachable, which a busy machine may cause as well."""
    return [process.output.count("storage unreachable") for process, _ in instances]


def test_two_processes_share_a_rate_limit(server, instances, call_in_turn):
    statuses, before = [], [-1]
    while outages_logged(instances) != before:
        before = outages_logged(instances)
        server.delete_data()
        statuses = call_in_turn(CALLS_A_MINUTE + 4)
    assert statuses == [404] * CALLS_A_MINUTE + [429] * 4


def test_without_redis_each_process_counts_by_itself_and_guesses_are_still_limited(
    server, instances, call_in_turn, database_and_username
):
    server.stop()
    try:
        assert call_in_turn(4) == [404] * 4
        for process, _ in instances:
            assert "error" in next(line for line in process.output.splitlines() if "storage unreachable" in line)

        statuses = [sign_in_wrongly(instances[number % 2].url, database_and_username.username) for number in range(12)]
        assert statuses == [422] * 10 + [429] * 2
    finally:
        server.start()


def test_redis_is_used_again_after_an_outage_and_requests_do_not_wait_long_for_a_hanging_one(
    server, instances, call_in_turn
):
    for process, url in instances:
        server.delete_data()  # which the other server has counted
        process.wait_until(
            lambda url=url: requests.get(url + LIMITED_PATH, timeout=60).status_code and server.has_data()
        )
    before = outages_logged(instances)
    server.hang()
    try:
        assert set(call_in_turn(6)) <= {404, 429}
        assert all(after > earlier for earlier, after in zip(before, outages_logged(instances), strict=True))
    finally:
        server.stop()
        server.start()


def test_the_provider_starts_without_redis_and_doctor_reports_it(server, database_and_username, tmp_path):
    server.stop()
    try:
        environment = {
            "database__url": database_and_username.url,
            "throttle__storage": server.url,
            "throttle__factor": 1,
        }
        with an_instance(tmp_path / "log", **environment) as (_, url):
            assert requests.get(url + LIMITED_PATH, timeout=60).status_code == 404
        doctor = [sys.executable, "-m", "idp.cli", "doctor", "--json"]
        output = subprocess.run(
            doctor, cwd=ROOT, env=environment_with(**environment), stdout=subprocess.PIPE, check=False
        ).stdout
        assert [entry["level"] for entry in json.loads(output) if entry["what"] == "limits"] == ["warning"]
    finally:
        server.start()
