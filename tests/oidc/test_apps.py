"""Apps on the person's own device: another program there can pretend to be one, so each sign-in needs a person.

RFC 6749 §10.2 and RFC 8252 §8.6: a request of a client that cannot prove who it is SHOULD NOT be processed without
interaction, also where an earlier one was approved. A claimed https redirect URI counts as a proof.
"""

from datetime import timedelta

import pytest

from tests.oidc.support import (
    authorisation_page,
    follow_redirects,
    page,
    press,
    query_of,
    redirect_parameters,
    sign_in_and_authorise,
)

APP, LOOPBACK = "uk.example.timetabler:/signed-in", "http://127.0.0.1/signed-in"


@pytest.fixture(params=[APP, LOOPBACK])
def app_client(request, web, world, clock):
    """An app for which the person signed in, and the school authorised sharing, a minute ago."""
    client = world.new_partner(token_endpoint_auth_method="none", redirect_uris=[request.param])
    assert "code" in sign_in_and_authorise(web, client, world.username)
    clock.move(timedelta(minutes=1))
    return client


def test_an_app_asks_the_person_each_time(web, world, app_client):
    shown = follow_redirects(web, web.get(app_client.link()))
    assert "Did you open" in page(shown).text
    response = follow_redirects(web, press(web, shown, "allow"))
    assert app_client.redeem(web, redirect_parameters(response)["code"]).status_code == 200
    assert page(follow_redirects(web, web.get(app_client.link()))).find(id="allow")


def test_the_person_can_decline(web, world, app_client):
    shown = follow_redirects(web, web.get(app_client.link()))
    assert redirect_parameters(follow_redirects(web, press(web, shown, "deny")))["error"] == "access_denied"


def test_prompt_none_cannot_be_met(web, world, app_client):
    response = redirect_parameters(web.get(app_client.link(prompt="none")))
    assert response["error"] == "interaction_required"


def test_signing_in_for_the_request_is_enough(web, world, app_client):
    response = authorisation_page(web, app_client, world.username, prompt="login")
    assert "code" in redirect_parameters(response)


def test_a_confirmation_is_for_one_request_and_session(web, new_browser, world, app_client):
    shown = follow_redirects(web, web.get(app_client.link()))
    confirmed = press(web, shown, "allow").location
    assert "code" in redirect_parameters(web.get(confirmed))
    another = follow_redirects(web, web.get(app_client.link()))
    pending = another.request.full_path.replace("/oauth/app", "/oauth/authorize")
    for value in ("1", "", query_of(confirmed)["confirmed"]):
        assert web.get(f"{pending}&confirmed={value}").location.startswith("/oauth/app?")


def test_a_client_that_can_prove_itself_is_not_asked(web, world, clock):
    claimed = {"token_endpoint_auth_method": "none", "redirect_uris": ["https://timetabler.example/signed-in"]}
    for overrides in (claimed, {"redirect_uris": [LOOPBACK]}):
        client = world.new_partner(**overrides)
        sign_in_and_authorise(web, client, world.username)
        clock.move(timedelta(minutes=1))
        assert "code" in redirect_parameters(web.get(client.link())), overrides
        assert "code" in redirect_parameters(web.get(client.link(prompt="none"))), overrides
