"""S17, S19: whatever ends an authorisation ends it at once, at every endpoint (CVE-2026-43983, CVE-2025-64521).

Withdraw, pause, expire, suspend, disable, remove the person: the next refresh, userinfo and code exchange are refused.
"""

from datetime import timedelta

import pytest

from idp.estabs.models import Administrator, Estab, Membership
from idp.partners.models import Client, Partner
from idp.sharing import authorise
from tests.oidc.support import obtain_tokens, sign_in_and_authorise


def owner(session, world):
    return session.get_one(Administrator, world.person)


def withdraw(world, clock):
    with world.transaction() as session:
        authorise.withdraw(world.estab, world.partner.id, by=owner(session, world).memberships[0])


def pause(world, clock):
    with world.transaction() as session:
        authorise.pause(world.estab, world.partner.id, by=owner(session, world).memberships[0])


def expire(world, clock):
    clock.move(timedelta(days=366))


def set_estab_state(state):
    def set_state(world, clock):
        world.change(Estab, world.estab, state=state)

    set_state.__name__ = f"estab_{state}"
    return set_state


def disable_client(world, clock):
    world.change(Client, world.partner.id, enabled=False)


def disable_partner(world, clock):
    with world.transaction() as session:
        partner_id = session.get_one(Client, world.partner.id).partner_id
    world.change(Partner, partner_id, disabled_at=clock.now())


suspend = set_estab_state("suspended")
INTERRUPTIONS = {pause, suspend}
"""Changes that may be undone, so that the refresh token stays valid for later."""
ENDINGS = [
    withdraw, pause, expire, suspend, set_estab_state("closed"), set_estab_state("rejected"), disable_client,
    disable_partner,
]  # fmt: skip


@pytest.fixture
def code(web, world, clock):
    return sign_in_and_authorise(web, world.partner, world.username)["code"]


@pytest.fixture
def tokens(web, world, clock):
    return obtain_tokens(web, world.partner, world.username)


def userinfo(web, tokens):
    return web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})


@pytest.mark.parametrize("end", ENDINGS)
def test_a_refresh_ends_with_the_authorisation(web, world, clock, tokens, end):
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200
    end(world, clock)
    response = world.partner.refresh(web, tokens["refresh_token"])
    assert response.json["error"] in (
        {"access_denied"} if end in INTERRUPTIONS else {"invalid_grant", "invalid_client"}
    )


@pytest.mark.parametrize("end", ENDINGS)
def test_userinfo_ends_with_the_authorisation(web, world, clock, tokens, end):
    assert userinfo(web, tokens).status_code == 200
    end(world, clock)
    assert userinfo(web, tokens).status_code == 401


@pytest.mark.parametrize("end", ENDINGS)
def test_a_code_issued_before_is_refused(web, world, clock, code, end):
    end(world, clock)
    response = world.partner.redeem(web, code)
    assert response.json["error"] in {"invalid_grant", "invalid_client"}


@pytest.mark.parametrize("end", [withdraw, pause, expire])
def test_a_new_request_asks_again(web, world, clock, tokens, end):
    end(world, clock)
    response = web.get(world.partner.link(prompt="none"))
    assert "error=consent_required" in response.location or "error=login_required" in response.location


def test_resuming_allows_access_again(web, world, clock, tokens):
    pause(world, clock)
    with world.transaction() as session:
        authorise.resume(world.estab, world.partner.id, by=owner(session, world).memberships[0])
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200


def test_a_new_agreement_does_not_revive_the_tokens_of_a_withdrawn_one(web, world, clock, tokens):
    withdraw(world, clock)
    sign_in_and_authorise(web, world.partner, world.username)
    assert world.partner.refresh(web, tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert userinfo(web, tokens).status_code == 401


def test_after_a_person_left_only_the_schools_data_is_granted(web, world, clock, tokens):
    world.change(Membership, (world.person, world.estab), removed_at=clock.now())
    response = world.partner.refresh(web, tokens["refresh_token"]).json
    assert response["scope"] == "school students"
    assert "id_token" not in response
    assert userinfo(web, response).status_code == 403


def test_areas_that_were_removed_are_not_granted_at_the_next_refresh(web, world, clock):
    scope = "openid offline_access school students attendance"
    params = sign_in_and_authorise(web, world.partner, world.username, "attendance", scope=scope)
    tokens = world.partner.redeem(web, params["code"]).json
    assert "attendance" in tokens["scope"]
    with world.transaction() as session:
        agreed = frozenset(scope.split()) - {"attendance"}
        authorise.change(world.estab, world.partner.id, agreed, by=owner(session, world).memberships[0])
    assert "attendance" not in world.partner.refresh(web, tokens["refresh_token"]).json["scope"]
