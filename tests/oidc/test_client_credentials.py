"""Client credentials (RFC 6749 §4.4): a token for the client itself."""

import pytest

from tests.oidc.support import ISSUER


@pytest.fixture
def partner(world):
    return world.new_partner(
        grant_types=frozenset({"client_credentials"}), client_scopes=frozenset({"schools.list", "invitations"})
    )


def request_token(web, partner, **options):
    return partner.post(web, "/oauth/token", {"grant_type": "client_credentials", **options})


def test_a_client_gets_a_token_about_itself_and_no_refresh_token(web, world, partner):
    response = request_token(web, partner, scope="schools.list").json
    assert set(response) == {"access_token", "token_type", "expires_in", "scope"}
    assert response["scope"] == "schools.list"
    claims = world.claims(response["access_token"])
    assert (claims["sub"], claims["client_id"], claims["aud"]) == (partner.id, partner.id, ISSUER)
    assert "auth_time" not in claims
    assert "authorisation" not in claims


def test_without_a_scope_parameter_a_client_gets_all_its_client_scopes(web, partner):
    assert request_token(web, partner).json["scope"] == "schools.list invitations"


@pytest.mark.parametrize("scope", ["openid", "students", "events", "nonsense", "schools.list students", '"'])
def test_scopes_that_a_client_may_not_have_for_itself_are_refused(web, partner, scope):
    response = request_token(web, partner, scope=scope)
    assert (response.status_code, response.json["error"]) == (400, "invalid_scope")


def test_a_client_without_client_scopes_gets_no_token(web, world):
    partner = world.new_partner(grant_types=frozenset({"client_credentials"}))
    assert request_token(web, partner).json["error"] == "invalid_scope"


def test_a_public_client_may_not_use_the_grant(web, world):
    public = world.new_partner(
        token_endpoint_auth_method="none", grant_types=frozenset({"client_credentials"}),
        client_scopes=frozenset({"schools.list"}),
    )  # fmt: skip
    assert request_token(web, public).json["error"] == "unauthorized_client"


def test_the_token_names_no_person_and_can_be_revoked(web, partner):
    token = request_token(web, partner).json["access_token"]
    assert web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 403
    assert partner.post(web, "/oauth/introspect", {"token": token}).json["active"] is True
    partner.post(web, "/oauth/revoke", {"token": token})
    assert partner.post(web, "/oauth/introspect", {"token": token}).json == {"active": False}
