"""Pushed authorization requests (RFC 9126)."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from idp.oidc.models import AuthorizationRequest
from tests.oidc.support import follow_redirects, page, press, redirect_parameters, sign_in


def push(web, partner, **overrides):
    return partner.post(web, "/oauth/par", partner.parameters(**overrides))


def link(partner, urn):
    return "/oauth/authorize?" + urlencode({"client_id": partner.id, "request_uri": urn})


@pytest.fixture
def urn(web, world, clock):
    return push(web, world.partner).json["request_uri"]


def finish(web, world, response):
    response = follow_redirects(web, sign_in(web, response, world.username))
    return redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))


def test_a_pushed_request_gets_a_code(web, world, urn):
    params = finish(web, world, follow_redirects(web, web.get(link(world.partner, urn))))
    assert params["state"] == "a-state"
    assert world.partner.redeem(web, params["code"]).status_code == 200


def test_the_response_is_201_and_has_the_lifetime(web, world):
    response = push(web, world.partner)
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    assert set(response.json) == {"request_uri", "expires_in"}
    assert response.json["expires_in"] == 90


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "https://evil.example"}, "invalid_request"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "openid staff"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"dpop_jkt": "short"}, "invalid_request"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"client_id": "someone-else"}, "invalid_client"),
    ],
)
def test_a_pushed_request_is_checked_as_at_authorize(web, world, overrides, error):
    response = push(web, world.partner, **overrides)
    assert response.status_code == (401 if error == "invalid_client" else 400)
    assert response.json["error"] == error
    assert "Location" not in response.headers


def test_credentials_are_not_stored(web, world):
    partner = world.new_partner(token_endpoint_auth_method="client_secret_post")
    form = {**partner.parameters(), "client_secret": partner.secret}
    assert web.post("/oauth/par", data=form).status_code == 201
    with world.transaction() as session:
        assert partner.secret not in str(session.query(AuthorizationRequest.params).all())


def test_other_parameters_next_to_a_request_uri_are_ignored(web, world, urn):
    response = follow_redirects(
        web, web.get(link(world.partner, urn) + "&state=other&scope=nonsense&redirect_uri=https://evil")
    )
    assert finish(web, world, response)["state"] == "a-state"


def test_a_pushed_request_can_be_opened_again(web, world, urn):
    assert page(follow_redirects(web, web.get(link(world.partner, urn)))).find(id="sign-in")
    assert "code" in finish(web, world, follow_redirects(web, web.get(link(world.partner, urn))))


def test_a_pushed_request_is_used_once(web, world, urn):
    finish(web, world, follow_redirects(web, web.get(link(world.partner, urn))))
    response = web.get(link(world.partner, urn))
    assert response.status_code == 400
    assert "answered already" in response.text


def test_a_pushed_request_expires_after_90_seconds_and_once_opened_after_two_hours(web, new_browser, world, urn, clock):
    clock.move(timedelta(seconds=89))
    response = follow_redirects(web, web.get(link(world.partner, urn)))
    clock.move(timedelta(minutes=100))
    assert "code" in finish(web, world, response)

    opened_urn = push(web, world.partner).json["request_uri"]
    other = new_browser()
    follow_redirects(other, other.get(link(world.partner, opened_urn)))
    clock.move(timedelta(hours=2, seconds=1))
    response = other.get(link(world.partner, opened_urn))
    assert response.status_code == 400
    assert "left open for too long" in response.text

    late = push(web, world.partner).json["request_uri"]
    clock.move(timedelta(seconds=90))
    response = web.get(link(world.partner, late))
    assert response.status_code == 400
    assert page(response).find(id="error-code")


def test_a_pushed_request_is_valid_for_its_own_client_only(web, world, urn):
    assert web.get(link(world.new_partner(), urn)).status_code == 400


def test_a_pushed_request_is_bound_to_the_browser_that_opened_it(web, new_browser, world, urn):
    follow_redirects(web, web.get(link(world.partner, urn)))
    assert new_browser().get(link(world.partner, urn)).status_code == 400


def test_a_sign_in_before_the_pushed_request_was_opened_does_not_satisfy_prompt_login(web, world, clock):
    urn = push(web, world.partner, prompt="login").json["request_uri"]
    clock.move(timedelta(seconds=10))
    sign_in(web, web.get("/sign-in"), world.username)
    clock.move(timedelta(seconds=10))
    assert page(follow_redirects(web, web.get(link(world.partner, urn)))).find(id="sign-in")


def test_a_stored_request_of_a_fapi2_client_does_not_count_as_pushed(web, world):
    partner = world.new_partner(profile="fapi2")
    location = web.post("/oauth/authorize", data=partner.parameters()).location
    assert "error=invalid_request" in location


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_405(web, method):
    assert web.open("/oauth/par", method=method).status_code == 405
