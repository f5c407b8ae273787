"""Pairwise subjects: a person has a different subject in each sector (OpenID Connect Core §8.1)."""

import json

import pytest

from idp.estabs.models import Estab, Membership
from idp.foundation.clock import now
from tests import factories
from tests.oidc.support import obtain_tokens, query_of, redirect_parameters, sign_in_and_authorise

SECTOR = {"subject_type": "pairwise", "sector_identifier": "assembly.example"}
ALL_SCOPES = "openid profile organisation offline_access school students"


@pytest.fixture
def partner(world):
    return world.new_partner(**SECTOR)


def tokens_of(web, partner, world, **overrides):
    params = sign_in_and_authorise(web, partner, world.username, **({"scope": ALL_SCOPES} | overrides))
    return partner.redeem(web, params["code"]).json


def userinfo(web, token):
    return web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})


def test_a_client_gets_the_same_subject_everywhere(web, world, partner):
    tokens = tokens_of(web, partner, world)
    sub = world.claims(tokens["id_token"], "JWT")["sub"]
    assert sub.startswith("prs_")
    assert world.person not in sub
    assert world.claims(tokens["access_token"])["sub"] == sub
    assert userinfo(web, tokens["access_token"]).json["sub"] == sub
    refreshed = partner.refresh(web, tokens["refresh_token"]).json
    assert world.claims(refreshed["id_token"], "JWT")["sub"] == sub
    assert world.claims(refreshed["access_token"])["sub"] == sub


def test_nothing_else_links_the_subjects_of_two_sectors(web, world, partner):
    other = world.new_partner(**(SECTOR | {"sector_identifier": "reports.example"}))
    first, second = (token_claims(web, application, world) for application in (partner, other))
    assert world.person not in json.dumps([first, second])
    for token in ("id_token", "access_token"):
        for claim in first[token].keys() - {"iss", "aud", "iat", "exp", "auth_time", "acr", "amr", "scope", "nonce"}:
            if not claim.startswith("estab_"):  # both clients may know the school, which authorised them
                assert first[token][claim] != second[token][claim], claim


def token_claims(web, partner, world):
    tokens = tokens_of(web, partner, world, scope="openid offline_access")
    return {"id_token": world.claims(tokens["id_token"], "JWT"), "access_token": world.claims(tokens["access_token"])}


def test_clients_of_one_sector_get_the_same_subject(web, world, partner):
    subjects = {
        world.claims(tokens_of(web, application, world)["id_token"], "JWT")["sub"]
        for application in (partner, world.new_partner(**SECTOR))
    }
    assert len(subjects) == 1


def test_another_sector_gets_another_subject_and_public_clients_the_id(web, world, partner):
    other = world.new_partner(**(SECTOR | {"sector_identifier": "reports.example"}))
    subjects = [
        world.claims(tokens_of(web, application, world)["id_token"], "JWT")["sub"]
        for application in (partner, other, world.partner)
    ]
    assert len(set(subjects)) == 3
    assert subjects[2] == world.person


def test_two_people_of_one_school_have_different_subjects(web, new_browser, world, partner):
    with world.transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="second", name="Sam Lee")
    first = tokens_of(web, partner, world)
    second = obtain_tokens(new_browser(), partner, "second", scope=ALL_SCOPES)
    assert world.claims(first["id_token"], "JWT")["sub"] != world.claims(second["id_token"], "JWT")["sub"]
    assert userinfo(web, second["access_token"]).json["name"] == "Sam Lee"


def test_a_hint_names_the_person_by_the_clients_subject(web, world, partner):
    tokens = tokens_of(web, partner, world)
    assert "code" in redirect_parameters(
        web.get(partner.link(scope=ALL_SCOPES, prompt="none", id_token_hint=tokens["id_token"]))
    )
    sub = world.claims(tokens["id_token"], "JWT")["sub"]
    requested_claims = json.dumps({"id_token": {"sub": {"value": sub}}})
    assert "code" in redirect_parameters(
        web.get(partner.link(scope=ALL_SCOPES, prompt="none", claims=requested_claims))
    )
    by_internal_id = json.dumps({"id_token": {"sub": {"value": world.person}}})
    assert (
        redirect_parameters(web.get(partner.link(scope=ALL_SCOPES, prompt="none", claims=by_internal_id)))["error"]
        == "login_required"
    )


def test_signing_out_accepts_a_hint_with_the_clients_subject(web, world, partner):
    tokens = tokens_of(web, partner, world)
    signed_out_uri = "https://assembly.example/signed-out"
    response = web.get(
        "/oauth/logout",
        query_string={"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": signed_out_uri, "state": "s"},
    )
    assert response.status_code == 303
    assert response.location.startswith(signed_out_uri)
    assert query_of(response.location) == {"state": "s"}


def test_a_person_who_left_is_refused_under_their_pairwise_subject(web, world, partner):
    tokens = tokens_of(web, partner, world)
    world.change(Membership, (world.person, world.estab), removed_at=now())
    assert userinfo(web, tokens["access_token"]).status_code == 403
