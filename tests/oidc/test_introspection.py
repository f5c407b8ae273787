"""Introspection (RFC 7662): by the client that the token was issued to, and by no other."""

from datetime import timedelta

import pytest

from idp.estabs.models import Estab
from idp.keys import ring
from tests.oidc.support import ISSUER, jwt_header, obtain_tokens


@pytest.fixture
def tokens(web, world, clock):
    return obtain_tokens(web, world.partner, world.username)


def introspect(web, partner, token, **options):
    return partner.post(web, "/oauth/introspect", {"token": token, **options})


def test_introspection_returns_the_current_state_of_an_access_token(web, world, tokens):
    body = introspect(web, world.partner, tokens["access_token"]).json
    assert body["active"] is True
    assert (body["iss"], body["sub"], body["client_id"]) == (ISSUER, world.person, world.partner.id)
    assert body["scope"] == tokens["scope"]
    assert (body["estab_id"], body["estab_status"]) == (world.estab_id, "verified")
    assert {"exp", "iat", "aud", "jti", "auth_time", "acr", "amr", "authorisation", "token_type"} <= set(body)
    assert "lineage" not in body

    world.change(Estab, world.estab, state="unverified")
    body = introspect(web, world.partner, tokens["access_token"]).json
    assert "students" not in body["scope"].split()
    assert body["estab_status"] == "unverified"


def test_introspection_returns_the_current_state_of_a_refresh_token(web, world, tokens):
    body = introspect(web, world.partner, tokens["refresh_token"], token_type_hint="refresh_token").json
    assert body["active"] is True
    assert body["scope"] == tokens["scope"]
    assert "token_type" not in body  # RFC 6749 §5.1 defines this member for access tokens only


def test_introspecting_a_replaced_token_is_not_a_reuse(web, world):
    partner = world.new_partner(rotate_refresh_tokens=True)
    first = obtain_tokens(web, partner, world.username)["refresh_token"]
    second = partner.refresh(web, first).json["refresh_token"]
    assert introspect(web, partner, first).json == {"active": False}
    assert partner.refresh(web, second).status_code == 200


def test_a_client_that_cannot_authenticate_may_not_introspect(web, world):
    public = world.new_partner(token_endpoint_auth_method="none")
    token = obtain_tokens(web, public, world.username)["access_token"]
    response = introspect(web, public, token)
    assert (response.status_code, response.json["error"]) == (401, "invalid_client")


def test_other_clients_and_other_tokens_get_only_inactive(web, world, tokens, clock):
    stranger = world.new_partner()
    assert introspect(web, stranger, tokens["access_token"]).json == {"active": False}
    assert introspect(web, stranger, tokens["refresh_token"]).json == {"active": False}
    for token in ("x", "x.y.z", tokens["id_token"], tokens["access_token"][:-1], tokens["refresh_token"][:-1], "ü"):
        assert introspect(web, world.partner, token).json == {"active": False}
    clock.move(timedelta(minutes=10))
    assert introspect(web, world.partner, tokens["access_token"]).json == {"active": False}


def test_an_ended_token_is_inactive_at_once(web, world, tokens):
    world.partner.post(web, "/oauth/revoke", {"token": tokens["refresh_token"]})
    for name in ("access_token", "refresh_token"):
        assert introspect(web, world.partner, tokens[name]).json == {"active": False}


def test_the_token_parameter_is_required(web, world):
    assert introspect(web, world.partner, "").json["error"] == "invalid_request"
    assert web.post("/oauth/introspect", data={"token": "x"}).status_code == 401


JWT = "application/token-introspection+jwt"


def introspect_signed(web, partner, token, accept=JWT):
    return web.post("/oauth/introspect", data={"token": token}, headers=partner.basic | {"Accept": accept})


def test_accept_jwt_returns_the_same_response_signed(web, world, tokens):
    for token in (tokens["access_token"], tokens["refresh_token"], "nonsense"):
        response = introspect_signed(web, world.partner, token)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == JWT
        assert response.headers["Cache-Control"] == "no-store"
        assert jwt_header(response.text) == jwt_header(response.text) | {
            "alg": "RS256",
            "typ": "token-introspection+jwt",
        }
        with world.transaction(), pytest.raises(ring.TokenNotVerified, match="no `exp`"):
            ring.verify(response.text, typ="token-introspection+jwt")  # records that are kept as a proof do not expire
        with world.transaction():
            claims = ring.verify_hint(response.text, typ="token-introspection+jwt")
        assert set(claims) == {"iss", "aud", "iat", "token_introspection"}
        assert (claims["iss"], claims["aud"]) == (ISSUER, world.partner.id)
        assert claims["token_introspection"] == introspect(web, world.partner, token).json
    assert claims["token_introspection"] == {"active": False}


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_the_response_is_signed_by_the_registered_algorithm(web, world, alg):
    partner = world.new_partner(introspection_signed_response_alg=alg)
    assert jwt_header(introspect_signed(web, partner, "x").text)["alg"] == alg


@pytest.mark.parametrize(
    ("accept", "is_jwt"),
    [
        (JWT, True), (JWT.upper(), True), (f"{JWT}, application/json;q=0.5", True), (f"{JWT}, */*;q=0.1", True),
        ("application/json", False), ("*/*", False), ("application/*", False), ("", False), ("nonsense", False),
        (f"application/json, {JWT};q=0.5", False), (f"{JWT};q=0", False), ("application/jwt", False),
        ("application/json;q=0.1, */*", False),
    ],
)  # fmt: skip
def test_the_accept_header_decides_the_format(web, world, accept, is_jwt):
    response = introspect_signed(web, world.partner, "x", accept)
    assert response.status_code == 200
    assert (response.mimetype == JWT) == is_jwt


def test_errors_are_json_whatever_accept_says(web, world):
    assert introspect_signed(web, world.partner, "").json["error"] == "invalid_request"
    stranger = {"Authorization": "Basic eDp5", "Accept": JWT}
    refused = web.post("/oauth/introspect", data={"token": "x"}, headers=stranger)
    assert (refused.status_code, refused.json["error"]) == (401, "invalid_client")
