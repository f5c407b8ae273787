"""Revocation (RFC 7009)."""

import pytest

from idp.estabs.models import Estab
from idp.partners.models import Client
from tests.oidc.support import obtain_tokens, sign_in_and_authorise


@pytest.fixture
def tokens(web, world):
    return obtain_tokens(web, world.partner, world.username)


def userinfo_status(web, token):
    return web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code


def revoke(web, partner, token, **options):
    return partner.post(web, "/oauth/revoke", {"token": token, **options})


def test_revoking_a_refresh_token_revokes_its_access_tokens(web, world, tokens):
    assert userinfo_status(web, tokens["access_token"]) == 200
    assert revoke(web, world.partner, tokens["refresh_token"]).status_code == 200
    assert userinfo_status(web, tokens["access_token"]) == 401
    assert world.partner.refresh(web, tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_any_generation_of_a_rotating_refresh_token_can_be_revoked(web, world):
    partner = world.new_partner(token_endpoint_auth_method="none")
    first = obtain_tokens(web, partner, world.username)["refresh_token"]
    second = partner.refresh(web, first).json
    assert revoke(web, partner, first).status_code == 200
    assert partner.refresh(web, second["refresh_token"]).json["error"] == "invalid_grant"
    assert userinfo_status(web, second["access_token"]) == 401


def test_revoking_an_access_token_revokes_it_alone(web, world, tokens):
    assert revoke(web, world.partner, tokens["access_token"]).status_code == 200
    assert userinfo_status(web, tokens["access_token"]) == 401
    again = world.partner.refresh(web, tokens["refresh_token"]).json
    assert userinfo_status(web, again["access_token"]) == 200


@pytest.mark.parametrize("hint", ["refresh_token", "access_token", "something_else", None])
def test_the_token_type_hint_is_optional(web, world, tokens, hint):
    assert revoke(web, world.partner, tokens["refresh_token"], token_type_hint=hint).status_code == 200
    assert userinfo_status(web, tokens["access_token"]) == 401


@pytest.mark.parametrize("token", ["x", "x.y.z", "x.y", "ü"])
def test_revoking_an_unknown_token_succeeds(web, world, token):
    assert revoke(web, world.partner, token).status_code == 200


def test_revoking_an_ended_token_succeeds(web, world, tokens):
    for _ in range(2):
        assert revoke(web, world.partner, tokens["refresh_token"]).status_code == 200
        assert revoke(web, world.partner, tokens["access_token"]).status_code == 200


def test_another_clients_token_is_not_revoked(web, world, tokens):
    other = world.new_partner()
    for token in (tokens["refresh_token"], tokens["access_token"]):
        response = revoke(web, other, token)
        assert (response.status_code, response.json["error"]) == (400, "invalid_grant")
    assert userinfo_status(web, tokens["access_token"]) == 200
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    ("row", "column", "interrupted", "before"),
    [(Client, "accepted_mis", frozenset({"arbor"}), frozenset()), (Estab, "state", "suspended", "verified")],
)
def test_a_token_that_is_revoked_while_sharing_is_interrupted_stays_revoked(
    web, world, tokens, row, column, interrupted, before
):
    key, other = world.partner.id if row is Client else world.estab, world.new_partner()
    world.change(row, key, **{column: interrupted})
    assert userinfo_status(web, tokens["access_token"]) == 401
    refused = revoke(web, other, tokens["access_token"])
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_grant")
    assert revoke(web, world.partner, tokens["access_token"]).status_code == 200
    world.change(row, key, **{column: before})
    assert userinfo_status(web, tokens["access_token"]) == 401
    again = world.partner.refresh(web, tokens["refresh_token"]).json
    assert userinfo_status(web, again["access_token"]) == 200


@pytest.mark.parametrize("form", [{}, {"token": ""}, {"token_type_hint": "access_token"}])
def test_the_token_parameter_is_required(web, world, form):
    response = world.partner.post(web, "/oauth/revoke", form)
    assert (response.status_code, response.json["error"]) == (400, "invalid_request")


def test_revoking_a_token_keeps_the_authorisation(web, world, tokens):
    revoke(web, world.partner, tokens["refresh_token"])
    assert "code" in sign_in_and_authorise(web, world.partner, world.username, prompt="none")
