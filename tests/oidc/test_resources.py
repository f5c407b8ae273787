"""Protected APIs beside us (RFC 8707): whom tokens are for, and who may ask about them."""

import pytest

from tests.oidc.support import ISSUER, authorised, sent

DATA, STAFF = "https://data.example", "https://staff.example"


@pytest.fixture
def api(world):
    """The API that serves what schools share about pupils."""
    return world.new_partner(resource=DATA, resource_scopes=frozenset({"school", "students", "schools.list"}))


def tokens_of(web, world, **asked):
    return world.partner.redeems(web, authorised(web, world.partner, world.username, **asked)["code"]).json


def audience(world, tokens):
    return world.claims(tokens["access_token"])["aud"]


def look(web, partner, token):
    return partner.posts(web, "/oauth/introspect", {"token": token}).json


def test_the_audience_of_a_token_is_us_and_the_apis_of_its_scopes(web, world, api):
    assert audience(world, tokens_of(web, world)) == [ISSUER, DATA]
    assert audience(world, tokens_of(web, world, scope="openid email")) == ISSUER


def test_a_request_may_narrow_the_audience(web, world, api):
    assert audience(world, tokens_of(web, world, resource=DATA)) == DATA
    assert audience(world, tokens_of(web, world, resource=ISSUER)) == ISSUER


def test_a_token_request_may_narrow_the_audience_and_not_widen_it(web, world, api):
    code = authorised(web, world.partner, world.username)["code"]
    tokens = world.partner.redeems(web, code, resource=DATA).json
    assert audience(world, tokens) == DATA
    again = world.partner.refreshes(web, tokens["refresh_token"])
    assert audience(world, again.json) == [ISSUER, DATA]
    once_more = world.partner.refreshes(web, tokens["refresh_token"], resource=ISSUER)
    assert audience(world, once_more.json) == ISSUER

    narrow = tokens_of(web, world, resource=ISSUER)
    for wider in (DATA, "https://unknown.example"):
        refused = world.partner.refreshes(web, narrow["refresh_token"], resource=wider)
        assert refused.json["error"] == "invalid_target"
    assert audience(world, world.partner.refreshes(web, narrow["refresh_token"]).json) == ISSUER


def test_an_api_without_scopes_of_the_client_is_an_invalid_target(web, world, api):
    world.new_partner(resource=STAFF, resource_scopes=frozenset({"staff"}))
    for unknown in (STAFF, "https://unknown.example", DATA + "/"):
        assert sent(web.get(world.partner.link(resource=unknown)))["error"] == "invalid_target"
    both = web.get(world.partner.link(resource=DATA) + f"&resource={STAFF}")
    assert sent(both)["error"] == "invalid_target"


def test_userinfo_refuses_a_token_for_other_audiences(web, world, api):
    token = tokens_of(web, world, resource=DATA)["access_token"]
    assert web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_an_api_introspects_its_tokens_with_the_scopes_it_serves(web, world, api):
    token = tokens_of(web, world)["access_token"]
    response = look(web, api, token)
    assert (response["active"], response["client_id"], response["sub"]) == (True, world.partner.id, world.person)
    assert response["scope"] == "school students"
    assert "email" in look(web, world.partner, token)["scope"]


def test_an_api_gets_nothing_about_tokens_for_others(web, world, api):
    staff = world.new_partner(resource=STAFF, resource_scopes=frozenset({"staff"}))
    for_us = tokens_of(web, world, resource=ISSUER)
    assert look(web, api, for_us["access_token"]) == {"active": False}
    assert look(web, api, for_us["refresh_token"]) == {"active": False}
    assert look(web, staff, tokens_of(web, world)["access_token"]) == {"active": False}


def test_an_ended_token_is_inactive_for_the_api(web, world, api):
    tokens = tokens_of(web, world)
    world.partner.posts(web, "/oauth/revoke", {"token": tokens["refresh_token"]})
    assert look(web, api, tokens["access_token"]) == {"active": False}


def test_client_credentials_may_name_an_api(web, world, api):
    partner = world.new_partner(
        grant_types=frozenset({"client_credentials"}), client_scopes=frozenset({"schools.list"}),
        required_scopes=frozenset(), optional_scopes=frozenset(),
    )  # fmt: skip
    tokens = partner.posts(web, "/oauth/token", {"grant_type": "client_credentials", "resource": DATA}).json
    assert audience(world, tokens) == DATA
    assert look(web, api, tokens["access_token"])["scope"] == "schools.list"
