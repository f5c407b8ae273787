"""security.md S34: another site cannot send our forms, nor sign a person in as someone else."""

from datetime import timedelta

import pytest

from idp.estabs import links
from idp.estabs.models import Administrator, PersonalSecret
from idp.foundation import clock
from idp.sharing import authorise
from idp.signin import operators
from idp.signin.models import BrowserSession
from tests.factories import PASSWORD, a_client, an_administrator
from tests.signin.person import Person


@pytest.fixture
def jo(web, transaction):
    with transaction():
        person = an_administrator()
        return Person(web, id=person.id, username=person.username, estab_id=person.memberships[0].estab_id)


@pytest.fixture
def attacker(new_browser):
    return Person(new_browser())


def tokens(jo, attacker):
    """The tokens that an attacker can send: none, a random one, and one of their own session."""
    attacker.open("/sign-in")
    return ["", "rubbish", attacker.token]


def count(transaction, model):
    with transaction() as session:
        return session.query(model).count()


def test_another_site_cannot_sign_anyone_in(jo, attacker, transaction):
    for token in tokens(jo, attacker):
        response = jo.web.post(
            "/sign-in", data={"csrf_token": token, "username": jo.facts["username"], "password": PASSWORD}
        )
        assert response.status_code == 400

    assert count(transaction, BrowserSession) == 0


def test_another_site_cannot_sign_anyone_out(jo, attacker):
    jo.sign_in(jo.facts["username"])
    for token in tokens(jo, attacker):
        assert jo.web.post("/sign-out", data={"csrf_token": token}).status_code == 400
    jo.web.get("/sign-out")

    assert jo.open("/mobile/confirm").status_code == 200


def test_another_site_cannot_make_us_send_a_message(jo, attacker, outbox):
    jo.sign_in(jo.facts["username"])
    for token in tokens(jo, attacker):
        jo.web.post("/mobile/confirm", data={"csrf_token": token, "send-code": "yes"})

    assert outbox.all("mobile_code") == []


def test_another_site_cannot_use_up_a_link(jo, attacker, transaction):
    with transaction() as session:
        person = session.get_one(Administrator, jo.facts["id"])
        welcome = links.issue_welcome_url(person).removeprefix("http://localhost:5000")
        set_up = operators.add("Sam", "sam@idaas.example")[1].removeprefix("http://localhost:5000")
    for token in tokens(jo, attacker):
        for fields in ({"generate": "yes"}, {"password": "wobbly kettle sings at dusk"}):
            assert jo.web.post(welcome, data={"csrf_token": token} | fields).status_code == 400
        assert jo.web.post(set_up, data={"csrf_token": token, "finish": "yes"}).status_code == 400
    with transaction() as session:
        assert {secret.used_at for secret in session.query(PersonalSecret)} == {None}


def test_another_site_cannot_sign_an_operator_in(jo, attacker):
    for token in tokens(jo, attacker):
        fields = {"csrf_token": token, "email": "sam@idaas.example", "password": PASSWORD, "code": "123456"}
        assert jo.web.post("/operate/sign-in", data=fields).status_code == 400


def test_a_csrf_token_of_another_session_is_refused(jo, attacker, transaction):
    with transaction():
        other = an_administrator().username
    attacker.sign_in(other)
    attacker.open("/sign-out")
    jo.sign_in(jo.facts["username"])

    assert jo.web.post("/sign-out", data={"csrf_token": attacker.token}).status_code == 400


@pytest.mark.parametrize("path", ["/sign-out", "/mobile/confirm", "/signed-out", "/"])
def test_get_requests_change_nothing(jo, transaction, path):
    jo.sign_in(jo.facts["username"])
    jo.open(path)

    with transaction() as session:
        assert [row.ended_at for row in session.query(BrowserSession)] == [None]


@pytest.fixture
def stop_path(jo, transaction):
    """The path at which sharing with a service is stopped; Jo is signed in."""
    with transaction() as session:
        client = a_client()
        by, until = session.get_one(Administrator, jo.facts["id"]).memberships[0], clock.now() + timedelta(days=1)
        authorise.give(client, client.required_scopes, by=by, agreement_version="1", until=until)
        path = f"/manage/sharing/{client.id}/stop"
    jo.sign_in(jo.facts["username"])
    return path


def count_shared(jo, transaction):
    with transaction():
        return len(authorise.current(jo.facts["estab_id"]))


def test_sharing_is_not_stopped_by_another_site(jo, attacker, transaction, stop_path):
    for token in tokens(jo, attacker):
        assert jo.web.post(stop_path, data={"csrf_token": token}).status_code == 400
    jo.open(stop_path)
    assert count_shared(jo, transaction) == 1

    assert jo.submit(stop_path).status_code == 303
    assert count_shared(jo, transaction) == 0


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_sharing_is_not_stopped_by_a_method_that_needs_no_token(jo, transaction, stop_path, method):
    assert jo.web.open(stop_path, method=method).status_code == 200
    assert count_shared(jo, transaction) == 1
