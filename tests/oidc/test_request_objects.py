"""Signed authorization requests, by value (RFC 9101)."""

from typing import Any
from urllib.parse import urlencode

import pytest

from idp.partners.models import Client
from tests import factories
from tests.oidc.signing import Signer, jwks, key, sign_jws
from tests.oidc.support import ISSUER, page, redirect_parameters, sign_in_and_authorise


@pytest.fixture
def partner(world, clock):
    with world.transaction():
        client = factories.a_client(token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256"), key("PS256")))
        return Signer(client.id)


def request_object(partner, **overrides):
    header = overrides.pop("header", {})
    with_key = overrides.pop("key", partner.key)
    alg = overrides.pop("alg", "ES256")
    claims = {"iss": partner.id, "aud": ISSUER, **partner.parameters()}
    return sign_jws(claims | overrides, with_key, alg, **header)


def authorize_link(partner, **overrides):
    parameters = {"client_id": partner.id, "response_type": "code", "redirect_uri": partner.redirect_uri}
    return "/oauth/authorize?" + urlencode(
        {name: text for name, text in (parameters | overrides).items() if text is not None}
    )


@pytest.mark.parametrize("alg", ["ES256", "PS256", "RS256"])
def test_a_signed_request_gets_a_code(web, world, partner, alg):
    partner.link = lambda **_: authorize_link(
        partner, request=request_object(partner, alg=alg, key=key("PS256" if alg == "RS256" else alg))
    )
    params = sign_in_and_authorise(web, partner, world.username)
    assert params["state"] == "a-state"
    assert partner.redeem(web, params["code"]).status_code == 200


def test_a_client_must_use_its_registered_algorithm(web, partner, world):
    world.change(Client, partner.id, request_object_signing_alg="PS256")
    refused = redirect_parameters(web.get(authorize_link(partner, request=request_object(partner, prompt="none"))))
    assert refused["error"] == "invalid_request_object"
    by_the_other = request_object(partner, prompt="none", alg="PS256", key=key("PS256"))
    assert redirect_parameters(web.get(authorize_link(partner, request=by_the_other)))["error"] == "login_required"


def test_unknown_claims_are_ignored_whatever_their_type(web, partner):
    request = request_object(partner, prompt="none", extra={"a": [1, None]}, number=7, utm_source="x" * 5000)
    assert redirect_parameters(web.get(authorize_link(partner, request=request)))["error"] == "login_required"


def test_unsigned_parameters_sent_with_a_request_object_are_ignored(web, partner):
    link = authorize_link(
        partner, request=request_object(partner, prompt="none"), state="outside", nonce="x", scope="nonsense"
    )
    params = redirect_parameters(web.get(link))
    assert (params["error"], params["state"]) == ("login_required", "a-state")
    params = redirect_parameters(
        web.get(authorize_link(partner, request=request_object(partner, prompt="none", state=None), state="outside"))
    )
    assert "state" not in params


@pytest.mark.parametrize(
    "overrides",
    [
        {"iss": None}, {"iss": "someone"}, {"aud": None}, {"aud": "https://other.example"}, {"aud": 7},
        {"client_id": None}, {"client_id": "someone"}, {"client_id": 7}, {"exp": 0}, {"exp": "soon"},
        {"nbf": 10**11}, {"request": "x"}, {"request_uri": "x"}, {"scope": ["openid"]}, {"state": 7},
        {"redirect_uri": {}}, {"max_age": "x" * 3, "nonce": 1.5}, {"claims": []}, {"prompt": True},
        {"key": key("ES256", 2)}, {"header": {"jku": "https://evil.example"}}, {"header": {"kid": "unknown"}},
    ],
)  # fmt: skip
def test_an_invalid_request_object_is_reported_at_the_unsigned_redirect_uri(web, partner, overrides):
    params = redirect_parameters(
        web.get(authorize_link(partner, request=request_object(partner, **overrides), state="s"))
    )
    assert params["error"] == "invalid_request_object"
    assert params["iss"] == ISSUER


@pytest.mark.parametrize(
    ("overrides", "is_accepted"),
    [
        ({"header": {"typ": "oauth-authz-req+jwt"}}, True), ({"header": {"typ": "JWT"}}, True),
        ({"sub": "adm_1"}, True),
        ({"header": {"typ": "client-authentication+jwt"}}, False), ({"header": {"typ": "dpop+jwt"}}, False),
        ({"sub": "itself"}, False),
    ],
)  # fmt: skip
def test_what_could_authenticate_the_client_is_no_request_object(web, partner, overrides, is_accepted):
    """RFC 8725 §3.12: no JWT may be valid as two kinds. RFC 9101 §10.8: the types, and `sub`, tell them apart."""
    if overrides.get("sub") == "itself":
        overrides = {"sub": partner.id}
    sent = request_object(partner, prompt="none", **overrides)
    error = redirect_parameters(web.get(authorize_link(partner, request=sent)))["error"]
    assert (error == "login_required") == is_accepted, error


@pytest.mark.parametrize("text", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 16_000, "ü.ü.ü"])
def test_a_text_that_is_not_a_request_object_is_reported(web, partner, text):
    assert redirect_parameters(web.get(authorize_link(partner, request=text)))["error"] == "invalid_request_object"
    assert web.get(authorize_link(partner, request=text, redirect_uri=None)).status_code == 400
    assert web.get(authorize_link(partner, request=text, redirect_uri="https://evil.example")).status_code == 400


def test_a_request_object_with_a_request_uri_is_refused(web, partner):
    link = authorize_link(partner, request=request_object(partner), request_uri="https://assembly.example/request")
    assert redirect_parameters(web.get(link))["error"] == "invalid_request"


def test_the_redirect_uri_in_a_request_object_must_be_registered(web, partner):
    response = web.get(authorize_link(partner, request=request_object(partner, redirect_uri="https://evil.example")))
    assert response.status_code == 400
    assert page(response).find(id="error-parameter").text == "redirect_uri"


def test_claims_that_are_numbers_objects_or_arrays_are_accepted(web, world, partner):
    requested_claims = {"userinfo": {"name": None}}
    link = authorize_link(
        partner, request=request_object(partner, max_age=10_000, claims=requested_claims, resource=[ISSUER])
    )
    partner.link = lambda **_: link
    assert "code" in sign_in_and_authorise(web, partner, world.username)


def test_authorization_details_in_a_request_object_are_refused(web, partner):
    link = authorize_link(partner, request=request_object(partner, authorization_details=[{"type": "school"}]))
    assert redirect_parameters(web.get(link))["error"] == "invalid_authorization_details"


def test_a_request_object_may_be_pushed(web, partner):
    form = {"client_id": partner.id, "request": request_object(partner)}
    assert partner.post(web, "/oauth/par", form).status_code == 201
    wrong = {"client_id": partner.id, "request": request_object(partner, aud="https://other.example")}
    refused = partner.post(web, "/oauth/par", wrong)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_request_object")
    without = {"client_id": partner.id, "request": request_object(partner, redirect_uri=None)}
    assert partner.post(web, "/oauth/par", without).json["error"] == "invalid_request"


def test_under_fapi2_a_request_object_must_be_recent_and_short_lived(web, world, clock):
    with world.transaction():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256")), profile="fapi2"
        )
        partner = Signer(client.id)
    now = int(clock.now().timestamp())
    for times, is_accepted in (
        ({}, False), ({"exp": now + 60}, False), ({"nbf": now}, False), ({"nbf": now, "exp": now + 60}, True),
        ({"nbf": now - 3700, "exp": now + 60}, False), ({"nbf": now, "exp": now + 3700}, False),
    ):  # fmt: skip
        form = {"client_id": partner.id, "request": request_object(partner, **times)}
        assert (partner.post(web, "/oauth/par", form).status_code == 201) == is_accepted, times


@pytest.mark.parametrize("name", ["state", "login_hint", "nonce", "acr_values", "prompt", "resource"])
@pytest.mark.parametrize("prompt", ["none", "login"])
def test_a_lone_surrogate_in_a_parameter_is_refused(web, partner, name, prompt):
    """An escape in JSON can be a lone surrogate, which no valid text contains."""
    wrong = request_object(partner, **({"prompt": prompt} | {name: "a\ud800b"}))
    params = redirect_parameters(web.get(authorize_link(partner, request=wrong)))
    assert params["error"] in {"invalid_request", "invalid_request_object"}
    assert "\ufffd" not in params.get("state", "")


@pytest.mark.parametrize("prompt", ["none", "login"])
def test_a_lone_surrogate_in_requested_claims_matches_no_one(web, partner, prompt):
    requested: list[dict[str, Any]] = [
        {"id_token": {"sub": {"value": "\ud800"}}}, {"\ud800": {}}, {"userinfo": {"\ud800": None}},
    ]  # fmt: skip
    for claims in requested:
        response = web.get(authorize_link(partner, request=request_object(partner, claims=claims, prompt=prompt)))
        assert response.status_code == 303


@pytest.fixture
def signing_client(partner, world):
    """A client that has to sign its requests."""
    world.change(Client, partner.id, require_signed_request_object=True)
    return partner


def test_a_client_that_must_sign_cannot_send_unsigned_requests(web, signing_client, world):
    params = redirect_parameters(web.get(signing_client.link()))
    assert params["error_description"] == "request: missing; this client has to sign its requests"
    pushed = signing_client.post(web, "/oauth/par", signing_client.parameters())
    assert (pushed.status_code, pushed.json["error"]) == (400, "invalid_request")
    assert pushed.json["error_description"] == params["error_description"]
    posted = web.post("/oauth/authorize", data=signing_client.parameters())
    assert redirect_parameters(posted)["error"] == "invalid_request"


def test_a_client_that_must_sign_may_send_signed_requests(web, signing_client, world):
    signing_client.link = lambda **_: authorize_link(signing_client, request=request_object(signing_client))
    params = sign_in_and_authorise(web, signing_client, world.username)
    assert signing_client.redeem(web, params["code"]).status_code == 200

    pushed = signing_client.post(
        web, "/oauth/par", {"client_id": signing_client.id, "request": request_object(signing_client)}
    )
    assert pushed.status_code == 201
    again = web.get(f"/oauth/authorize?client_id={signing_client.id}&request_uri={pushed.json['request_uri']}")
    assert "code" in redirect_parameters(again)

    posted = web.post(
        "/oauth/authorize", data={"client_id": signing_client.id, "request": request_object(signing_client)}
    )
    assert "code" in redirect_parameters(web.get(posted.location))


def test_the_signed_response_mode_is_used_and_not_the_unsigned_one(web, signing_client):
    signed_mode = request_object(signing_client, prompt="none", response_mode="jwt")
    assert set(
        redirect_parameters(web.get(authorize_link(signing_client, request=signed_mode, response_mode="query")))
    ) == {"response"}
    unsigned_mode = request_object(signing_client, prompt="none")
    assert "error" in redirect_parameters(
        web.get(authorize_link(signing_client, request=unsigned_mode, response_mode="jwt"))
    )
