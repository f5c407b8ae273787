"""Introspection (RFC 7662): to the client it was issued to, and to no one else."""

from datetime import timedelta

import pytest

from idp.estabs.models import Estab
from tests.oidc.support import ISSUER, authorised


@pytest.fixture
def tokens(web, world, clock):
    return world.partner.redeems(web, authorised(web, world.partner, world.username)["code"]).json


def look(web, partner, token, **more):
    return partner.posts(web, "/oauth/introspect", {"token": token, **more})


def test_an_access_token_is_told_as_it_stands(web, world, tokens):
    said = look(web, world.partner, tokens["access_token"]).json
    assert said["active"] is True
    assert (said["iss"], said["sub"], said["client_id"]) == (ISSUER, world.person, world.partner.id)
    assert said["scope"] == tokens["scope"]
    assert (said["estab_id"], said["estab_status"]) == (world.estab_id, "verified")
    assert {"exp", "iat", "aud", "jti", "auth_time", "acr", "amr", "authorisation", "token_type"} <= set(said)
    assert "lineage" not in said

    world.change(Estab, world.estab, state="unverified")
    said = look(web, world.partner, tokens["access_token"]).json
    assert "students" not in said["scope"].split()
    assert said["estab_status"] == "unverified"


def test_a_refresh_token_too(web, world, tokens):
    said = look(web, world.partner, tokens["refresh_token"], token_type_hint="refresh_token").json
    assert said["active"] is True
    assert said["scope"] == tokens["scope"]
    assert "token_type" not in said  # RFC 6749 §5.1 knows those of access tokens alone


def test_looking_at_an_old_rotated_token_reuses_nothing(web, world):
    partner = world.another(rotate_refresh_tokens=True)
    first = partner.redeems(web, authorised(web, partner, world.username)["code"]).json["refresh_token"]
    second = partner.refreshes(web, first).json["refresh_token"]
    assert look(web, partner, first).json == {"active": False}
    assert partner.refreshes(web, second).status_code == 200


def test_whoever_cannot_prove_who_they_are_is_told_nothing(web, world):
    public = world.another(token_endpoint_auth_method="none")
    token = public.redeems(web, authorised(web, public, world.username)["code"]).json["access_token"]
    response = look(web, public, token)
    assert (response.status_code, response.json["error"]) == (401, "invalid_client")


def test_to_all_others_and_for_all_else_it_is_inactive_and_no_more(web, world, tokens, clock):
    stranger = world.another()
    assert look(web, stranger, tokens["access_token"]).json == {"active": False}
    assert look(web, stranger, tokens["refresh_token"]).json == {"active": False}
    for token in ("x", "x.y.z", tokens["id_token"], tokens["access_token"][:-1], tokens["refresh_token"][:-1], "ü"):
        assert look(web, world.partner, token).json == {"active": False}
    clock.move(timedelta(minutes=10))
    assert look(web, world.partner, tokens["access_token"]).json == {"active": False}


def test_what_ended_is_inactive_at_once(web, world, tokens):
    world.partner.posts(web, "/oauth/revoke", {"token": tokens["refresh_token"]})
    for name in ("access_token", "refresh_token"):
        assert look(web, world.partner, tokens[name]).json == {"active": False}


def test_json_whatever_is_accepted_and_a_token_is_needed(web, world, tokens):
    headers = {**world.partner.basic, "Accept": "application/token-introspection+jwt"}
    response = web.post("/oauth/introspect", data={"token": tokens["access_token"]}, headers=headers)
    assert response.mimetype == "application/json"
    assert look(web, world.partner, "").json["error"] == "invalid_request"
    assert web.post("/oauth/introspect", data={"token": "x"}).status_code == 401
