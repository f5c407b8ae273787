"""`idp events` and `idp clients event-header`, as an operator types them."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from idp.foundation.database import session
from idp.jobs import heartbeats
from idp.partner_events import doctor
from idp.partner_events.cli import commands
from idp.partners import event_types
from idp.partners.cli import clients
from idp.partners.models import Client
from tests.partner_events.receiving import names
from tests.partner_events.test_deliver import states


@pytest.fixture
def idp(app):
    """`idp("list", client_id)` runs `idp events list CLIENT_ID`; returns its result."""
    return lambda *arguments, group=commands, **options: CliRunner().invoke(
        group, arguments, obj=lambda: app, **options
    )


@pytest.fixture
def findings(transaction):
    """`findings()` is the level, the message and the advice of each finding of `idp doctor` about events."""

    def read():
        with transaction():
            return [(finding.level, finding.message, finding.do) for finding in doctor.events()]

    return read


def test_streams_and_events_are_listed_without_the_facts_of_events(idp, record_event, push, endpoint, client_id):
    assert idp("list", client_id).stdout == "There is no such event.\n"
    jti = record_event("one", "what it says")
    [stream] = json.loads(idp("streams", "--json").stdout)
    assert (stream["client_id"], stream["way"], stream["waiting"]) == (client_id, "pushed", 1)
    assert stream["address"] == endpoint.url
    endpoint.respond = lambda _claims: (400, {"err": "invalid_request"})
    push()
    shown = idp("list", client_id, "--only", "refused").stdout
    assert jti in shown
    assert "invalid_request" in shown
    assert "what it says" not in shown


def test_replay_delivers_named_events_or_all_since_a_moment(idp, record_event, push, endpoint, client_id):
    first, _ = record_event("one", "1"), record_event("one", "2")
    push()
    assert idp("replay", client_id, first).exit_code == 0
    push()
    assert states(endpoint) == ["1", "2", "1"]
    assert "2 will be delivered" in idp("replay", client_id, "--since", "2020-01-01").stdout
    push()
    assert states(endpoint) == ["1", "2", "1", "1", "2"]


@pytest.mark.parametrize("arguments", [[], ["evt_unknown"], ["evt_x", "--since", "2026-01-01"]])
def test_a_replay_without_an_event_to_send_is_refused(idp, record_event, client_id, arguments):
    record_event()
    result = idp("replay", client_id, *arguments)
    assert result.exit_code != 0
    assert "event" in result.stderr.lower()


def test_verify_sends_a_verification_event(idp, push, endpoint, client_id):
    assert "is on its way" in idp("verify", client_id, "--state", "hello").stdout
    push()
    assert names(endpoint.accepted) == ["verification"]
    assert states(endpoint) == ["hello"]


def test_the_header_is_set_from_a_file_or_the_keyboard_and_removed_and_never_shown(
    idp, record_event, push, endpoint, client_id, scratch
):
    file = scratch / "header"
    file.write_text("Bearer from-a-file\n")
    assert idp("event-header", client_id, "--file", str(file), group=clients).exit_code == 0
    record_event()
    push()
    typed = idp("event-header", client_id, group=clients, input="Bearer typed\n")
    assert "typed" not in typed.stdout
    record_event()
    push()
    shown = idp("show", client_id, group=clients).stdout
    assert "is set, and not shown" in shown
    assert "Bearer" not in shown
    idp("event-header", client_id, "--remove", group=clients)
    record_event()
    push()
    headers = [request["headers"].get("Authorization") for request in endpoint.requests]
    assert headers == ["Bearer from-a-file", "Bearer typed", None]


@pytest.mark.parametrize("header", [" Bearer x", "Bearer \x07", "Bearer \N{SNOWMAN}", "x" * 2049])
def test_a_header_that_cannot_be_sent_is_refused(idp, client_id, header, scratch):
    (scratch / "header").write_text(header)
    result = idp("event-header", client_id, "--file", str(scratch / "header"), group=clients)
    assert result.exit_code == 1
    assert "visible ASCII" in result.stderr


def test_doctor_distinguishes_an_unavailable_endpoint_from_a_stopped_worker(
    transaction, findings, record_event, push, endpoint, clock
):
    assert findings() == [("ok", "reach the partners", "")]
    record_event()
    clock.move(timedelta(minutes=6))
    [(level, message, do)] = findings()
    assert level == "warning"
    assert "are not being sent" in message
    assert "idp worker" in do
    with transaction():
        heartbeats.beat("someone")
    assert "worker's log" in findings()[0][2]
    endpoint.respond = lambda _claims: 503
    push()
    [(_, message, do)] = findings()
    assert "503" in message
    assert "partner's server" in do
    clock.move(timedelta(minutes=20))
    assert "are not being sent" in findings()[0][1]


def test_doctor_warns_of_refused_events_and_of_clients_that_do_not_poll(
    transaction, findings, record_event, push, endpoint, clock, client_id
):
    endpoint.respond = lambda _claims: (400, {"err": "invalid_audience"})
    record_event()
    push()
    assert "have refused 1 events" in findings()[0][1]
    clock.move(timedelta(days=2))
    with transaction():
        session().get_one(Client, client_id).events_method = event_types.POLL
    record_event()
    assert findings() == [("ok", "reach the partners", "")]
    clock.move(timedelta(days=2))
    assert "has not fetched them" in findings()[0][1]
    with transaction():
        session().get_one(Client, client_id).enabled = False
    assert findings() == [("ok", "reach the partners", "")]
