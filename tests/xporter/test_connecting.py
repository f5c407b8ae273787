"""The page on which an administrator connects a school's server by the code that it shows."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from idp.estabs.models import Administrator
from tests.factories import an_administrator
from tests.oidc.devices import Device, decide, enter
from tests.oidc.support import page
from tests.xporter.agents import Agent

SCOPE = "endpoint offline_access"


@pytest.fixture
def owner(transaction, clock):
    """The id and the username of a school's owner."""
    with transaction():
        person = an_administrator(name="Jo Bloggs")
        return SimpleNamespace(id=person.id, username=person.username)


@pytest.fixture
def new_server(new_browser, clients):
    """A server that has requested a code."""

    def make() -> Device:
        browser = new_browser()
        server = Device(browser, Agent(clients.agent, secret="none", web=browser), scope=SCOPE)
        server.request_codes()
        return server

    return make


def text_of(response):
    return " ".join(page(response).find("main").get_text(" ").split())


def test_the_page_explains_what_the_server_does_and_how_to_disconnect_it(web, new_server, owner, clock):
    server = new_server()
    clock.move(timedelta(minutes=2))
    confirmation = enter(web, server.codes["user_code"], owner.username)
    text = text_of(confirmation)
    for part in (
        "reads your school's management information system", "only what your school has authorised for that service",
        "Connecting the server authorises no service.", f"Does the server show {server.codes['user_code']}?",
        "It asked 2 minutes ago from 127.0.0.1.", "data sharing agreement", "privacy notice",
    ):  # fmt: skip
        assert part in text, part
    for part in ("who you are", "not signed in", "OAuth", "scope", "It sends nothing yet"):
        assert part not in text, part
    assert page(confirmation).find("main").find("a", href="/manage/endpoint")
    assert "You can go back to the device or program" in decide(web, confirmation).text
    assert server.poll().json["token_type"] == "DPoP"


def test_the_page_for_a_second_server_of_the_school_has_the_same_explanation(web, new_server, owner):
    decide(web, enter(web, new_server().codes["user_code"], owner.username))
    second = new_server()
    confirmation = enter(web, second.codes["user_code"])
    assert "Connecting the server authorises no service." in text_of(confirmation)
    assert "Nothing was connected" in decide(web, confirmation, "deny").text
    assert second.poll().json["error"] == "access_denied"


def test_an_unverified_school_is_told_that_nothing_is_sent_yet(web, new_server, owner, transaction):
    with transaction() as session:
        session.get_one(Administrator, owner.id).memberships[0].estab.state = "unverified"
    assert "It sends nothing yet." in text_of(enter(web, new_server().codes["user_code"], owner.username))
