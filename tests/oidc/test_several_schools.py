"""A person who acts for two schools: the agreement and every token are for the one that they chose."""

import pytest

from idp.estabs.models import Administrator, Estab, Membership
from idp.foundation.clock import now
from idp.partners.models import Client
from idp.sharing import authorise
from idp.sharing.models import Authorisation
from tests import factories
from tests.oidc.support import (
    follow_redirects,
    page,
    press,
    query_of,
    redirect_parameters,
    sign_in,
    sign_in_and_authorise,
)

SCOPE = "openid profile organisation offline_access school students"


@pytest.fixture
def second_estab(world):
    with world.transaction() as session:
        estab = factories.an_estab()
        factories.a_membership(session.get_one(Administrator, world.person), estab, role="admin")
        return estab


def choose_school(web, world, second_estab, **overrides):
    """Follow the partner's link; returns the authorisation page of the second_estab school."""
    response = follow_redirects(web, web.get(world.partner.link(scope=SCOPE, **overrides)))
    response = follow_redirects(web, sign_in(web, response, world.username))
    assert page(response).find("h1").text == "Which school are you acting for?"
    response = web.post(
        response.request.full_path,
        data={
            "csrf_token": page(response).find("input", {"name": "csrf_token"})["value"],
            "school": second_estab.estab_id,
        },
    )
    return follow_redirects(web, response)


def get_tokens(web, world, second_estab):
    """Authorise on the page of the second_estab school, and redeem the code."""
    params = redirect_parameters(
        follow_redirects(web, press(web, choose_school(web, world, second_estab), "allow", authority="y"))
    )
    return world.partner.redeem(web, params["code"]).json


def test_the_school_is_chosen_inside_the_request_and_named_on_the_page_with_a_way_to_change_it(
    web, world, second_estab
):
    response = choose_school(web, world, second_estab)
    text = page(response).find(class_="summary").get_text(" ")
    assert second_estab.school.name in text
    assert world.school not in text
    links = [link["href"] for link in page(response).find_all("a") if "Change school" in link.get_text()]
    assert any(link.startswith("/sign-in/school?next=/oauth/authorize") for link in links)


def test_code_tokens_and_claims_name_the_chosen_school(web, world, second_estab):
    tokens = get_tokens(web, world, second_estab)
    with world.transaction() as session:
        assert [agreed.estab_id for agreed in session.query(Authorisation)] == [second_estab.id]
    assert world.claims(tokens["access_token"])["estab_id"] == second_estab.estab_id
    userinfo = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json
    assert (userinfo["organisation"]["id"], userinfo["role"]) == (second_estab.id, "admin")
    again = world.partner.refresh(web, tokens["refresh_token"]).json
    assert world.claims(again["access_token"])["estab_id"] == second_estab.estab_id


def test_leaving_one_school_ends_its_sharing_and_not_the_others(web, world, second_estab):
    tokens = get_tokens(web, world, second_estab)
    world.change(Membership, (world.person, world.estab), removed_at=now())
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert web.get("/oauth/userinfo", headers=header).status_code == 200
    world.change(Membership, (world.person, second_estab.id), removed_at=now())
    assert web.get("/oauth/userinfo", headers=header).status_code == 403


def test_a_silent_request_without_a_chosen_school_is_refused(web, world, second_estab):
    follow_redirects(web, sign_in(web, web.get("/sign-in"), world.username))
    response = web.get(world.partner.link(scope=SCOPE, prompt="none"))
    assert query_of(response.location)["error"] == "account_selection_required"


def authorise_for(web, world, second_estab, *boxes):
    """Authorise on the page of the second_estab school, with these boxes for other schools ticked."""
    consent_response = choose_school(web, world, second_estab)
    return redirect_parameters(
        follow_redirects(web, press(web, consent_response, "allow", authority="y", also=list(boxes)))
    )


@pytest.mark.parametrize("box", ["the school", "all"])
def test_another_school_is_authorised_in_the_same_review_and_the_code_names_the_chosen_one(
    web, world, second_estab, box
):
    params = authorise_for(web, world, second_estab, world.estab_id if box == "the school" else "all")
    tokens = world.partner.redeem(web, params["code"]).json
    assert world.claims(tokens["access_token"])["estab_id"] == second_estab.estab_id
    with world.transaction() as session:
        agreements = session.query(Authorisation).all()
        assert {agreed.estab_id for agreed in agreements} == {second_estab.id, world.estab}
        assert len({(agreed.scopes, agreed.offered, agreed.until, agreed.given_by) for agreed in agreements}) == 1


def test_a_colleague_at_the_other_school_then_signs_in_without_being_asked(web, new_browser, world, second_estab):
    authorise_for(web, world, second_estab, world.estab_id)
    with world.transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="colleague", role="viewer")
    assert "code" in sign_in_and_authorise(new_browser(), world.partner, "colleague", scope=SCOPE)


def test_after_one_review_the_person_changes_the_school_and_no_page_asks_again(web, world, second_estab):
    authorise_for(web, world, second_estab, world.estab_id)
    token = page(web.get("/sign-in/school")).find("input", {"name": "csrf_token"})["value"]
    web.post("/sign-in/school", data={"csrf_token": token, "school": world.estab_id})
    params = redirect_parameters(follow_redirects(web, web.get(world.partner.link(scope=SCOPE))))
    tokens = world.partner.redeem(web, params["code"]).json
    assert world.claims(tokens["access_token"])["estab_id"] == world.estab_id
    with world.transaction() as session:
        assert session.query(Authorisation).count() == 2  # the boxes of the review


def test_a_school_that_the_person_does_not_act_for_cannot_be_authorised_by_its_id(web, world, second_estab):
    with world.transaction():
        stranger = factories.an_estab()
    authorise_for(web, world, second_estab, stranger.estab_id, "nonsense")
    with world.transaction() as session:
        assert [agreed.estab_id for agreed in session.query(Authorisation)] == [second_estab.id]


def test_a_school_that_the_person_cannot_authorise_is_explained_and_an_error_keeps_the_ticks(web, world, second_estab):
    with world.transaction() as session:
        viewed = factories.an_estab()
        factories.a_membership(session.get_one(Administrator, world.person), viewed, role="viewer")
    consent_response = choose_school(web, world, second_estab)
    assert f"{viewed.name}. Only an owner or an administrator of this school" in page(consent_response).find(
        class_="other-schools"
    ).get_text(" ", strip=True).replace(" .", ".")
    assert page(consent_response).find(id=f"also-{viewed.estab_id}") is None
    again = press(web, consent_response, "allow", also=[world.estab_id])  # without the declaration
    again = follow_redirects(web, again)
    assert page(again).find(id=f"also-{world.estab_id}").has_attr("checked")
    assert page(again).find(class_="other-schools").has_attr("open")


def test_a_school_that_was_authorised_meanwhile_is_reported_on_the_next_page(web, world, second_estab):
    consent_response = choose_school(web, world, second_estab)
    with world.transaction() as session:
        client = session.get_one(Client, world.partner.id)
        by = session.get_one(Membership, (world.person, world.estab))
        authorise.give(
            client, client.required_scopes, by=by, agreement_version="1", until=authorise.default_end(client)
        )
    redirect_parameters(
        follow_redirects(web, press(web, consent_response, "allow", authority="y", also=[world.estab_id]))
    )
    text = page(web.get("/manage")).find("main").get_text(" ", strip=True)
    assert f"was not authorised for {world.school}. It is authorised already" in text


def test_the_page_for_a_person_with_one_school_does_not_mention_others(web, world):
    response = follow_redirects(web, web.get(world.partner.link(scope=SCOPE)))
    assert page(follow_redirects(web, sign_in(web, response, world.username))).find(class_="other-schools") is None
