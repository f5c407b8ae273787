"""The rate limit of endpoints for programs: a fixed window of a minute per address, in this process."""

import threading
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from idp.foundation.runtime import PerApplication
from idp.foundation.web import throttle
from idp.foundation.web.counts import InMemoryCounts
from idp.foundation.web.throttle import rate_limit


@pytest.fixture
def now(monkeypatch):
    """The seconds of the process's clock, which `limits` reads: a list of one number."""
    seconds = [1_800_000_000.0]
    monkeypatch.setattr("time.time", lambda: seconds[0])
    return seconds


@pytest.fixture
def call(app, change_settings, now, monkeypatch):
    """`call(address)` calls a view that may be called three times a minute from an IP address."""
    change_settings(throttle={"factor": 1})
    # All tests share the application, and with it the counts.
    monkeypatch.setattr(throttle, "_COUNTS", PerApplication(lambda: FixedWindowRateLimiter(InMemoryCounts())))
    view = rate_limit(3)(lambda: "ok")

    def respond(address="192.0.2.1"):
        with app.test_request_context("/", environ_base={"REMOTE_ADDR": address}):
            return view()

    return respond


def test_beyond_the_limit_the_response_has_retry_after(call, now):
    assert [call() for _ in range(3)] == ["ok"] * 3
    now[0] += 20
    with pytest.raises(TooManyRequests) as refused:
        call()
    assert 41 <= refused.value.retry_after <= 71
    assert call("192.0.2.2") == "ok"
    now[0] += 41
    assert call() == "ok"


def test_an_ipv6_network_has_the_limit_of_one_ip_address(call):
    assert [call(f"2001:db8::{last}") for last in range(3)] == ["ok"] * 3
    with pytest.raises(TooManyRequests):
        call("2001:db8::4")
    assert call("2001:db8:0:1::4") == "ok"


def test_the_setting_factor_multiplies_the_limit(call, change_settings):
    change_settings(throttle={"factor": 2})
    assert [call() for _ in range(6)] == ["ok"] * 6
    with pytest.raises(TooManyRequests):
        call()
    assert flask.has_request_context() is False


def test_each_endpoint_has_a_count_of_its_own(app, call, change_settings):
    def another():
        return "ok"

    assert [call() for _ in range(3)] == ["ok"] * 3
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": "192.0.2.1"}):
        assert rate_limit(3)(another)() == "ok"


def test_expired_counts_are_removed_without_a_thread(now):
    counts, threads = InMemoryCounts(), threading.active_count()
    for number in range(100):
        counts.incr(f"address {number}", 60)
    assert counts.incr("address 1", 60) == 2
    assert threading.active_count() == threads
    now[0] += 61
    assert (counts.get("address 1"), counts.incr("address 1", 60)) == (0, 1)
    assert counts.reset() == 1


def test_concurrent_calls_are_all_counted():
    counts = InMemoryCounts()
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda _: counts.incr("address", 60), range(4000)))
    assert (counts.get("address"), len(set(sums))) == (4000, 4000)
    counts.clear("address")
    assert counts.get("address") == 0
