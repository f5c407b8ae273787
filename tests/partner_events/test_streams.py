"""Operators and developers see the state of the delivery, and can have events delivered again."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.audit.models import Entry
from idp.foundation.retention import KeepNewest
from idp.jobs import cleaning
from idp.partner_events import retention, streams
from idp.partner_events.models import PartnerEvent
from tests.factories import a_client
from tests.partner_events.test_deliver import states


def test_the_state_of_a_stream_has_the_waiting_events_and_the_last_error(
    transaction, record_event, push, endpoint, client_id, clock
):
    began = clock.now()
    record_event("one", "1")
    clock.move(timedelta(minutes=1))
    endpoint.respond = lambda _claims: 503
    push()
    record_event("two", "2")
    with transaction():
        stream = streams.find_by_client(client_id)
        assert (stream.waiting, stream.waiting_since, stream.refused) == (2, began, 0)
        assert "503" in stream.delivery.last_error
        assert stream.delivery.failures == 1
        assert [stream.client.id for stream in streams.all_streams()] == [client_id]
        assert [streams.state_of(event) for event in streams.newest(client_id)] == ["waiting", "waiting"]
        assert [event.facts["state"] for event in streams.newest(client_id, only="waiting", limit=1)] == ["2"]
        assert streams.newest(client_id, only="delivered") == []


def test_an_event_that_was_refused_is_delivered_again_with_its_jti(
    transaction, record_event, push, endpoint, client_id
):
    endpoint.respond = lambda _claims: (400, {"err": "invalid_request"})
    jti = record_event("one", "1")
    push()
    endpoint.respond = lambda _claims: 202
    with transaction():
        assert streams.replay(client_id, [jti], by="cli") == 1
    push()
    assert [claims["jti"] for claims in endpoint.accepted] == [jti]
    with transaction() as database:
        entry = database.scalars(select(Entry).where(Entry.event == "client.events_replayed")).one()
        assert (entry.client, entry.facts["count"]) == (client_id, 1)


def test_all_events_since_a_moment_are_delivered_again_in_order(
    transaction, record_event, push, endpoint, client_id, clock
):
    record_event("one", "0")
    clock.move(timedelta(hours=1))
    since = clock.now()
    for number in range(1, 4):
        record_event("one", str(number))
    push()
    endpoint.accepted.clear()
    with transaction():
        assert streams.replay_since(client_id, since, by="cli") == 3
    push()
    assert states(endpoint) == ["1", "2", "3"]


def test_events_of_another_client_are_not_replayed(transaction, record_event, make_stream, push, endpoint, client_id):
    jti = record_event(client=make_stream(endpoint.url))
    push()
    with pytest.raises(streams.UnknownEvent), transaction():
        streams.replay(client_id, [jti], by="cli")
    assert push() == 0


def test_a_replay_during_a_round_is_delivered(transaction, record_event, push, endpoint, client_id, row):
    jti, began, released = record_event(), threading.Event(), threading.Event()

    def respond(_claims):
        began.set()
        released.wait(20)
        return 202

    endpoint.respond = respond
    first = threading.Thread(target=push, args=("prompt",))
    first.start()
    assert began.wait(20)
    with transaction():
        assert streams.replay(client_id, [jti], by="cli") == 1
    released.set()
    first.join()
    assert row(jti).delivered_at is not None


def test_a_client_without_events_has_no_stream(transaction):
    with transaction():
        client_id = a_client().id

    with pytest.raises(streams.NoEventStream), transaction():
        streams.find_by_client(client_id)


def test_events_are_deleted_after_two_weeks_or_beyond_the_number_per_client(transaction, record_event, clock):
    old = record_event()
    clock.move(timedelta(days=13))
    for _ in range(5):
        record_event()
    bound = KeepNewest(PartnerEvent.number, 3, per=PartnerEvent.client_id)
    clock.move(timedelta(days=1, seconds=1))
    cleaning.clean(transaction, retention.RETENTION)
    with transaction() as database:
        kept = [event.id for event in database.query(PartnerEvent)]
    assert len(kept) == 5
    assert old not in kept
    cleaning.clean(transaction, [bound])
    with transaction() as database:
        assert database.query(PartnerEvent).count() == 3
