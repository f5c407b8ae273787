"""A person who acts for two schools: what is agreed, and every token, names the one that they chose."""

import pytest

from idp.estabs.models import Administrator, Membership
from idp.foundation.clock import now
from idp.sharing.models import Authorisation
from tests import factories
from tests.oidc.support import follow, page, press, query_of, sent, sign_in

SCOPE = "openid profile organisation offline_access school students"


@pytest.fixture
def second(world):
    with world.work() as session:
        estab = factories.an_estab()
        factories.a_membership(session.get_one(Administrator, world.person), estab, role="admin")
        return estab


def chooses(web, world, second, **differs):
    """From the partner's link to the page that asks the second school."""
    response = follow(web, web.get(world.partner.link(scope=SCOPE, **differs)))
    response = follow(web, sign_in(web, response, world.username))
    assert page(response).find("h1").text == "Which school are you acting for?"
    choose = web.post(
        response.request.full_path,
        data={"csrf_token": page(response).find("input", {"name": "csrf_token"})["value"], "school": second.estab_id},
    )
    return follow(web, choose)


def authorises(web, world, second):
    got = sent(follow(web, press(web, chooses(web, world, second), "allow", authority="y")))
    return world.partner.redeems(web, got["code"]).json


def test_the_school_is_chosen_inside_the_request_and_named_on_the_page_with_a_way_to_change_it(web, world, second):
    response = chooses(web, world, second)
    text = page(response).find("main").get_text(" ")
    assert second.school.name in text
    assert world.school not in text
    links = [link["href"] for link in page(response).find_all("a") if "Change school" in link.get_text()]
    assert any(link.startswith("/sign-in/school?next=/oauth/authorize") for link in links)


def test_code_tokens_and_claims_name_the_chosen_school(web, world, second):
    tokens = authorises(web, world, second)
    with world.work() as session:
        assert [agreed.estab_id for agreed in session.query(Authorisation)] == [second.id]
    assert world.says(tokens["access_token"])["estab_id"] == second.estab_id
    about = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json
    assert (about["organisation"]["id"], about["role"]) == (second.id, "admin")
    again = world.partner.refreshes(web, tokens["refresh_token"]).json
    assert world.says(again["access_token"])["estab_id"] == second.estab_id


def test_leaving_one_school_ends_its_sharing_and_not_the_others(web, world, second):
    tokens = authorises(web, world, second)
    world.change(Membership, (world.person, world.estab), removed_at=now())
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert web.get("/oauth/userinfo", headers=header).status_code == 200
    world.change(Membership, (world.person, second.id), removed_at=now())
    assert web.get("/oauth/userinfo", headers=header).status_code != 200


def test_a_silent_request_without_a_chosen_school_is_refused(web, world, second):
    follow(web, sign_in(web, web.get("/sign-in"), world.username))
    response = web.get(world.partner.link(scope=SCOPE, prompt="none"))
    assert query_of(response.location)["error"] == "account_selection_required"
