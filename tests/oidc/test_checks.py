"""The error table of the authorization endpoint, in its order (protocol.md §5)."""

import json

import pytest

from tests.oidc.support import CALLBACK, ISSUER, page, redirect_parameters, sign_in_and_authorise


@pytest.mark.parametrize(
    ("overrides", "parameter"),
    [
        ({"client_id": None}, "client_id"),
        ({"client_id": "unknown"}, "client_id"),
        ({"client_id": "x" * 256}, "client_id"),
        ({"client_id": "a\x00b"}, "client_id"),
        ({"redirect_uri": None}, "redirect_uri"),
        ({"redirect_uri": "https://assembly.example/other"}, "redirect_uri"),
        ({"redirect_uri": "https://assembly.example/callback?x=1"}, "redirect_uri"),
        ({"redirect_uri": "https://assembly.example/" + "x" * 2048}, "redirect_uri"),
        ({"redirect_uri": 'https://assembly.example/"><script>'}, "redirect_uri"),
        ({"redirect_uri": "https://münchen.example/"}, "redirect_uri"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:unknown"}, "request_uri"),
    ],
)
def test_an_invalid_client_or_redirect_uri_shows_a_page_that_names_the_parameter(web, world, overrides, parameter):
    response = web.get(world.partner.link(**overrides))
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert page(response).find(id="error-code")
    assert parameter in response.text
    assert "<script>" not in response.text


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "request_uri"])
def test_a_repeated_client_id_redirect_uri_or_request_uri_shows_a_page(web, world, name):
    response = web.get(world.partner.link() + f"&{name}=x&{name}=y")
    assert response.status_code == 400
    assert "sent more than once" in response.text


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"state": "x" * 4097}, "invalid_request"),
        ({"nonce": "x" * 513}, "invalid_request"),
        ({"nonce": "a\tb"}, "invalid_request"),
        ({"display": "a\tb"}, "invalid_request"),
        ({"request_uri": "https://assembly.example/request.jwt"}, "request_uri_not_supported"),
        ({"request_uri": "https://assembly.example/request.jwt", "request": "x.y.z"}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": 'id_"ü"token'}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "fragment.jwt"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "openid nonsense"}, "invalid_scope"),
        ({"scope": "openid staff"}, "invalid_scope"),
        ({"scope": "openid schools.list"}, "invalid_scope"),
        ({"scope": 'openid "x"'}, "invalid_scope"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"authorization_details": '[{"type": "school"}]'}, "invalid_authorization_details"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"code_challenge": "x" * 42 + "ü"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "sometimes"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "²"}, "invalid_request"),
        ({"max_age": "1" * 11}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"claims": "[]"}, "invalid_request"),
        ({"claims": '{"userinfo": []}'}, "invalid_request"),
        ({"claims": '{"userinfo": {"name": 1}}'}, "invalid_request"),
        ({"claims": '{"id_token": {"sub": {"value": 1}}}'}, "invalid_request"),
        ({"claims": '{"id_token": {"acr": {"essential": true, "values": "phr"}}}'}, "invalid_request"),
        ({"claims": '{"id_token": {"acr": {"essential": true, "value": 1}}}'}, "invalid_request"),
        ({"claims": "[" * 4000}, "invalid_request"),
        ({"claims": '{"userinfo": {"name": {"value": NaN}}}'}, "invalid_request"),
        ({"id_token_hint": "x.y.z"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_an_error_is_reported_at_the_redirect_uri(web, world, overrides, error):
    response = web.get(world.partner.link(**overrides))
    assert response.location.startswith(CALLBACK + "?")
    params = redirect_parameters(response)
    assert params["error"] == error
    assert params["iss"] == ISSUER
    assert params.get("state") == (None if "state" in overrides else "a-state")
    assert set(params) <= {"error", "error_description", "state", "iss"}
    assert params["error_description"].isascii()
    assert params["error_description"].isprintable()
    assert error != "invalid_request" or params["error_description"].partition(":")[0] in overrides, (
        "names the parameter"
    )


@pytest.mark.parametrize("name", ["state", "scope", "nonce", "prompt", "code_challenge", "response_mode"])
def test_any_other_repeated_parameter_is_reported_at_the_redirect_uri(web, world, name):
    response = web.get(world.partner.link() + f"&{name}=x&{name}=y")
    assert redirect_parameters(response)["error"] == "invalid_request"


@pytest.mark.parametrize("name", ["login_hint", "scope", "state", "display"])
def test_invalid_utf_8_is_reported_at_the_redirect_uri(web, world, name):
    response = web.get(world.partner.link(**{name: None}) + f"&{name}=a%ffb")
    assert redirect_parameters(response)["error"] == "invalid_request"
    state = web.get(world.partner.link(state=None) + "&state=a%ffb")
    assert "state" not in redirect_parameters(state)


def test_an_empty_parameter_counts_as_absent(web, world):
    assert (
        redirect_parameters(web.get(world.partner.link(prompt="none") + "&nonce=&display="))["error"]
        == "login_required"
    )


@pytest.mark.parametrize(
    "overrides",
    [
        {"display": "page"}, {"display": "popup"}, {"ui_locales": "cy en"}, {"claims_locales": "se"},
        {"acr_values": "urn:idaas:acr:single urn:idaas:acr:multi phr"}, {"extra": "foobar"},
        {"login_hint": "someone@example"}, {"nonce": None}, {"state": None}, {"resource": ISSUER},
        {"scope": "students openid offline_access school"}, {"state": "x" * 4096}, {"nonce": "y" * 512},
        {"max_age": "9" * 10},
    ],
)  # fmt: skip
def test_valid_requests_are_accepted(web, world, overrides):
    params = sign_in_and_authorise(web, world.partner, world.username, **overrides)
    assert "code" in params
    assert params.get("state") == overrides.get("state", "a-state")


def test_a_client_that_pkce_was_switched_off_for_may_leave_it_out(web, world):
    partner = world.new_partner(require_pkce=False)
    params = sign_in_and_authorise(web, partner, world.username, code_challenge=None, code_challenge_method=None)
    assert partner.redeem(web, params["code"], code_verifier=None).status_code == 200


def test_a_code_challenge_method_without_a_challenge_is_refused_even_where_pkce_is_optional(web, world):
    """The challenge was lost on the way: without it, any client that has the code could redeem it."""
    partner = world.new_partner(require_pkce=False)
    refused = redirect_parameters(web.get(partner.link(code_challenge=None)))
    assert (refused["error"], refused["error_description"].partition(":")[0]) == ("invalid_request", "code_challenge")


def test_a_client_without_the_grant_is_unauthorized(web, world):
    partner = world.new_partner(grant_types=frozenset({"client_credentials"}))
    assert redirect_parameters(web.get(partner.link()))["error"] == "unauthorized_client"


def test_a_fapi2_client_must_push_its_request(web, world):
    partner = world.new_partner(profile="fapi2")
    assert redirect_parameters(web.get(partner.link()))["error"] == "invalid_request"


def test_the_page_about_a_redirect_uri_says_which_part_differs_and_not_what_is_registered(web, world):
    wrong = {
        "https://assembly.example/other": "path", "http://assembly.example/callback": "scheme",
        "https://evil.example/callback": "host", "https://assembly.example:8443/callback": "port",
        "https://assembly.example/callback?a=b": "query", "https://assembly.example/callback#a": "fragment",
        "https://ok@assembly.example/callback": "host", "https://[": "form",
    }  # fmt: skip
    for uri, part in wrong.items():
        response = web.get(world.partner.link(redirect_uri=uri))
        assert f"its {part} is not that" in response.text, uri
        assert CALLBACK not in response.text


def test_the_claims_parameter_may_name_known_and_unknown_claims(web, world):
    requested_claims = {
        "userinfo": {"name": {"essential": True}, "unknown": None},
        "id_token": {"email": None, "auth_time": None},
    }
    assert "code" in sign_in_and_authorise(web, world.partner, world.username, claims=json.dumps(requested_claims))


def test_an_id_token_hint_that_is_no_id_token_of_the_client_is_refused_with_the_reason(web, world):
    params = sign_in_and_authorise(web, world.partner, world.username)
    tokens = world.partner.redeem(web, params["code"]).json
    for partner, hint, reason in (
        (world.partner, tokens["access_token"], "is not an ID Token of ours"),
        (world.new_partner(), tokens["id_token"], "was issued to another client"),
    ):
        refused = redirect_parameters(web.get(partner.link(id_token_hint=hint)))
        assert (refused["error"], refused["error_description"]) == ("invalid_request", f"id_token_hint: {reason}")
