"""Signing out at a client's request (RP-Initiated Logout 1.0; protocol.md §3.4)."""

import base64
import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from idp.estabs.models import Estab
from tests import factories
from tests.oidc.support import (
    follow_redirects,
    obtain_tokens,
    page,
    press,
    redirect_parameters,
    sign_in,
    sign_in_and_authorise,
)

POST_LOGOUT_URI = "https://assembly.example/signed-out"


@pytest.fixture
def id_token_hint(web, world):
    return obtain_tokens(web, world.partner, world.username)["id_token"]


def request_logout(web, **params):
    return web.get("/oauth/logout?" + urlencode(params))


def is_signed_in_at_partner(web, world):
    return "code" in redirect_parameters(web.get(world.partner.link(prompt="none")))


def has_session(web, world):
    return redirect_parameters(web.get(world.partner.link(prompt="none"))).get("error") != "login_required"


def test_a_hint_of_this_browser_signs_out_at_once_and_redirects_with_state_only(web, world, id_token_hint):
    state = "s" * 128
    response = request_logout(web, id_token_hint=id_token_hint, post_logout_redirect_uri=POST_LOGOUT_URI, state=state)
    assert response.status_code == 303
    assert response.location == f"{POST_LOGOUT_URI}?state={state}"
    assert redirect_parameters(web.get(world.partner.link(prompt="none")))["error"] == "login_required"


def test_a_hint_that_names_no_session_asks_first(web, world):
    partner = world.new_partner(post_logout_redirect_uris=[])
    tokens = obtain_tokens(web, partner, world.username)
    response = request_logout(web, id_token_hint=tokens["id_token"])
    assert page(response).find(id="confirm-logout")
    assert "code" in redirect_parameters(web.get(partner.link(prompt="none")))


def test_the_hints_own_client_may_name_itself_as_well(web, world, id_token_hint):
    response = request_logout(
        web, id_token_hint=id_token_hint, client_id=world.partner.id, post_logout_redirect_uri=POST_LOGOUT_URI
    )
    assert response.location == POST_LOGOUT_URI


def test_without_state_none_is_returned(web, id_token_hint):
    assert (
        request_logout(web, id_token_hint=id_token_hint, post_logout_redirect_uri=POST_LOGOUT_URI).location
        == POST_LOGOUT_URI
    )


def test_the_request_may_be_posted(web, id_token_hint):
    response = web.post(
        "/oauth/logout", data={"id_token_hint": id_token_hint, "post_logout_redirect_uri": POST_LOGOUT_URI}
    )
    assert response.status_code == 303
    assert web.get(response.location).location == POST_LOGOUT_URI


def assert_error_page(response, parameter):
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert page(response).find(id="error-code").text == "invalid_request"
    assert parameter in page(response).find(id="main").text


@pytest.mark.parametrize(
    "uri", [POST_LOGOUT_URI + "?a=b", "https://evil.example/", "javascript:alert(1)", POST_LOGOUT_URI + "/"]
)
def test_an_unregistered_uri_is_an_error_page_and_ends_no_session(web, world, id_token_hint, uri):
    response = request_logout(web, id_token_hint=id_token_hint, post_logout_redirect_uri=uri)
    assert_error_page(response, "post_logout_redirect_uri")
    reference = response.headers["X-Request-ID"]
    assert page(response).find(id="failed-requests")["href"] == f"/developers/failed-requests?reference={reference}"
    assert is_signed_in_at_partner(web, world)
    response = press(web, response, "confirm-logout")
    assert response.location == "/signed-out"


def forge_hint(id_token_hint, world, alg):
    claims = json.loads(base64.urlsafe_b64decode(id_token_hint.split(".")[1] + "=="))
    if alg == "none":
        head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
        return f"{head}.{id_token_hint.split('.')[1]}."
    return jwt.encode({"alg": "HS256"}, claims | {"iss": world.partner.id}, OctKey.import_key(world.partner.secret))


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_a_forged_hint_is_an_error_page(web, world, id_token_hint, alg):
    response = request_logout(
        web, id_token_hint=forge_hint(id_token_hint, world, alg), post_logout_redirect_uri=POST_LOGOUT_URI
    )
    assert_error_page(response, "id_token_hint")


def test_an_access_token_is_not_accepted_as_hint(web, world):
    tokens = obtain_tokens(web, world.partner, world.username)
    assert_error_page(request_logout(web, id_token_hint=tokens["access_token"]), "id_token_hint")


def test_a_client_id_that_differs_from_the_hint_is_an_error_page(web, world, id_token_hint):
    assert_error_page(request_logout(web, id_token_hint=id_token_hint, client_id=world.new_partner().id), "client_id")
    assert_error_page(request_logout(web, client_id="unknown"), "client_id")


def test_a_repeated_parameter_is_an_error_page(web, id_token_hint):
    response = web.get(f"/oauth/logout?id_token_hint={id_token_hint}&state=a&state=b")
    assert_error_page(response, "state")


@pytest.mark.parametrize("params", [{}, {"state": "x"}, {"post_logout_redirect_uri": POST_LOGOUT_URI}])
def test_without_a_hint_the_person_is_asked_and_stays_here(web, world, id_token_hint, params):
    response = request_logout(web, **params)
    assert response.status_code == 200
    assert is_signed_in_at_partner(web, world)
    response = follow_redirects(web, press(web, response, "confirm-logout"))
    assert page(response).find(id="signed-out")
    assert redirect_parameters(web.get(world.partner.link(prompt="none")))["error"] == "login_required"


def test_a_client_id_without_a_hint_gets_a_link_and_no_redirect(web, world, id_token_hint):
    response = request_logout(web, client_id=world.partner.id, post_logout_redirect_uri=POST_LOGOUT_URI, state="a&b")
    assert "Assembly asks us to sign you out" in response.text
    response = follow_redirects(web, press(web, response, "confirm-logout"))
    assert (response.status_code, response.request.path) == (200, "/oauth/logout")
    assert page(response).find(id="signed-out")
    assert page(response).find(id="back")["href"] == f"{POST_LOGOUT_URI}?state=a%26b"
    assert page(response).find(id="back").text.strip() == "Back to Assembly"
    assert not has_session(web, world)


def test_the_link_is_also_shown_to_a_person_who_was_not_signed_in(web, world):
    response = request_logout(web, client_id=world.partner.id, post_logout_redirect_uri=POST_LOGOUT_URI)
    assert response.status_code == 200
    assert page(response).find(id="back")["href"] == POST_LOGOUT_URI


def test_a_uri_of_another_client_is_not_linked(web, world):
    other = world.new_partner(post_logout_redirect_uris=["https://other.example/out"])
    assert_error_page(
        request_logout(web, client_id=world.partner.id, post_logout_redirect_uri="https://other.example/out"),
        "post_logout_redirect_uri",
    )
    assert page(request_logout(web, client_id=other.id, post_logout_redirect_uri="https://other.example/out")).find(
        id="back"
    )


def test_an_app_with_a_scheme_of_its_own_is_linked(web, world):
    app = world.new_partner(
        token_endpoint_auth_method="none", post_logout_redirect_uris=["com.example.app:/out"], client_name="Pocket"
    )
    response = request_logout(web, client_id=app.id, post_logout_redirect_uri="com.example.app:/out", state="x")
    assert page(response).find(id="back")["href"] == "com.example.app:/out?state=x"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_the_port_of_a_loopback_post_logout_uri_may_differ_from_the_registered_one(web, world, host):
    app = world.new_partner(
        token_endpoint_auth_method="none", post_logout_redirect_uris=[f"http://{host}/out"], client_name="Pocket"
    )
    id_token_hint = obtain_tokens(web, app, world.username)["id_token"]
    uri = f"http://{host}:49152/out"
    for wrong in (f"http://{host}:0/out", f"http://{host}:49152/in", "http://localhost:49152/out"):
        assert_error_page(
            request_logout(web, id_token_hint=id_token_hint, post_logout_redirect_uri=wrong), "post_logout_redirect_uri"
        )
    assert (
        request_logout(web, id_token_hint=id_token_hint, post_logout_redirect_uri=uri, state="x").location
        == f"{uri}?state=x"
    )


def test_a_hint_alone_ends_on_the_signed_out_page(web, id_token_hint):
    response = follow_redirects(web, request_logout(web, id_token_hint=id_token_hint))
    assert page(response).find(id="signed-out")


def test_the_person_can_stay_signed_in(web, world, id_token_hint):
    press(web, request_logout(web), "stay")
    assert is_signed_in_at_partner(web, world)


def test_a_hint_of_another_session_asks_first_and_then_redirects(web, new_browser, world, id_token_hint):
    browser = new_browser()
    sign_in_and_authorise(browser, world.partner, world.username)
    response = request_logout(browser, id_token_hint=id_token_hint, post_logout_redirect_uri=POST_LOGOUT_URI, state="x")
    assert "form-action" not in response.headers["Content-Security-Policy"]
    assert press(browser, response, "confirm-logout").location == f"{POST_LOGOUT_URI}?state=x"


@pytest.mark.parametrize("subject_type", ["public", "pairwise"])
def test_a_hint_from_before_the_person_signed_in_again_here_signs_out_at_once(web, new_browser, world, subject_type):
    """Another client asked for `prompt=login`, which gave the session of this browser a new `sid`."""
    partner = world.new_partner(subject_type=subject_type, sector_identifier="assembly.example")
    tokens = obtain_tokens(web, partner, world.username)
    hint = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": POST_LOGOUT_URI}
    other = world.new_partner()
    for _ in range(2):
        response = follow_redirects(web, web.get(other.link(prompt="login")))
        response = follow_redirects(web, sign_in(web, response, world.username))
    browser = new_browser()
    sign_in_and_authorise(browser, partner, world.username)
    assert page(request_logout(browser, **hint)).find(id="confirm-logout")
    assert request_logout(web, **hint).location == POST_LOGOUT_URI
    assert not has_session(web, world)


def test_a_hint_of_a_person_who_was_signed_in_before_asks_first(web, world, transaction, id_token_hint):
    with transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="second")
    sign_in(web, web.get("/sign-in?next=/mobile"), "second")
    assert page(request_logout(web, id_token_hint=id_token_hint)).find(id="confirm-logout")


def test_signing_out_requires_our_own_form(web, world, id_token_hint):
    assert web.post("/oauth/logout/confirm", data={"confirm": "yes"}).status_code == 400
    assert is_signed_in_at_partner(web, world)


def test_a_head_request_ends_no_session(web, world, id_token_hint):
    web.head("/oauth/logout?" + urlencode({"id_token_hint": id_token_hint}))
    assert is_signed_in_at_partner(web, world)


def test_an_expired_hint_is_accepted(web, world, clock):
    id_token_hint = obtain_tokens(web, world.partner, world.username)["id_token"]
    clock.move(timedelta(hours=1))
    assert (
        request_logout(web, id_token_hint=id_token_hint, post_logout_redirect_uri=POST_LOGOUT_URI).location
        == POST_LOGOUT_URI
    )


def test_a_confirmation_that_stays_here_keeps_the_form_policy_and_a_popups_opener(web, world, id_token_hint):
    confirmation = request_logout(web)
    assert "form-action 'self';" in confirmation.headers["Content-Security-Policy"]
    for response in (confirmation, press(web, confirmation, "stay")):
        assert response.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"


@pytest.mark.parametrize(
    "params", [{"post_logout_redirect_uri": "https://evil.example/", "state": "x"}, {"client_id": None, "state": "x"}],
    ids=["a URI without a client", "a client without a URI"],
)  # fmt: skip
def test_only_a_uri_with_its_client_is_linked(web, world, params):
    parameters = {name: value or world.partner.id for name, value in params.items()}
    response = follow_redirects(web, request_logout(web, **parameters))
    assert page(response).find(id="signed-out")
    assert page(response).find(id="back") is None
    assert "evil.example" not in response.text


def test_state_is_added_to_the_query_that_a_uri_has(web, world):
    partner = world.new_partner(post_logout_redirect_uris=[POST_LOGOUT_URI + "?from=idp"])
    shown = request_logout(web, client_id=partner.id, post_logout_redirect_uri=POST_LOGOUT_URI + "?from=idp", state="x")
    assert page(shown).find(id="back")["href"] == POST_LOGOUT_URI + "?from=idp&state=x"
