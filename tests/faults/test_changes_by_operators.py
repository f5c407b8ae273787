"""A change by an operator in one process applies in every other process after a second."""

import time
from datetime import timedelta
from typing import NamedTuple

import pytest

from idp.partners import registry


class Authentication(NamedTuple):
    """When a secret was sent, and whether it was accepted."""

    sent_at: float
    is_accepted: bool


@pytest.fixture
def authenticate(outside, world):
    """`authenticate(url)` sends the partner's secret."""

    def send(url):
        sent = time.monotonic()
        response = outside.post(f"{url}/oauth/introspect", data={"token": "x"}, headers=world.partner.basic, timeout=60)
        return Authentication(sent, response.status_code == 200)

    return send


def is_accepted_after(authenticate, url, seconds):
    """Whether any call that is sent more than `seconds` after this moment is accepted."""
    began = time.monotonic()
    calls: list[Authentication] = []
    while not calls or calls[-1].sent_at < began + seconds + 0.5:
        calls.append(authenticate(url))
    late = [call.is_accepted for call in calls if call.sent_at > began + seconds]
    assert late
    return any(late)


def test_a_client_that_was_disabled_is_refused_after_a_second(instance, world, authenticate):
    with instance() as (_, url):
        assert authenticate(url).is_accepted
        with world.transaction():
            registry.disable(world.partner.id, by="test")
        assert not is_accepted_after(authenticate, url, 1.0)


def test_a_secret_that_was_replaced_is_refused_after_a_second(instance, world, authenticate):
    with instance() as (_, url):
        assert authenticate(url).is_accepted
        with world.transaction():
            registry.rotate_secret(world.partner.id, overlap=timedelta(0), by="test")
        assert not is_accepted_after(authenticate, url, 1.0)
