"""Events pushed to clients: the meaning of responses, and that a client that hangs delays only its own events."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.foundation.ports import EventRequest
from idp.outbox import deliver, post
from idp.outbox.models import Message
from idp.outbox.outgoing import PermanentFailure
from tests.oidc.receiving import a_receiver


@pytest.fixture
def receiver():
    with a_receiver() as server:
        yield server


@pytest.fixture(autouse=True)
def _event_request(change_ports):
    """How the request of an event named `hello` is made; facts of a test make it fail."""

    def make(message_id, url, facts):
        if "gone" in str(facts):
            raise PermanentFailure("gone")
        if "broken" in str(facts):
            raise ZeroDivisionError
        return EventRequest(url, f"logout_token={message_id}", "application/x-www-form-urlencoded")

    change_ports(event_requests={"hello": make})


@pytest.fixture
def push(transaction):
    def write(to, client="client-1", **facts):
        with transaction():
            return post.event("hello", to=to, client=client, **facts)

    return write


def run_deliveries(transaction, times):
    return [deliver.run_once(transaction, "event") for _ in range(times)]


def test_an_event_is_sent_as_its_request_and_its_facts_are_deleted(push, receiver, transaction, row):
    message_id = push(receiver.uri, about="x")
    assert run_deliveries(transaction, 2) == [1, 0]
    assert receiver.tokens == [message_id]
    assert row(message_id).sent_at is not None
    assert row(message_id).sealed is None
    assert row(message_id).recipient is None


def test_an_event_for_a_url_that_is_not_http_is_refused(push):
    with pytest.raises(ValueError, match="web"):
        push("mailto:me@example")


def test_an_event_whose_request_cannot_be_made_fails_and_is_not_sent(push, receiver, transaction, row):
    message_id = push(receiver.uri, about="gone")
    run_deliveries(transaction, 1)
    assert row(message_id).failed_at is not None
    assert receiver.requests == []


def test_an_unexpected_error_in_making_a_request_delays_no_other_client(push, receiver, transaction, row, clock):
    broken, good = push(receiver.uri, "client-1", about="broken"), push(receiver.uri, "client-2")
    run_deliveries(transaction, 3)
    assert row(broken).failed_at is None
    assert row(broken).due_at > clock.now()
    assert row(good).sent_at is not None


def test_a_client_gets_one_event_at_a_time(push, receiver, transaction, clock):
    first = push(receiver.uri)
    clock.move(timedelta(seconds=1))
    second, other = push(receiver.uri), push(receiver.uri, "client-2")
    with transaction() as session:
        session.get_one(Message, first).leased_until = clock.now() + timedelta(minutes=1)
    assert run_deliveries(transaction, 3) == [1, 0, 0]
    assert receiver.tokens == [other]
    clock.move(timedelta(minutes=2))
    assert run_deliveries(transaction, 3) == [1, 1, 0]
    assert receiver.tokens == [other, first, second]


def test_a_client_that_does_not_respond_delays_only_its_own_events(
    push, receiver, transaction, row, clock
):  # fmt: skip
    unreachable = [push("http://127.0.0.1:1/unreachable") for _ in range(5)]
    good = push(receiver.uri, "client-2")
    assert sum(run_deliveries(transaction, 5)) == 2, "one attempt at the unreachable client, and one event of the other"
    assert row(good).sent_at is not None
    assert {row(event_id).due_at > clock.now() for event_id in unreachable} == {True}
    assert sorted(row(event_id).attempts for event_id in unreachable) == [0, 0, 0, 0, 1]


def test_an_event_is_sent_again_at_growing_intervals_and_fails_after_a_day(push, transaction, row, clock):
    push("http://127.0.0.1:1/unreachable")
    waits = []
    for _ in range(8):
        run_deliveries(transaction, 1)
        with transaction() as session:
            due = session.scalars(select(Message.due_at)).one()
        waits.append((due - clock.now()).total_seconds())
        clock.move(due - clock.now())
    assert waits[0] <= 5
    assert waits[-1] >= 300
    clock.move(timedelta(hours=24))
    run_deliveries(transaction, 1)
    with transaction() as session:
        assert session.scalars(select(Message)).one().failed_at is not None
