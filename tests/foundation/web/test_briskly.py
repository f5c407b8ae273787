"""The limit for what programs call all the time: one count a minute and address, in this process."""

import flask
import pytest
from werkzeug.exceptions import TooManyRequests

from idp.foundation.web.throttle import rate_limit


@pytest.fixture
def called(app, change_settings):
    change_settings(throttle={"factor": 1})
    view = rate_limit(3)(lambda: "ok")

    def call(address="192.0.2.1"):
        with app.test_request_context("/", environ_base={"REMOTE_ADDR": address}):
            return view()

    return call


def test_beyond_the_limit_it_says_when_to_come_back(called, monkeypatch):
    monkeypatch.setattr("idp.foundation.web.throttle.time.monotonic", lambda: 60_000.0)
    assert [called() for _ in range(3)] == ["ok"] * 3
    with pytest.raises(TooManyRequests) as refused:
        called()
    assert 61 <= refused.value.retry_after <= 91
    assert called("192.0.2.2") == "ok"
    monkeypatch.setattr("idp.foundation.web.throttle.time.monotonic", lambda: 60_060.0)
    assert called() == "ok"


def test_a_network_of_ipv6_addresses_has_the_limit_of_one(called, monkeypatch):
    monkeypatch.setattr("idp.foundation.web.throttle.time.monotonic", lambda: 60_000.0)
    assert [called(f"2001:db8::{last}") for last in range(3)] == ["ok"] * 3
    with pytest.raises(TooManyRequests):
        called("2001:db8::4")
    assert called("2001:db8:0:1::4") == "ok"


def test_the_settings_factor_widens_it(called, change_settings):
    change_settings(throttle={"factor": 2})
    assert [called() for _ in range(6)] == ["ok"] * 6
    assert flask.has_request_context() is False


def test_a_minute_that_ends_in_between_is_no_error(called, monkeypatch):
    """Another thread may begin to count anew while this one counts."""
    minutes, looked = iter(range(60_000, 90_000, 60)), []

    class Address(str):
        __slots__ = ()

        def __hash__(self):
            looked.append(self)
            if len(looked) == 3:  # counted by now
                called("192.0.2.2")
            return super().__hash__()

        __eq__ = str.__eq__

    monkeypatch.setattr("idp.foundation.web.throttle.time.monotonic", lambda: float(next(minutes)))
    caller = "idp.foundation.web.throttle.caller"
    with monkeypatch.context() as patched:
        patched.setattr(caller, lambda: Address("192.0.2.1") if not looked else "192.0.2.2")
        assert called() == "ok"
