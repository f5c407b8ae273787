"""Userinfo: the claims that the scopes cover, with current values."""

import json

import pytest

from idp.estabs.models import Membership
from idp.keys import ring
from tests.oidc.support import ISSUER, obtain_tokens, sign_in_and_authorise

ALL_SCOPES = "openid profile email phone organisation offline_access school students"


def bearer_header(tokens):
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.fixture
def tokens(web, world, clock):
    return obtain_tokens(web, world.partner, world.username, scope=ALL_SCOPES)


def test_userinfo_names_person_and_school_with_the_claims_of_dfe_sign_in(web, world, tokens):
    body = web.get("/oauth/userinfo", headers=bearer_header(tokens)).json
    organisation = body.pop("organisation")
    assert isinstance(body.pop("updated_at"), int)
    assert body.pop("scope") == tokens["scope"]
    assert body == {
        "sub": world.person, "name": "Jo Bloggs", "given_name": "Jo", "family_name": "Bloggs",
        "preferred_username": world.username, "locale": "en-GB", "zoneinfo": "Europe/London",
        "email": body["email"], "email_verified": True, "phone_number": "+447700900123",
        "phone_number_verified": False, "estab_id": world.estab_id, "estab_status": "verified",
        "role": "owner",
    }  # fmt: skip
    assert organisation["id"] == world.estab
    assert organisation["name"] == world.school
    assert organisation["localAuthority"] == {"code": "213", "name": "Westminster"}
    assert organisation["category"] == {"id": "001", "name": "Establishment"}
    assert organisation["telephone"] == "+442079460123"
    assert organisation["status"] == {"id": 1, "name": "Open"}
    assert organisation["address"] == "1 High Street, London, SW1P 4AU"
    assert set(organisation) == {
        "id", "name", "urn", "ukprn", "establishmentNumber", "localAuthority", "category", "type", "phase", "status",
        "closedOn", "address", "telephone", "statutoryLowAge", "statutoryHighAge",
    }  # fmt: skip


def test_userinfo_releases_no_more_than_the_scopes(web, world):
    tokens = obtain_tokens(web, world.partner, world.username, scope="openid")
    assert web.get("/oauth/userinfo", headers=bearer_header(tokens)).json == {"sub": world.person}


def test_the_token_is_read_from_header_or_form_only(web, tokens):
    assert web.post("/oauth/userinfo", headers=bearer_header(tokens)).status_code == 200
    assert web.post("/oauth/userinfo", data={"access_token": tokens["access_token"]}).status_code == 200
    token = tokens["access_token"]
    in_query = web.get("/oauth/userinfo", query_string={"access_token": token})
    assert (in_query.status_code, in_query.json["error"]) == (400, "invalid_request")
    twice = web.post("/oauth/userinfo", data={"access_token": token}, headers=bearer_header(tokens))
    assert (twice.status_code, twice.json["error"]) == (400, "invalid_request")


def test_a_token_that_is_sent_in_a_wrong_way_is_challenged(web, tokens):
    """RFC 6750 §3: what holds no token that gives access MUST be answered with a challenge, whatever the status."""
    token = tokens["access_token"]
    for response, reason in (
        (
            web.get("/oauth/userinfo", query_string={"access_token": token}),
            "must be sent in the Authorization header, not in the query string",
        ),
        (web.post("/oauth/userinfo", data={"access_token": [token, token]}), "sent more than once"),
    ):
        assert response.status_code == 400
        assert response.headers.getlist("WWW-Authenticate") == [
            f'Bearer error="invalid_request", error_description="access_token: {reason}"'
        ]


def test_without_a_token_the_challenges_name_no_error(web, world):
    response = web.get("/oauth/userinfo")
    assert response.status_code == 401
    challenges = ['Bearer realm="userinfo"', 'DPoP algs="PS256 ES256 EdDSA Ed25519"']
    assert response.headers.getlist("WWW-Authenticate") == challenges
    other = web.get("/oauth/userinfo", headers=world.partner.basic)
    assert other.headers.getlist("WWW-Authenticate") == challenges


@pytest.mark.parametrize("token", ["x", "x.y.z", "ü", "a" * 9000])
def test_an_unknown_token_is_invalid(web, token):
    response = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}".encode().decode("latin-1")})
    assert response.status_code == 401
    description = "access_token: is not an access token of this issuer"
    assert response.headers["WWW-Authenticate"] == f'Bearer error="invalid_token", error_description="{description}"'
    assert response.json["error_description"] == description
    assert response.json["error"] == "invalid_token"


def test_an_id_token_is_not_accepted(web, tokens):
    response = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['id_token']}"})
    assert response.status_code == 401
    assert response.json["error_description"] == "access_token: is an ID Token; the access token must be sent"


def test_a_token_without_openid_is_not_enough(web, world):
    tokens = obtain_tokens(web, world.partner, world.username, scope="students")
    response = web.get("/oauth/userinfo", headers=bearer_header(tokens))
    assert response.status_code == 403
    expected = 'error="insufficient_scope", error_description="access_token: does not cover the scope openid"'
    assert response.headers["WWW-Authenticate"] == f'Bearer {expected}, scope="openid"'


def test_userinfo_is_refused_for_a_person_who_has_left(web, world, tokens, clock):
    world.change(Membership, (world.person, world.estab), removed_at=clock.now())
    assert web.get("/oauth/userinfo", headers=bearer_header(tokens)).status_code == 403


def test_claims_requested_by_name_are_released_where_they_were_requested(web, world):
    requested_claims = json.dumps({"userinfo": {"name": {"essential": True}}, "id_token": {"email": None}})
    params = sign_in_and_authorise(web, world.partner, world.username, scope="openid", claims=requested_claims)
    tokens = world.partner.redeem(web, params["code"]).json
    claims = world.claims(tokens["id_token"], "JWT")
    assert claims["email"].endswith("@oakhill.example")
    assert "name" not in claims
    assert web.get("/oauth/userinfo", headers=bearer_header(tokens)).json == {"sub": world.person, "name": "Jo Bloggs"}


def test_claims_about_the_school_can_be_requested_by_name_too(web, world):
    requested_claims = json.dumps({"userinfo": {"role": None}, "id_token": {"organisation": None, "estab_id": None}})
    params = sign_in_and_authorise(web, world.partner, world.username, scope="openid", claims=requested_claims)
    tokens = world.partner.redeem(web, params["code"]).json
    claims = world.claims(tokens["id_token"], "JWT")
    assert (claims["organisation"]["name"], claims["estab_id"]) == (world.school, world.estab_id)
    assert "estab_status" not in claims
    assert web.get("/oauth/userinfo", headers=bearer_header(tokens)).json == {"sub": world.person, "role": "owner"}


def test_a_claim_whose_scope_is_not_the_clients_is_left_out(web, world):
    partner = world.new_partner(required_scopes=frozenset({"openid"}))
    requested_claims = json.dumps({"userinfo": {"email": {"essential": True}}})
    tokens = obtain_tokens(web, partner, world.username, scope="openid", claims=requested_claims)
    assert web.get("/oauth/userinfo", headers=bearer_header(tokens)).json == {"sub": world.person}


def test_a_client_may_register_a_signed_response(web, world):
    partner = world.new_partner(userinfo_signed_response_alg="RS256")
    tokens = obtain_tokens(web, partner, world.username)
    response = web.get("/oauth/userinfo", headers=bearer_header(tokens))
    assert response.content_type == "application/jwt"
    with world.transaction():
        claims = ring.verify_hint(response.text)
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, partner.id, world.person)


def test_a_pairwise_client_gets_its_own_subject(web, new_browser, world):
    first = world.new_partner(subject_type="pairwise", sector_identifier="one.example")
    second = world.new_partner(subject_type="pairwise", sector_identifier="two.example")
    subjects = []
    for partner in (first, second, first):
        tokens = obtain_tokens(web, partner, world.username)
        body = web.get("/oauth/userinfo", headers=bearer_header(tokens)).json
        assert body["name"] == "Jo Bloggs"
        assert body["sub"] == world.claims(tokens["id_token"], "JWT")["sub"]
        subjects.append(body["sub"])
    assert subjects[0] == subjects[2]
    assert len({*subjects, world.person}) == 3
