"""Resource servers of other companies (RFC 8707): the audience of tokens, and who may introspect them."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.estabs.models import Estab
from idp.keys import ring
from idp.partners.models import Client
from idp.sharing.models import Authorisation
from tests.oidc.support import ISSUER, obtain_tokens, redirect_parameters, sign_in_and_authorise
from tests.tampering import tampered

DATA, STAFF = "https://data.example", "https://staff.example"


@pytest.fixture
def api(world):
    """The API that serves what schools share about pupils."""
    return world.new_partner(resource=DATA, resource_scopes=frozenset({"school", "students", "schools.list"}))


def tokens_of(web, world, **parameters):
    return obtain_tokens(web, world.partner, world.username, **parameters)


def audience(world, tokens):
    return world.claims(tokens["access_token"])["aud"]


def introspect(web, partner, token):
    return partner.post(web, "/oauth/introspect", {"token": token}).json


def test_the_audience_of_a_token_is_the_issuer_and_the_apis_of_its_scopes(web, world, api):
    assert audience(world, tokens_of(web, world)) == [ISSUER, DATA]
    assert audience(world, tokens_of(web, world, scope="openid email")) == ISSUER


def test_a_request_may_narrow_the_audience(web, world, api):
    assert audience(world, tokens_of(web, world, resource=DATA)) == DATA
    assert audience(world, tokens_of(web, world, resource=ISSUER)) == ISSUER


def test_a_token_request_may_narrow_the_audience_and_not_widen_it(web, world, api):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    tokens = world.partner.redeem(web, code, resource=DATA).json
    assert audience(world, tokens) == DATA
    refreshed = world.partner.refresh(web, tokens["refresh_token"])
    assert audience(world, refreshed.json) == [ISSUER, DATA]
    narrowed = world.partner.refresh(web, tokens["refresh_token"], resource=ISSUER)
    assert audience(world, narrowed.json) == ISSUER

    narrow = tokens_of(web, world, resource=ISSUER)
    for wider in (DATA, "https://unknown.example"):
        refused = world.partner.refresh(web, narrow["refresh_token"], resource=wider)
        assert refused.json["error"] == "invalid_target"
    assert audience(world, world.partner.refresh(web, narrow["refresh_token"]).json) == ISSUER


def test_no_token_is_issued_for_an_api_that_was_disabled_since_it_was_requested(web, world, api):
    alone, both = tokens_of(web, world, resource=DATA), tokens_of(web, world)
    narrowed = sign_in_and_authorise(web, world.partner, world.username, resource=DATA)["code"]
    link = web.get(world.partner.link(resource=DATA) + f"&resource={ISSUER}")
    with_us = world.partner.redeem(web, redirect_parameters(link)["code"]).json
    world.change(Client, api.id, enabled=False)
    assert world.partner.redeem(web, narrowed).json["error"] == "invalid_target"
    assert world.partner.refresh(web, alone["refresh_token"]).json["error"] == "invalid_target"
    for tokens in (both, with_us):
        assert audience(world, world.partner.refresh(web, tokens["refresh_token"]).json) == ISSUER
    world.change(Client, api.id, enabled=True)
    assert audience(world, world.partner.refresh(web, alone["refresh_token"]).json) == DATA
    assert audience(world, world.partner.refresh(web, with_us["refresh_token"]).json) == [ISSUER, DATA]


def test_an_api_without_scopes_of_the_client_is_an_invalid_target(web, world, api):
    world.new_partner(resource=STAFF, resource_scopes=frozenset({"staff"}))
    for unknown in (STAFF, "https://unknown.example", DATA + "/"):
        assert redirect_parameters(web.get(world.partner.link(resource=unknown)))["error"] == "invalid_target"
    both = web.get(world.partner.link(resource=DATA) + f"&resource={STAFF}")
    assert redirect_parameters(both)["error"] == "invalid_target"


def test_userinfo_refuses_a_token_for_other_audiences(web, world, api):
    token = tokens_of(web, world, resource=DATA)["access_token"]
    assert web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_an_api_introspects_its_tokens_with_the_scopes_it_serves(web, world, api):
    token = tokens_of(web, world)["access_token"]
    response = introspect(web, api, token)
    assert (response["active"], response["client_id"], response["sub"]) == (True, world.partner.id, world.person)
    assert response["scope"] == "school students"
    assert "email" in introspect(web, world.partner, token)["scope"]


def test_tokens_for_others_are_inactive_for_an_api(web, world, api):
    staff = world.new_partner(resource=STAFF, resource_scopes=frozenset({"staff"}))
    for_us = tokens_of(web, world, resource=ISSUER)
    assert introspect(web, api, for_us["access_token"]) == {"active": False}
    assert introspect(web, api, for_us["refresh_token"]) == {"active": False}
    assert introspect(web, staff, tokens_of(web, world)["access_token"]) == {"active": False}


def test_an_ended_token_is_inactive_for_the_api(web, world, api):
    tokens = tokens_of(web, world)
    world.partner.post(web, "/oauth/revoke", {"token": tokens["refresh_token"]})
    assert introspect(web, api, tokens["access_token"]) == {"active": False}


def test_client_credentials_may_name_an_api(web, world, api):
    partner = world.new_partner(
        grant_types=frozenset({"client_credentials"}), client_scopes=frozenset({"schools.list"}),
        required_scopes=frozenset(), optional_scopes=frozenset(),
    )  # fmt: skip
    tokens = partner.post(web, "/oauth/token", {"grant_type": "client_credentials", "resource": DATA}).json
    assert audience(world, tokens) == DATA
    assert introspect(web, api, tokens["access_token"])["scope"] == "schools.list"


@pytest.fixture
def token(web, world, api, clock):
    """An access token for the school's data at `DATA`."""
    return tokens_of(web, world, scope="openid school students offline_access")["access_token"]


def change_agreement(world, **values):
    with world.transaction() as session:
        agreement = session.scalars(select(Authorisation)).one()
        for name, value in values.items():
            setattr(agreement, name, value)


@pytest.mark.parametrize(
    ("column", "status"), [("paused_at", "paused"), ("withdrawn_at", "withdrawn"), ("until", "expired")]
)
def test_introspection_gives_the_reason_why_a_token_is_inactive_to_its_api_alone(
    web, world, api, token, clock, column, status
):
    assert introspect(web, api, token)["active"] is True
    change_agreement(world, **{column: clock.now()})
    assert introspect(web, api, token) == {"active": False, "authorisation_status": status}
    other = world.new_partner(resource=STAFF, resource_scopes=frozenset({"staff"}))
    for client in (world.partner, other, world.new_partner()):
        assert introspect(web, client, token) == {"active": False}


def test_a_signed_response_gives_no_reason(web, world, api, token, clock):
    """RFC 9701 §5: beside `active` being false, other members MUST NOT be included; RFC 7662 §2.2 only says SHOULD."""
    change_agreement(world, paused_at=clock.now())
    accept = {"Accept": "application/token-introspection+jwt"}
    signed = web.post("/oauth/introspect", data={"token": token}, headers=api.basic | accept).text
    with world.transaction():
        claims = ring.verify_hint(signed, typ="token-introspection+jwt")
    assert claims["token_introspection"] == {"active": False}


def test_a_system_that_the_client_does_not_accept_counts_as_a_pause(web, world, api, token):
    world.change(Client, world.partner.id, accepted_mis=frozenset({"arbor"}))
    assert introspect(web, api, token) == {"active": False, "authorisation_status": "paused"}


def test_introspection_gives_no_other_reason_than_the_schools_decision(web, world, api, token, clock):
    narrow = tokens_of(web, world, scope="openid school", resource=ISSUER)["access_token"]
    change_agreement(world, paused_at=clock.now())
    assert introspect(web, api, narrow) == {"active": False}, "it is for us alone"
    for forged in (token[:-1], tampered(token), "x"):
        assert introspect(web, api, forged) == {"active": False}
    world.change(Estab, world.estab, state="suspended")
    assert introspect(web, api, token) == {"active": False}, "why our staff suspend a school is not told"
    world.change(Estab, world.estab, state="verified")
    assert "authorisation_status" in introspect(web, api, token)
    world.partner.post(web, "/oauth/revoke", {"token": token})
    clock.move(timedelta(minutes=11))
    assert introspect(web, api, token) == {"active": False}, "it has expired"


def test_introspection_gives_no_reason_for_a_revoked_token(web, world, api, token, clock):
    world.partner.post(web, "/oauth/revoke", {"token": token})
    change_agreement(world, paused_at=clock.now())
    assert introspect(web, api, token) == {"active": False}
