"""The page on which a school authorises sharing, and the result of each button."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.estabs.models import Administrator, Estab
from idp.partners.models import Client
from idp.sharing.models import Authorisation, Decision
from tests import factories
from tests.oidc.support import (
    authorisation_page,
    follow_redirects,
    page,
    press,
    redirect_parameters,
    sign_in_and_authorise,
)

ALL_SCOPES = "openid profile email organisation offline_access school students attendance students.sen"


def consent_page(web, world, partner=None, username=None, **overrides):
    overrides = {"scope": ALL_SCOPES} | overrides
    return authorisation_page(web, partner or world.partner, username or world.username, **overrides)


def agreed_scopes_and_version(world):
    with world.transaction() as session:
        current = session.scalars(select(Authorisation).where(Authorisation.superseded_at.is_(None))).one()
        return current.scopes, current.agreement


def test_the_page_names_the_partner_the_areas_their_purpose_and_the_end(web, world, clock):
    response = consent_page(web, world)
    text = page(response).find(id="main").get_text(" ", strip=True)
    for words in (
        "Authorise sharing with Assembly", world.school, "Jo Bloggs", "Showing schools what their data says.",
        "Data the service needs", "Pupils", "Legal and preferred name", "Data you can choose to share", "Attendance",
        "version 2026-01", "privacy notice", "until 2 March 2027", "I have authority to agree to this",
    ):  # fmt: skip
        assert words in text, words
    for jargon in ("OAuth", "scope", "client", "consent"):
        assert jargon not in text


def test_terms_of_service_are_linked_where_the_partner_names_them(web, new_browser, world):
    terms = "https://reports.example/terms"
    partner = world.new_partner(tos_uri=terms)

    assert "terms of service" not in consent_page(web, world).text
    assert page(consent_page(new_browser(), world, partner)).find("a", href=terms).text.startswith("terms of service")


def test_special_category_data_is_marked(web, world):
    soup = page(consent_page(web, world))
    option = soup.find(id="area-students.sen").find_parent(class_="option")
    assert "Specially protected" in option.text
    assert "Specially protected" not in soup.find(id="area-attendance").find_parent(class_="option").text


def test_optional_areas_are_off_until_ticked_and_then_remembered(web, world, clock):
    response = consent_page(web, world)
    assert not page(response).find(id="area-attendance").has_attr("checked")
    params = redirect_parameters(
        follow_redirects(web, press(web, response, "allow", authority="y", area=["attendance"]))
    )
    assert "attendance" in world.partner.redeem(web, params["code"]).json["scope"].split()
    scopes, version = agreed_scopes_and_version(world)
    assert "attendance" in scopes
    assert "students.sen" not in scopes
    assert version == "2026-01"

    clock.move(timedelta(minutes=1))
    response = follow_redirects(web, web.get(world.partner.link(scope=ALL_SCOPES, prompt="consent")))
    assert page(response).find(id="area-attendance").has_attr("checked")
    assert not page(response).find(id="area-students.sen").has_attr("checked")


def test_an_area_that_was_left_out_is_not_asked_about_again(web, world):
    redirect_parameters(follow_redirects(web, press(web, consent_page(web, world), "allow", authority="y")))
    params = redirect_parameters(web.get(world.partner.link(scope=ALL_SCOPES)))
    response = world.partner.redeem(web, params["code"]).json
    assert "attendance" not in response["scope"].split()
    assert "students" in response["scope"].split()


def test_only_new_areas_are_asked_about_and_agreed_ones_stay(web, world):
    sign_in_and_authorise(web, world.partner, world.username, scope="openid offline_access students")
    response = follow_redirects(web, web.get(world.partner.link(scope="openid offline_access attendance")))
    assert page(response).find(id="area-attendance")
    redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y", area=["attendance"])))
    assert agreed_scopes_and_version(world)[0] == frozenset({"openid", "offline_access", "students", "attendance"})


def test_without_the_declaration_nothing_is_agreed_and_what_was_ticked_stays(web, world):
    response = press(web, consent_page(web, world), "allow", area=["attendance"])
    assert response.status_code == 422
    assert "Tick the box if you have authority" in page(response).find(class_="error-summary").text
    assert page(response).find(id="area-attendance").has_attr("checked")
    with world.transaction() as session:
        assert session.query(Authorisation).count() == 0


def test_a_request_about_the_person_alone_needs_no_authority(web, world):
    response = consent_page(web, world, scope="openid profile")
    assert page(response).find(id="authority") is None
    assert "Sign in to Assembly" in response.text
    params = redirect_parameters(follow_redirects(web, press(web, response, "allow")))
    assert world.partner.redeem(web, params["code"]).json["scope"] == "openid profile"


def test_refusing_is_access_denied_and_is_recorded_as_a_decision(web, world):
    params = redirect_parameters(follow_redirects(web, press(web, consent_page(web, world), "deny")))
    assert params["error"] == "access_denied"
    with world.transaction() as session:
        decision = session.scalars(select(Decision)).one()
        assert decision.what == "refused"
        assert decision.by == world.person
        assert "students" in decision.scopes


def test_a_required_area_cannot_be_left_out_by_forging_the_form(web, world):
    press(web, consent_page(web, world), "allow", authority="y", area=[])
    assert {"school", "students"} <= agreed_scopes_and_version(world)[0]


def test_an_area_that_was_not_asked_for_cannot_be_forged(web, world):
    partner = world.new_partner()
    response = consent_page(web, world, partner, scope="openid students")
    press(web, response, "allow", authority="y", area=["attendance", "staff"])
    assert agreed_scopes_and_version(world)[0] == frozenset({"openid", "students"})


def test_an_agreement_that_changed_while_the_page_was_open_is_shown_again(web, world):
    response = consent_page(web, world)
    world.change(Client, world.partner.id, agreement_version="2026-02")
    response = press(web, response, "allow", authority="y")
    assert "has changed since you opened it" in response.text
    assert "version 2026-02" in response.text
    redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))
    assert agreed_scopes_and_version(world)[1] == "2026-02"


def test_an_unverified_school_is_told_that_data_waits_for_our_check(web, world):
    world.change(Estab, world.estab, state="unverified")
    assert "No data leaves your school yet" in consent_page(web, world).text


def test_a_viewer_is_told_who_can_decide(web, world):
    with world.transaction() as session:
        estab = session.get_one(Estab, world.estab)
        factories.an_administrator(estab, username="viewer", role="viewer", name="Vi Viewer")
        owner = session.get_one(Administrator, world.person)
        name, email = owner.name, owner.email
    response = consent_page(web, world, username="viewer")
    assert response.status_code == 403
    assert name in response.text
    assert email in response.text
    assert redirect_parameters(follow_redirects(web, press(web, response, "deny")))["error"] == "access_denied"


def test_a_viewer_signs_in_where_the_school_has_agreed_already(web, new_browser, world):
    sign_in_and_authorise(web, world.partner, world.username)
    with world.transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="viewer", role="viewer")
    assert "code" in sign_in_and_authorise(new_browser(), world.partner, "viewer")


def test_names_with_markup_are_escaped(web, world):
    hostile = '"><script>alert(1)</script>'
    partner = world.new_partner(client_name=hostile, purpose=hostile, agreement_version=hostile)
    assert "<script>alert" not in consent_page(web, world, partner).text


@pytest.mark.parametrize(("site", "kept"), [("same-origin", True), ("cross-site", False), (None, False)])
def test_ticks_of_an_expired_page_are_kept_and_those_sent_by_another_site_are_not(web, world, site, kept):
    response = consent_page(web, world)
    path, headers = response.request.full_path, {"Sec-Fetch-Site": site} if site else {}
    expired = web.post(path, data={"csrf_token": "of before", "area": ["attendance"]}, headers=headers)
    assert expired.status_code == (303 if kept else 400)

    assert page(web.get(path)).find(id="area-attendance").has_attr("checked") is kept
