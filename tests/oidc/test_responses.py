"""Authorization responses: query and form_post, with state and iss, errors too."""

import pytest

from tests.oidc.support import (
    CALLBACK,
    ISSUER,
    follow_redirects,
    page,
    press,
    redirect_parameters,
    sign_in,
    sign_in_and_authorise,
)


def posted_parameters(response):
    """The parameters in the form of a `form_post` response."""
    form = page(response).find("form", id="response")
    assert form["method"] == "post"
    assert form["action"] == CALLBACK
    return {field["name"]: field["value"] for field in form.find_all("input")}


@pytest.fixture
def signed_in(web, world):
    sign_in_and_authorise(web, world.partner, world.username)
    return web


def test_form_post_returns_a_form_that_submits_itself(signed_in, world):
    state = 'a b&c="><script>alert(1)</script>ü'
    response = signed_in.get(world.partner.link(response_mode="form_post", state=state))
    assert response.status_code == 200
    params = posted_parameters(response)
    assert set(params) == {"code", "state", "iss"}
    assert params["state"] == state
    assert params["iss"] == ISSUER
    assert "<script>alert" not in response.text
    script = page(response).find_all("script")[-1]
    assert script["nonce"] in response.headers["Content-Security-Policy"]
    assert "form-action" not in response.headers["Content-Security-Policy"]
    assert page(response).find("button", id="continue")
    assert "onload" not in response.text
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("overrides", "error"), [({"response_type": None}, "invalid_request"), ({"prompt": "none"}, "login_required")]
)
def test_errors_are_posted_by_form_post(web, world, overrides, error):
    params = posted_parameters(web.get(world.partner.link(response_mode="form_post", **overrides)))
    assert params["error"] == error
    assert params["iss"] == ISSUER


def test_refusing_under_form_post_is_posted(web, world):
    response = follow_redirects(web, web.get(world.partner.link(response_mode="form_post")))
    response = follow_redirects(web, sign_in(web, response, world.username))
    assert posted_parameters(follow_redirects(web, press(web, response, "deny")))["error"] == "access_denied"


def test_an_unknown_mode_gets_its_response_in_the_query(web, world):
    assert redirect_parameters(web.get(world.partner.link(response_mode="fragment")))["error"] == "invalid_request"


def test_the_query_of_the_redirect_uri_is_kept_unchanged(web, world):
    uri = "https://assembly.example/callback?dummy1=lorem&dummy2=a%20b"
    partner = world.new_partner(redirect_uris=[uri])
    response = web.get(partner.link(prompt="none"))
    assert response.location.startswith(uri + "&error=login_required")


def test_an_app_with_a_uri_scheme_of_its_own_gets_its_response_in_the_query(web, world):
    partner = world.new_partner(redirect_uris=["com.example.app:/cb"], token_endpoint_auth_method="none")
    response = web.get(partner.link(prompt="none"))
    assert response.location.startswith("com.example.app:/cb?error=login_required")
    assert redirect_parameters(web.get(partner.link(response_mode="form_post")))["error"] == "invalid_request"


def test_responses_are_303_and_not_cached(web, world):
    response = web.get(world.partner.link(prompt="none"))
    assert response.status_code == 303
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in response.headers
