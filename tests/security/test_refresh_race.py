"""security.md S15: refreshes at once, reuse, refresh against revocation and withdrawal (CVE-2026-1035): one live family
or none.
"""

from datetime import timedelta

import pytest

from idp.estabs.models import Administrator
from idp.oidc.models import RefreshFamily
from idp.sharing import authorise
from tests.oidc.support import obtain_tokens
from tests.security.test_code_replay import call_concurrently


@pytest.mark.parametrize(
    "overrides", [{"token_endpoint_auth_method": "none"}, {"rotate_refresh_tokens": True}], ids=["public", "rotating"]
)
def test_fifty_rotations_at_once_never_fork_a_family(web, new_browser, world, clock, overrides):
    partner = world.new_partner(**overrides)
    first = obtain_tokens(web, partner, world.username)
    responses = call_concurrently(50, lambda: partner.refresh(new_browser(), first["refresh_token"]))
    tokens = [response.json for response in responses if response.status_code == 200]
    assert len(tokens) == 50
    successors = {token["refresh_token"] for token in tokens}
    assert len(successors) == 1
    assert len({world.claims(token["access_token"])["lineage"] for token in [first, *tokens]}) == 1
    with world.transaction() as session:
        (family,) = session.query(RefreshFamily)
        assert (family.sequence, family.revoked_at) == (1, None)
    assert partner.refresh(web, successors.pop()).status_code == 200


def test_fifty_uses_at_once_of_a_token_long_replaced_end_the_family(web, new_browser, world, clock):
    public = world.new_partner(token_endpoint_auth_method="none")
    old = obtain_tokens(web, public, world.username)["refresh_token"]
    new = public.refresh(web, old).json
    clock.move(timedelta(minutes=5))
    responses = call_concurrently(50, lambda: public.refresh(new_browser(), old))
    assert {(response.status_code, response.json["error"]) for response in responses} == {(400, "invalid_grant")}
    assert public.refresh(web, new["refresh_token"]).json["error"] == "invalid_grant"
    headers = {"Authorization": f"Bearer {new['access_token']}"}
    assert web.get("/oauth/userinfo", headers=headers).status_code == 401


def test_fifty_refreshes_at_once_of_a_token_without_rotation_all_succeed_in_one_lineage(web, new_browser, world):
    first = obtain_tokens(web, world.partner, world.username)
    responses = call_concurrently(50, lambda: world.partner.refresh(new_browser(), first["refresh_token"]))
    assert {response.status_code for response in responses} == {200}
    assert not any("refresh_token" in response.json for response in responses)
    assert len({world.claims(response.json["access_token"])["lineage"] for response in responses}) == 1
    with world.transaction() as session:
        assert session.query(RefreshFamily).count() == 1


def test_refreshing_against_revoking_leaves_nothing_alive(web, new_browser, world):
    tokens = obtain_tokens(web, world.partner, world.username)
    token = tokens["refresh_token"]
    jobs = iter([lambda w: world.partner.post(w, "/oauth/revoke", {"token": token})] * 2
                + [lambda w: world.partner.refresh(w, token)] * 14)  # fmt: skip
    responses = call_concurrently(16, lambda: next(jobs)(new_browser()))
    assert {response.status_code for response in responses} <= {200, 400}
    assert world.partner.refresh(web, token).json["error"] == "invalid_grant"
    for response in responses:
        if response.status_code == 200 and response.is_json:
            headers = {"Authorization": f"Bearer {response.json['access_token']}"}
            assert web.get("/oauth/userinfo", headers=headers).status_code == 401


def test_refreshing_against_withdrawing_leaves_nothing_alive(web, new_browser, world):
    tokens = obtain_tokens(web, world.partner, world.username)

    def withdraw(_web):
        with world.transaction() as session:
            authorise.withdraw(
                world.estab, world.partner.id, by=session.get_one(Administrator, world.person).memberships[0]
            )

    jobs = iter([withdraw] + [lambda w: world.partner.refresh(w, tokens["refresh_token"])] * 7)
    responses = [
        response for response in call_concurrently(8, lambda: next(jobs)(new_browser())) if response is not None
    ]
    assert world.partner.refresh(web, tokens["refresh_token"]).json["error"] == "invalid_grant"
    for response in responses:
        if response.status_code == 200:
            headers = {"Authorization": f"Bearer {response.json['access_token']}"}
            assert web.get("/oauth/userinfo", headers=headers).status_code == 401
