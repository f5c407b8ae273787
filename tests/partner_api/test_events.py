"""A client that cannot receive events polls for them (RFC 8936), and can request one for verification."""

import json

import pytest

from idp.foundation.database import session
from idp.keys import ring
from idp.partner_events import poll, streams
from idp.partner_events.models import PartnerEvent
from idp.partners import event_types
from idp.partners.models import Client
from tests.html import parse
from tests.partner_events.receiving import names, verify_event


@pytest.fixture
def poll_events(program):
    """`poll_events(ack=[…])` is the response to a poll, whose tokens are verified."""
    program.request_token("events")

    def post(client=program, *, status=200, **document):
        headers = {"Authorization": f"Bearer {client.token}"}
        response = client.web.post("/api/events/poll", json=document, headers=headers)
        assert response.status_code == status, response.text
        return response.json

    return post


@pytest.fixture
def new_program(new_program):
    """`new_program()` is the program of a new client that polls for events."""

    def make(**overrides):
        return new_program(**({"events_method": event_types.POLL} | overrides))

    return make


@pytest.fixture
def claims_of(transaction):
    """`claims_of(response)` is the claims of each event in the response, after verifying the signatures."""

    def read(response):
        with transaction():
            keys = json.loads(ring.jwks()[0])
        claims = [verify_event(token, keys)[1] for token in response["sets"].values()]
        assert [claim["jti"] for claim in claims] == list(response["sets"])
        return claims

    return read


@pytest.mark.usefixtures("also_on_postgresql")
class TestNulCharacter:
    """PostgreSQL cannot store the character U+0000. Such a request was an error of ours (500), not of the caller's."""

    @pytest.mark.parametrize("document", [{"ack": ["evt_a", "b\0"]}, {"setErrs": {"\0": {"err": "x"}}}])
    def test_a_document_with_it_in_a_member_that_is_read_is_refused(self, poll_events, document):
        assert poll_events(**document, status=400)["detail"] == "body: has the character U+0000, which we cannot store"

    def test_members_that_are_not_read_may_have_it_and_so_may_its_escape(self, poll_events):
        assert poll_events(ack=["\\u0000"], other=["\0"])["sets"] == {}


def test_events_are_handed_out_until_they_are_acknowledged(program, poll_events, add_authorised_school, claims_of):
    assert poll_events() == {"sets": {}, "moreAvailable": False}
    add_authorised_school(program, "Oakhill")
    add_authorised_school(program, "Elm Grove")
    first = poll_events(maxEvents=1)
    assert first["moreAvailable"]
    assert names(claims_of(first)) == ["sharing-authorised"]
    assert poll_events(maxEvents=1)["sets"].keys() == first["sets"].keys()
    second = poll_events(ack=list(first["sets"]), returnImmediately=True)
    assert len(second["sets"]) == 1
    assert not second["moreAvailable"]
    assert second["sets"].keys() != first["sets"].keys()
    assert poll_events(ack=list(second["sets"]), maxEvents=0) == {"sets": {}, "moreAvailable": False}


def test_an_event_that_was_refused_is_not_returned_again(program, poll_events, add_authorised_school, transaction):
    add_authorised_school(program, "Oakhill")
    [jti] = poll_events()["sets"]
    assert poll_events(setErrs={jti: {"err": "invalid_request", "description": "what\nis this"}})["sets"] == {}
    with transaction():
        event = _event(jti)
        assert event.failed_at is not None
        assert event.last_error == "refused: invalid_request: what is this"


def _event(jti):
    return session().query(PartnerEvent).filter_by(id=jti).one()


def test_one_client_cannot_read_or_acknowledge_the_events_of_another(
    program, poll_events, new_program, add_authorised_school
):
    add_authorised_school(program, "Oakhill")
    [jti] = poll_events()["sets"]
    other = new_program().request_token("events")
    assert poll_events(other, ack=[jti])["sets"] == {}
    assert poll_events(other, setErrs={jti: {"err": "invalid_request"}})["sets"] == {}
    assert list(poll_events()["sets"]) == [jti]


def test_a_poll_returns_at_most_a_hundred_events(program, poll_events, transaction):
    with transaction():
        for number in range(poll.MAX_EVENTS + 1):
            streams.verify(program.partner.id, str(number))
    response = poll_events(maxEvents=100000)
    assert len(response["sets"]) == poll.MAX_EVENTS
    assert response["moreAvailable"]


@pytest.mark.parametrize(
    "document",
    [{"maxEvents": -1}, {"ack": "one"}, {"setErrs": {"x": {}}}, {"ack": ["x"] * 1001}, {"returnImmediately": "no"}],
)
def test_an_invalid_poll_is_refused_with_the_name_of_the_member(poll_events, document):
    problem = poll_events(status=400, **document)
    assert problem["code"] == "invalid_request"
    assert next(iter(document)) in problem["detail"]


def test_a_poll_without_the_scope_events_is_refused(program, poll_events):
    program.request_token("schools.list")
    assert poll_events(status=403)["code"] == "insufficient_scope"


@pytest.mark.parametrize("method", [None, event_types.PUSH])
def test_a_client_that_is_not_registered_to_poll_is_refused_with_the_reason(new_program, poll_events, method):
    problem = poll_events(new_program(events_method=method).request_token("events"), status=409)
    assert problem["code"] == "no_event_stream"
    assert ("pushed" in problem["detail"]) is (method is not None)


def test_a_requested_verification_event_has_the_state_of_the_request(program, poll_events, claims_of):
    headers = {"Authorization": f"Bearer {program.token}"}
    response = program.web.post("/api/events/verification", json={"state": "it is me"}, headers=headers)
    assert response.status_code == 202
    [claims] = claims_of(poll_events())
    assert claims["jti"] == response.json["jti"]
    assert claims["sub_id"] == {"format": "opaque", "id": program.partner.id}
    assert claims["events"] == {
        "https://schemas.openid.net/secevent/ssf/event-type/verification": {"state": "it is me"}
    }


def test_a_client_without_events_cannot_request_a_verification_event(new_program):
    program = new_program(events_method=None).request_token("events")
    headers = {"Authorization": f"Bearer {program.token}"}
    response = program.web.post("/api/events/verification", json={}, headers=headers)
    assert (response.status_code, response.json["code"]) == (409, "no_event_stream")


def test_verification_events_can_be_requested_ten_times_a_minute(program, poll_events, change_settings):
    change_settings(throttle={"factor": 1})
    headers = {"Authorization": f"Bearer {program.token}"}
    statuses = [program.web.post("/api/events/verification", json={}, headers=headers).status_code for _ in range(11)]
    assert statuses == [202] * 10 + [429]


def test_events_that_waited_to_be_pushed_are_returned_by_a_poll_after_the_method_changed(
    program, poll_events, add_authorised_school, transaction
):
    with transaction():
        session().get_one(Client, program.partner.id).events_method = event_types.PUSH
    add_authorised_school(program, "Oakhill")
    with transaction():
        session().get_one(Client, program.partner.id).events_method = event_types.POLL
    assert len(poll_events()["sets"]) == 1


def test_the_uri_of_each_event_leads_to_its_explanation(web, transaction):
    with transaction():
        uris = {name: event_type.uri for name, event_type in event_types.TYPES.items()}
    all_events = parse(web.get("/events").text)
    assert "http://localhost:5000/api/events/poll" in all_events.text
    for name, uri in uris.items():
        assert all_events.find(id=name) is not None
        path = (
            uri.removeprefix("http://localhost:5000") if uri.startswith("http://localhost:5000") else f"/events/{name}"
        )
        page = parse(web.get(path).text)
        assert page.find("h1").text == f"The event {name}"
        example = json.loads(page.find("pre").text)
        assert list(example["events"]) == [uri]
        facts = {code.text for code in page.select("th code")}
        assert set(example["events"][uri]) <= facts
    assert web.get("/events/nonsense").status_code == 404
