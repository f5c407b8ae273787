"""The counters of password spraying, by function calls; `tests/security/test_password_spraying.py` tests them over
HTTP.
"""

import logging
from datetime import timedelta

import pytest

from idp.audit import events
from idp.foundation import clock as clocks
from idp.signin import spraying
from tests.audit_entries import recorded

pytestmark = pytest.mark.usefixtures("clock")
ADDRESS = "192.0.2.1"


@pytest.fixture(autouse=True)
def low_limits(change_settings):
    """Twenty names for a network in an hour; two while many fail over all networks, which is at four."""
    change_settings(throttle={"factor": 1, "network_names": 20, "widespread_names": 4})


@pytest.fixture
def fail_sign_in(transaction):
    """`fail_sign_in("a", "b", address=ADDRESS)` records a wrong password for each of these names."""

    def fail(*names, address):
        for name in names:
            with transaction():
                spraying.note_failure(address, name)

    return fail


@pytest.mark.parametrize(("seconds", "expected"), [(0, "1 minute."), (60, "1 minute."), (61, "2 minutes.")])
def test_the_wait_is_shown_in_whole_minutes(seconds, expected):
    refused = spraying.NetworkBlocked(clocks.now() + timedelta(seconds=seconds))
    assert f"has to wait for {expected} " in refused.message


def test_names_in_many_networks_are_widespread_at_the_limit_and_are_recorded_once(fail_sign_in, transaction, caplog):
    fail_sign_in("a", address="203.0.1.1")
    fail_sign_in("b", address="203.0.2.1")
    fail_sign_in("c", address="203.0.3.1")
    with transaction():
        assert not spraying.figures().is_widespread
    with caplog.at_level(logging.WARNING):
        fail_sign_in("d", address="203.0.4.1")
        with transaction():
            assert spraying.figures() == spraying.Figures(4, 0, is_widespread=True)
        fail_sign_in("e", address="203.0.5.1")

    assert [record.getMessage().count("from many networks") for record in caplog.records] == [1]
    with transaction():
        assert [(entry.by, entry.facts) for entry in recorded(events.SPRAYING_SEEN)] == [("system", {"count": 4})]


def test_a_networks_limit_is_a_tenth_once_the_widespread_limit_is_reached(fail_sign_in, transaction):
    fail_sign_in("a", "b", address=ADDRESS)
    fail_sign_in("c", address="203.0.3.1")
    with transaction():
        spraying.check(ADDRESS)
    fail_sign_in("d", address="203.0.4.1")
    with transaction(), pytest.raises(spraying.NetworkBlocked):
        spraying.check(ADDRESS)


def test_browsers_without_an_address_count_together(fail_sign_in, transaction):
    fail_sign_in(*"abcd", address=None)
    with transaction(), pytest.raises(spraying.NetworkBlocked):
        spraying.check(None)
    with transaction():
        spraying.check(ADDRESS)
