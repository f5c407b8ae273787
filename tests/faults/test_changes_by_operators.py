"""What operators change in one process applies in every other process after a second."""

import time

import pytest

from idp.partners import registry


@pytest.fixture
def authenticate(outside, world):
    """`authenticate(address)` sends the partner's secret; returns when that was, and whether it was accepted."""

    def send(address):
        sent = time.monotonic()
        response = outside.post(
            f"{address}/oauth/introspect", data={"token": "x"}, headers=world.partner.basic, timeout=60
        )
        return sent, response.status_code == 200

    return send


def accepted_after(authenticate, address, seconds):
    """Whether any call that is sent more than `seconds` after this moment is accepted."""
    began = time.monotonic()
    calls: list[tuple[float, bool]] = []
    while not calls or calls[-1][0] < began + seconds + 0.5:
        calls.append(authenticate(address))
    late = [accepted for sent, accepted in calls if sent > began + seconds]
    assert late
    return any(late)


def test_a_client_that_was_disabled_is_refused_after_a_second(instance, world, authenticate):
    with instance() as (_, address):
        assert authenticate(address)[1]
        with world.transaction():
            registry.disable(world.partner.id, by="test")
        assert not accepted_after(authenticate, address, 1.0)


def test_a_secret_that_was_replaced_is_refused_after_a_second(instance, world, authenticate):
    from datetime import timedelta

    with instance() as (_, address):
        assert authenticate(address)[1]
        with world.transaction():
            registry.rotate_secret(world.partner.id, overlap=timedelta(0), by="test")
        assert not accepted_after(authenticate, address, 1.0)
