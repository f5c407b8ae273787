"""Pushing events: in order for each subject, again where that can help, and no client waits for another's endpoint."""

import contextlib
import socket
import threading
import time
from datetime import timedelta
from email.utils import formatdate

import pytest

from idp.foundation.database import session
from idp.foundation.web import fetch
from idp.partner_events import deliver
from idp.partner_events.models import EventStream, PartnerEvent
from idp.partners import event_streams, registry
from idp.partners.models import Client
from tests.fuzz.responses import recorded_log
from tests.ports import free_port


def states(endpoint):
    """The states of the verification events that the endpoint accepted, in order."""
    return [next(iter(claims["events"].values())).get("state", "") for claims in endpoint.accepted]


def test_sixty_events_are_delivered_in_order_in_two_rounds(record_event, push, endpoint, row, stream):
    event_ids = [record_event(f"subject {number % 3}", str(number)) for number in range(60)]
    assert push() == 50
    assert push() == 10
    assert states(endpoint) == [str(number) for number in range(60)]
    assert all(row(event_id).delivered_at for event_id in event_ids)
    assert stream().leased_until is None
    assert stream().delivered_at is not None


@pytest.mark.parametrize("status", [200, 204, 302, 401, 404, 500])
def test_an_event_is_sent_again_after_any_status_but_202(record_event, push, endpoint, row, clock, status):
    endpoint.respond = lambda _claims: status
    event_id = record_event()
    push()
    assert row(event_id).delivered_at is row(event_id).failed_at is None
    assert str(status) in row(event_id).last_error
    assert push() == 0, "not at once"
    clock.move(timedelta(seconds=6))
    endpoint.respond = lambda _claims: 202
    push()
    assert row(event_id).delivered_at is not None
    assert len({claims["jti"] for claims in endpoint.accepted}) == 1


@pytest.mark.parametrize("error", ["invalid_request", "invalid_issuer", "invalid_audience", "of its own"])
def test_an_event_that_the_client_refuses_is_not_sent_again_and_later_ones_are_sent(
    record_event, push, endpoint, row, error
):
    refused = record_event("school", "first")
    endpoint.respond = lambda claims: (
        (400, {"err": error, "description": "no\nthanks"}) if claims["jti"] == refused else 202
    )
    record_event("school", "second")
    push()
    assert row(refused).failed_at is not None
    assert row(refused).last_error == f"the endpoint returned 400 {error}: no thanks"
    assert states(endpoint) == ["second"]


def test_the_address_of_an_endpoint_is_not_logged_beyond_its_host(make_stream, record_event, push, row):
    """Receivers of events often know their senders by a secret in the address alone."""
    client_id = make_stream(f"http://127.0.0.1:{free_port()}/s3cret?token=s3cret")
    event_id = record_event(client=client_id)
    with recorded_log() as log:
        push()
    assert "http://127.0.0.1:" in row(event_id).last_error
    assert log.lines
    assert "s3cret" not in row(event_id).last_error + "".join(log.lines)


@pytest.mark.parametrize("error", ["invalid_key", "authentication_failed", "access_denied"])
def test_an_event_is_sent_again_after_an_error_that_is_not_about_the_event(
    record_event, push, endpoint, row, clock, error
):
    endpoint.respond = lambda _claims: (400, {"err": error})
    event_id = record_event()
    push()
    assert row(event_id).failed_at is None
    endpoint.respond = lambda _claims: 202
    clock.move(timedelta(seconds=6))
    push()
    assert row(event_id).delivered_at is not None


def test_an_event_that_fails_delays_later_ones_of_its_subject_only(record_event, push, endpoint, clock):
    failing = record_event("failing", "1")
    record_event("failing", "2")
    record_event("other", "3")
    endpoint.respond = lambda claims: 500 if claims["jti"] == failing else 202
    push()
    record_event("failing", "4")
    record_event("other", "5")
    push()
    assert states(endpoint) == ["3", "5"]
    endpoint.respond = lambda _claims: 202
    clock.move(timedelta(seconds=6))
    push()
    assert states(endpoint) == ["3", "5", "1", "2", "4"]


def test_an_unreachable_endpoint_is_tried_at_growing_intervals(
    transaction, record_event, push, stream, clock, client_id
):
    with transaction():
        session().get_one(Client, client_id).events_endpoint_url = f"http://127.0.0.1:{free_port()}/"
    for number in range(5):
        record_event(str(number))
    waits = []
    for _ in range(8):
        assert push() == 5
        assert push() == 0
        waits.append((stream().due_at - clock.now()).total_seconds())
        clock.move(timedelta(seconds=waits[-1]))
    assert waits[0] <= 5
    assert waits[-1] >= 300
    assert stream().failures == 8


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        ("1800", (1800, 1800)),
        ("2", (2, 5)),
        ("86400", (3600, 3600)),
        (lambda now: formatdate((now + timedelta(minutes=20)).timestamp(), usegmt=True), (1199, 1200)),
        ("soon", (0, 5)),
        ("Fri, 31 Dec 99999 23:59:59 GMT", (0, 5)),
        ("-5", (0, 5)),
        ("\u00b2", (0, 5)),
    ],
)
def test_a_busy_endpoint_is_left_alone_for_as_long_as_it_asks_up_to_an_hour(
    record_event, push, endpoint, stream, clock, status, retry_after, expected
):
    endpoint.respond = lambda _claims: status
    endpoint.headers = {"Retry-After": retry_after(clock.now()) if callable(retry_after) else retry_after}
    record_event()
    push()
    least, most = expected
    assert least <= (stream().due_at - clock.now()).total_seconds() <= most


def test_a_round_stops_after_three_events_of_different_schools_failed(record_event, push, endpoint, stream):
    endpoint.respond = lambda _claims: 500
    for number in range(10):
        record_event(str(number))
    push()
    assert len(endpoint.requests) == 3
    assert stream().failures == 1


def test_a_client_whose_endpoint_hangs_delays_no_one_else(
    change_settings, transaction, record_event, push, endpoint, other_endpoint, make_stream, app
):
    change_settings(fetch={"timeout": 1.5})
    released = threading.Event()
    endpoint.respond = lambda _claims: released.wait(20) and 202
    record_event()
    hanging = threading.Thread(target=push, args=("prompt",))
    hanging.start()
    _wait_until(lambda: endpoint.requests)
    record_event(client=make_stream(other_endpoint.url))
    assert push("prompt") == 1, "the other client's, at once"
    assert len(other_endpoint.accepted) == 1
    hanging.join()
    released.set()
    record_event(client=make_stream(other_endpoint.url))
    assert push("prompt") == 1, "the client whose endpoint hangs is in the slow lane"


def test_two_workers_at_once_send_each_event_once(transaction, record_event, endpoint):
    for number in range(30):
        record_event(f"subject {number % 3}", str(number))

    def run_round():
        return deliver.run_once(transaction, "prompt")

    threads = [threading.Thread(target=run_round) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states(endpoint) == [str(number) for number in range(30)]


def test_events_of_a_worker_that_died_are_sent_once_its_lease_has_ended(
    transaction, record_event, push, endpoint, clock, client_id
):
    record_event()
    with transaction():
        assert deliver._lease("prompt") is not None
    assert push() == 0
    clock.move(timedelta(minutes=5))
    assert push() == 1


def test_a_round_whose_lease_has_expired_does_not_release_the_next_lease(transaction, record_event, stream, clock):
    record_event()
    with transaction():
        late = deliver._lease("prompt")
    clock.move(timedelta(minutes=5))
    with transaction():
        second = deliver._lease("prompt")
    with transaction():
        deliver._settle(late)
    assert stream().leased_by == second.lease


def test_the_next_round_of_a_stream_is_delayed_after_all_due_events_were_sent(
    transaction, record_event, endpoint, clock
):
    def run_round():
        return deliver.run_once(transaction, "prompt", pause=deliver.PAUSE)

    record_event("one", "first")
    assert run_round() == 1
    record_event("one", "second")
    record_event("two", "third")
    assert run_round() == 0
    clock.move(deliver.PAUSE)
    assert run_round() == 2
    assert states(endpoint) == ["first", "second", "third"]


def test_the_next_round_of_a_stream_is_not_delayed_while_events_are_due(transaction, record_event, endpoint, clock):
    for number in range(deliver.BATCH_SIZE + 1):
        record_event("one", str(number))
    rounds = [deliver.run_once(transaction, "prompt", pause=deliver.PAUSE) for _ in range(3)]
    assert rounds == [deliver.BATCH_SIZE, 1, 0]


def test_events_of_a_disabled_client_are_sent_once_it_is_enabled(transaction, record_event, push, endpoint, client_id):
    with transaction():
        registry.disable(client_id, by="cli")
    record_event()
    assert push() == 0
    with transaction():
        registry.enable(client_id, by="cli")
    assert push() == 1


def test_waiting_events_go_to_the_new_url(transaction, record_event, push, endpoint, other_endpoint, client_id):
    record_event()
    with transaction():
        session().get_one(Client, client_id).events_endpoint_url = other_endpoint.url
    push()
    assert (len(endpoint.accepted), len(other_endpoint.accepted)) == (0, 1)


def test_the_authorization_header_is_sent_stored_sealed_and_never_goes_to_another_url(
    transaction, record_event, push, endpoint, other_endpoint, client_id
):
    with transaction():
        event_streams.set_authorization(client_id, "Bearer very-secret", by="cli")
    record_event()
    push()
    assert endpoint.requests[0]["headers"]["Authorization"] == "Bearer very-secret"
    with transaction():
        client = session().get_one(Client, client_id)
        assert "very-secret" not in client.events_authorization
        registry.apply(client, {"events_endpoint_url": other_endpoint.url}, by="cli")
    record_event()
    push()
    assert "Authorization" not in other_endpoint.requests[0]["headers"]


def test_no_event_is_sent_to_a_url_that_is_not_public(change_settings, record_event, push, endpoint, stream):
    change_settings(fetch={"allow_loopback": False})
    record_event()
    push()
    assert endpoint.requests == []
    assert "not https" in stream().last_error


def test_a_header_that_cannot_be_unsealed_delays_no_other_client(
    transaction, record_event, push, endpoint, other_endpoint, make_stream, stream, client_id
):
    with transaction():
        session().get_one(Client, client_id).events_authorization = "sealed with a key that is gone"
    record_event()
    record_event(client=make_stream(other_endpoint.url))
    assert [push("prompt"), push("prompt"), push("prompt")] == [1, 1, 0]
    assert len(other_endpoint.accepted) == 1
    assert endpoint.requests == []
    assert "has to be set again" in stream().last_error
    assert stream().failures == 1


def test_an_event_that_cannot_be_signed_delays_its_own_subject_only(transaction, record_event, push, endpoint, row):
    broken, good = record_event("one"), record_event("two", "good")
    with transaction() as database:
        database.query(PartnerEvent).filter_by(id=broken).one().name = "a type that was removed"
    push()
    assert states(endpoint) == ["good"]
    assert row(broken).failed_at is None
    assert "cannot be signed" in row(broken).last_error
    assert row(good).delivered_at is not None


def test_a_slow_endpoint_is_in_the_slow_lane_until_it_is_prompt_again(
    record_event, push, endpoint, stream, monkeypatch
):
    monkeypatch.setattr(deliver, "SLOW_SECONDS", 0.0)
    record_event("one", "1")
    push("prompt")
    assert stream().is_slow
    record_event("one", "2")
    assert push("prompt") == 0
    monkeypatch.undo()
    assert push("slow") == 1
    record_event("one", "3")
    assert push("prompt") == 1
    assert states(endpoint) == ["1", "2", "3"]


def test_events_are_sent_by_the_rules_for_urls_of_partners(change_settings, record_event, push, monkeypatch):
    change_settings(fetch={"operator_private_hosts": ("gateway.internal",), "partner_private_hosts": ("own.internal",)})
    hosts = []

    def keep_open(_url, rules):
        hosts.append(rules.private_hosts)
        raise ZeroDivisionError

    monkeypatch.setattr(fetch, "keep_open", keep_open)
    record_event()
    with pytest.raises(ZeroDivisionError):
        push()
    assert hosts == [{"own.internal"}]


def test_a_round_sends_nothing_and_ends_its_lease_when_the_worker_stops(transaction, record_event, endpoint, stream):
    record_event()
    deliver.run_once(transaction, "prompt", stopping=lambda: True)
    assert endpoint.requests == []
    assert stream().leased_until is None
    with transaction():
        assert session().get_one(EventStream, stream().client_id).failures == 0


def _wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_events_are_sent_over_one_connection_which_is_opened_again_after_the_server_closed_it(
    record_event, push, endpoint
):
    for number in range(10):
        record_event(str(number))
    push()
    assert endpoint.connections == 1
    endpoint.closes = True
    for number in range(10):
        record_event(str(number))
    push()
    assert len(endpoint.accepted) == 20


def test_a_response_sent_byte_by_byte_is_cut_off_at_the_timeout(
    change_settings, make_stream, record_event, push, stream
):
    change_settings(fetch={"timeout": 0.5})

    def drip(connection):
        with connection, contextlib.suppress(OSError):
            while True:
                connection.sendall(b"H")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: drip(server.accept()[0]), daemon=True)
        thread.start()
        client_id = make_stream(f"http://127.0.0.1:{server.getsockname()[1]}/")
        began = time.monotonic()
        record_event(client=client_id)
        push()
        thread.join(20)
    assert time.monotonic() - began < 10
    assert "not delivered" in stream(client_id).last_error
