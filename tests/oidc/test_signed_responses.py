"""Signed authorization responses (JARM): every response is one JWT, errors too."""

import pytest

from idp.foundation import clock
from tests import factories
from tests.oidc.signing import Signer, jwks, key
from tests.oidc.support import (
    CALLBACK,
    ISSUER,
    follow_redirects,
    jwt_header,
    page,
    press,
    redirect_parameters,
    sign_in,
    sign_in_and_authorise,
)

SIGNED = ["jwt", "query.jwt", "form_post.jwt"]


def response_claims(world, response, partner, mode):
    """The claims of a signed response, after checking its mode, issuer and audience."""
    if mode == "form_post.jwt":
        form = page(response).find("form", id="response")
        assert (form["method"], form["action"]) == ("post", CALLBACK)
        params = {field["name"]: field["value"] for field in form.find_all("input")}
    else:
        params = redirect_parameters(response)
    assert set(params) == {"response"}
    parameters = world.claims(params["response"], typ="JWT")
    assert (parameters.pop("iss"), parameters.pop("aud")) == (ISSUER, partner.id)
    assert 0 < parameters.pop("exp") - clock.timestamp() <= 600
    return parameters


@pytest.mark.parametrize("mode", SIGNED)
def test_a_code_in_a_jwt_can_be_redeemed(web, world, mode):
    sign_in_and_authorise(web, world.partner, world.username)
    parameters = response_claims(world, web.get(world.partner.link(response_mode=mode)), world.partner, mode)
    assert set(parameters) == {"code", "state"}
    assert parameters["state"] == "a-state"
    assert world.partner.redeem(web, parameters["code"]).status_code == 200


@pytest.mark.parametrize("mode", SIGNED)
@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"prompt": "none"}, "login_required"), ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"), ({"scope": "nonsense"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"), ({"max_age": "soon"}, "invalid_request"),
        ({"request": "x"}, "invalid_request_object"), ({"request_uri": "https://a.b"}, "request_uri_not_supported"),
        ({"nonce": "x" * 600}, "invalid_request"), ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"id_token_hint": "x"}, "invalid_request"), ({"resource": "https://a.example"}, "invalid_target"),
        ({"acr_values": "x", "claims": "{"}, "invalid_request"),
    ],
)  # fmt: skip
def test_errors_are_signed(web, world, mode, overrides, error):
    response = web.get(world.partner.link(response_mode=mode, **overrides))
    parameters = response_claims(world, response, world.partner, mode)
    assert set(parameters) <= {"error", "error_description", "state"}
    assert (parameters["error"], parameters["state"]) == (error, "a-state")


def test_a_refusal_is_sent_in_a_jwt(web, world):
    response = follow_redirects(web, web.get(world.partner.link(response_mode="jwt")))
    response = follow_redirects(web, sign_in(web, response, world.username))
    response = follow_redirects(web, press(web, response, "deny"))
    assert response_claims(world, response, world.partner, "jwt")["error"] == "access_denied"


def test_without_a_state_the_jwt_has_none(web, world):
    parameters = response_claims(
        world, web.get(world.partner.link(response_mode="jwt", prompt="none", state=None)), world.partner, "jwt"
    )
    assert set(parameters) == {"error", "error_description"}


def test_a_state_in_any_script_is_returned_unchanged(web, world):
    state = 'a b&c="><script>ü ✓ 𝄞' + "x" * 4000
    response = web.get(world.partner.link(response_mode="jwt", prompt="none", state=state))
    assert response_claims(world, response, world.partner, "jwt")["state"] == state


@pytest.mark.parametrize("alg", [None, "RS256", "ES256"])
def test_responses_are_signed_by_the_registered_algorithm(web, world, alg):
    partner = world.new_partner(authorization_signed_response_alg=alg)
    params = redirect_parameters(web.get(partner.link(response_mode="jwt", prompt="none")))
    assert jwt_header(params["response"])["alg"] == (alg or "RS256")


def test_under_fapi2_responses_are_signed_by_es256(web, world, clock):
    with world.transaction():
        client = factories.a_client(
            profile="fapi2", token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256"))
        )
        partner = Signer(client.id)
    params = redirect_parameters(web.get(partner.link(response_mode="jwt")))
    assert jwt_header(params["response"])["alg"] == "ES256"
    assert (
        response_claims(world, web.get(partner.link(response_mode="jwt")), partner, "jwt")["error"] == "invalid_request"
    )


def test_the_query_of_the_redirect_uri_stays_before_the_jwt(web, world):
    uri = "https://assembly.example/callback?dummy1=lorem&dummy2=a%20b"
    partner = world.new_partner(redirect_uris=[uri])
    assert web.get(partner.link(response_mode="jwt", prompt="none")).location.startswith(uri + "&response=ey")


def test_an_app_with_a_uri_scheme_of_its_own_gets_its_response_in_the_query(web, world):
    partner = world.new_partner(redirect_uris=["com.example.app:/cb"], token_endpoint_auth_method="none")
    assert (
        response_claims(world, web.get(partner.link(response_mode="jwt", prompt="none")), partner, "jwt")["error"]
        == "login_required"
    )
    parameters = response_claims(world, web.get(partner.link(response_mode="form_post.jwt")), partner, "jwt")
    assert parameters["error_description"] == "response_mode: form_post.jwt needs a redirect_uri that is https or http"


@pytest.mark.parametrize("mode", ["fragment", "fragment.jwt", "JWT", "form_post.JWT", "web_message"])
def test_unsupported_jwt_modes_are_refused_in_the_query(web, world, mode):
    params = redirect_parameters(web.get(world.partner.link(response_mode=mode)))
    assert (params["error"], params["iss"]) == ("invalid_request", ISSUER)
    assert (
        params["error_description"] == "response_mode: must be one of query, form_post, jwt, query.jwt, form_post.jwt"
    )


def test_a_repeated_response_mode_is_refused(web, world):
    params = redirect_parameters(web.get(world.partner.link(response_mode="jwt") + "&response_mode=query"))
    assert params["error"] == "invalid_request"


def test_a_signed_response_is_accepted_neither_as_hint_nor_as_token(web, world):
    """It is signed with the same keys as an ID Token, and must never be taken for one."""
    params = redirect_parameters(web.get(world.partner.link(response_mode="jwt", prompt="none")))
    again = redirect_parameters(web.get(world.partner.link(id_token_hint=params["response"])))
    assert again["error_description"] == "id_token_hint: is not an ID Token of ours"
    assert web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {params['response']}"}).status_code == 401
    assert web.get(f"/oauth/logout?id_token_hint={params['response']}").status_code == 400


def test_a_pushed_request_gets_the_mode_it_asked_for(web, world):
    form = world.partner.parameters(response_mode="jwt", prompt="none")
    urn = world.partner.post(web, "/oauth/par", form).json["request_uri"]
    response = web.get(f"/oauth/authorize?client_id={world.partner.id}&request_uri={urn}&response_mode=query")
    assert response_claims(world, response, world.partner, "jwt")["error"] == "login_required"
