"""Claims that a client is registered to have in its ID Tokens too, because its software does not call userinfo."""

import pytest

from idp.estabs.models import Membership
from idp.sharing.models import Authorisation
from tests.oidc.support import obtain_tokens

DEFAULT_CLAIMS = {"iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "sid", "nonce", "at_hash"}
REQUESTED_CLAIMS = frozenset({"name", "email", "email_verified", "organisation", "estab_id", "role"})


@pytest.fixture
def partner(world, clock):
    return world.new_partner(id_token_claims=REQUESTED_CLAIMS)


def id_token(world, response):
    return world.claims(response["id_token"], "JWT")


def test_claims_of_the_id_token_equal_those_of_userinfo(web, world, partner):
    tokens = obtain_tokens(web, partner, world.username)
    claims = id_token(world, tokens)
    userinfo = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json
    assert set(claims) == DEFAULT_CLAIMS | REQUESTED_CLAIMS
    assert {name: claims[name] for name in REQUESTED_CLAIMS} == {name: userinfo[name] for name in REQUESTED_CLAIMS}
    assert claims["name"] == "Jo Bloggs"


def test_a_client_that_is_registered_for_no_claims_gets_the_default_ones(web, world):
    tokens = obtain_tokens(web, world.partner, world.username)
    assert set(id_token(world, tokens)) == DEFAULT_CLAIMS


def test_only_claims_of_requested_and_agreed_scopes_are_released(web, world, partner):
    tokens = obtain_tokens(web, partner, world.username, scope="openid email")
    assert set(id_token(world, tokens)) == DEFAULT_CLAIMS | {"email", "email_verified"}


def test_a_refresh_with_a_narrower_scope_narrows_the_claims(web, world, partner):
    tokens = obtain_tokens(web, partner, world.username)
    again = partner.refresh(web, tokens["refresh_token"], scope="openid profile").json
    assert set(id_token(world, again)) - DEFAULT_CLAIMS == {"name"}


def test_claims_that_the_school_took_back_are_left_out(web, world, partner):
    tokens = obtain_tokens(web, partner, world.username)
    with world.transaction() as session:
        for agreed in session.query(Authorisation).filter_by(client_id=partner.id):
            agreed.scopes = agreed.scopes - {"email", "organisation"}
    again = partner.refresh(web, tokens["refresh_token"]).json
    assert set(id_token(world, again)) - DEFAULT_CLAIMS == {"name"}


@pytest.mark.parametrize(
    ("registered", "named"),
    [
        ({"post_logout_redirect_uris": []}, False),
        ({"post_logout_redirect_uris": [], "backchannel_logout_uri": "https://assembly.example/bcl"}, True),
        ({}, True),
    ],
    ids=["neither", "logout tokens", "a way back after signing out"],
)
def test_the_id_token_names_the_session_to_clients_that_can_sign_out(web, world, registered, named):
    partner = world.new_partner(**registered)
    tokens = obtain_tokens(web, partner, world.username)
    assert ("sid" in id_token(world, tokens)) == named


def test_nothing_is_returned_about_a_person_who_has_left(web, world, partner, clock):
    tokens = obtain_tokens(web, partner, world.username)
    world.change(Membership, (world.person, world.estab), removed_at=clock.now())
    again = partner.refresh(web, tokens["refresh_token"])
    assert again.status_code == 200
    assert "id_token" not in again.json
