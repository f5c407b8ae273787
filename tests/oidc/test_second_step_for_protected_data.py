"""Specially protected data is authorised only by a person who signed in with a second step: pages, POSTs, devices."""

from dataclasses import replace
from datetime import timedelta

import pytest

from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.oidc.tokens import device_codes
from idp.oidc.tokens.device_codes import DeviceRequest
from idp.partners import registry
from idp.sharing import authorise, protected_data
from idp.sharing.models import Authorisation
from idp.signin.session import SINGLE, SignedIn
from tests.oidc.devices import GRANTS, Device, enter
from tests.oidc.support import (
    authorisation_page,
    follow_redirects,
    page,
    press,
    redirect_parameters,
    set_up_app,
    sign_in,
    sign_in_and_authorise,
)
from tests.signin.apps import an_app

ALL_SCOPES = "openid profile email organisation offline_access school students attendance students.sen"
pytestmark = pytest.mark.usefixtures("clock")  # must come before the fixture `world`


def consent_page(web, world, partner=None, **overrides):
    return authorisation_page(web, partner or world.partner, world.username, **({"scope": ALL_SCOPES} | overrides))


def sen_checkbox(response):
    return page(response).find(id="area-students.sen")


def press_second_step(web, response):
    """Press the button on a page; returns the page that offers both kinds of second step."""
    response = follow_redirects(web, press(web, response, "second-step"))
    assert page(response).find("h1").text == "Set up a second step"
    return response


def agreed_scopes(world):
    """The scopes of the agreement in force; `None` without one."""
    with world.transaction() as session:
        agreement = session.query(Authorisation).filter_by(superseded_at=None).one_or_none()
        return agreement and agreement.scopes


def test_without_a_second_step_the_area_cannot_be_ticked_and_the_page_says_why(web, world):
    response = consent_page(web, world)
    assert sen_checkbox(response).has_attr("disabled")
    assert not page(response).find(id="area-attendance").has_attr("disabled")
    assert "To share these, you need a second step" in page(response).find("main").get_text(" ")
    params = redirect_parameters(
        follow_redirects(web, press(web, response, "allow", authority="y", area=["attendance"]))
    )
    assert "attendance" in world.partner.redeem(web, params["code"]).json["scope"].split()


def test_a_second_step_is_set_up_during_authorisation_and_the_choices_are_kept(web, world):
    response = press(web, consent_page(web, world), "second-step", area=["attendance"])
    response = set_up_app(web, follow_redirects(web, response))

    assert "Authorise sharing with Assembly" in response.text
    assert page(response).find(id="area-attendance").has_attr("checked")
    assert not sen_checkbox(response).has_attr("disabled")
    response = press(web, response, "allow", authority="y", area=["attendance", "students.sen"])
    granted = (
        world.partner.redeem(web, redirect_parameters(follow_redirects(web, response))["code"]).json["scope"].split()
    )
    assert {"attendance", "students.sen"} <= set(granted)


def test_back_returns_to_the_authorisation_page_without_refusing(web, world):
    response = press_second_step(web, consent_page(web, world))
    response = follow_redirects(web, web.get(page(response).find(id="cancel")["href"]))
    assert "Authorise sharing with Assembly" in response.text


def test_a_forged_tick_is_refused(web, world):
    response = press(web, consent_page(web, world), "allow", authority="y", area=["students.sen"])
    assert response.status_code == 422
    assert "only with a second step" in page(response).find(class_="error-summary").text
    assert agreed_scopes(world) is None


def test_where_a_required_area_is_protected_nothing_can_be_agreed_to_without_a_second_step(web, world):
    partner = world.new_partner(required_scopes=frozenset({"openid", "students.medical"}), optional_scopes=frozenset())
    response = consent_page(web, world, partner, scope="openid students.medical")
    assert page(response).find(id="allow") is None
    forged = web.post(
        response.request.full_path,
        data={field["name"]: field.get("value", "") for field in page(response).select("main input[type=hidden]")}
        | {"authority": "y", "allow": "yes"},
    )
    assert forged.status_code == 422
    assert agreed_scopes(world) is None

    response = set_up_app(web, press_second_step(web, response))
    assert "code" in redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))


def test_a_person_who_has_a_second_step_and_did_not_take_it_signs_in_with_it(web, world, clock):
    response = consent_page(web, world)
    with world.transaction():
        app = an_app(world.person)
    clock.move(timedelta(minutes=1))
    response = follow_redirects(web, press(web, response, "second-step", area=["attendance"]))
    response = follow_redirects(web, sign_in(web, response, world.username))
    response = follow_redirects(web, press(web, response, "sign-in", code=app.code()))
    assert page(response).find(id="area-attendance").has_attr("checked")
    assert not sen_checkbox(response).has_attr("disabled")


def test_giving_protected_data_without_a_second_step_raises(world, transaction):
    with transaction() as session:
        by, client = session.get_one(Administrator, world.person).memberships[0], registry.find(world.partner.id)
        until = authorise.default_end(client)
        with pytest.raises(protected_data.SecondStepNeeded):
            authorise.give(client, client.scopes, by=by, agreement_version="1", until=until)
        assert authorise.give(client, client.scopes, by=by, agreement_version="1", until=until, second_step=True)


def give_agreement(world, *left_out):
    """Give an agreement to all scopes of the client except `left_out`, with a second step."""
    with world.transaction() as session:
        by, client = session.get_one(Administrator, world.person).memberships[0], registry.find(world.partner.id)
        authorise.give(
            client, client.scopes - set(left_out), by=by, agreement_version=client.agreement_version,
            until=authorise.default_end(client), offered=client.scopes, second_step=True,
        )  # fmt: skip


def test_an_earlier_agreement_to_protected_data_is_not_asked_about_again(web, world):
    give_agreement(world)
    params = redirect_parameters(consent_page(web, world))
    assert "students.sen" in world.partner.redeem(web, params["code"]).json["scope"].split()


def test_without_a_second_step_a_change_of_sharing_can_remove_protected_data_but_not_add_it(web, world):
    give_agreement(world)
    follow_redirects(web, sign_in(web, web.get("/sign-in"), world.username))
    change = f"/manage/sharing/{world.partner.id}/change"
    assert not sen_checkbox(web.get(change)).has_attr("disabled")
    press(web, web.get(change), "save", area=["students.sen"])  # removes attendance; the rest of the agreement stays
    assert "students.sen" in agreed_scopes(world)
    press(web, web.get(change), "save", area=[])
    assert "students.sen" not in agreed_scopes(world)

    response = web.get(change)
    assert sen_checkbox(response).has_attr("disabled")
    assert press(web, response, "save", area=["students.sen"]).status_code == 403
    assert "students.sen" not in agreed_scopes(world)
    response = press(web, response, "second-step", area=["attendance"])
    response = set_up_app(web, follow_redirects(web, response))
    assert page(response).find(id="area-attendance").has_attr("checked")
    press(web, response, "save", area=["students.sen"])
    assert "students.sen" in agreed_scopes(world)


def test_a_device_for_protected_data_is_connected_only_with_a_second_step(web, new_browser, world):
    partner = world.new_partner(grant_types=GRANTS | {"authorization_code"})
    give_agreement(replace(world, partner=partner))
    device = Device(new_browser(), partner, scope=ALL_SCOPES)
    device.request_codes()
    response = enter(web, device.codes["user_code"], world.username)
    assert page(response).find(id="allow") is None
    token = page(response).find("input", {"name": "csrf_token"})["value"]
    forged = web.post(response.request.full_path, data={"csrf_token": token, "allow": "yes"})
    assert page(forged).find(id="allow") is None
    assert device.poll().json["error"] == "authorization_pending"

    response = set_up_app(web, press_second_step(web, response))
    assert "is connected" in follow_redirects(web, press(web, response, "allow")).text


def test_approving_a_device_for_protected_data_without_a_second_step_raises(world):
    some = frozenset({"students.sen"})
    request = DeviceRequest(
        digest=b"", browser=b"", client_id=world.partner.id, scopes=some, approved=None, network=None,
        created_at=clocks.now(), is_open=True,
    )  # fmt: skip
    person = SignedIn(
        kind="administrator", id=world.person, name="Jo", estab_id=None, sid="ses_1", auth_time=clocks.now(),
        amr=frozenset({"pwd"}), acr=SINGLE,
    )  # fmt: skip
    with world.transaction(), pytest.raises(protected_data.SecondStepNeeded):
        device_codes.approve(request, person, Authorisation(scopes=some))


def test_a_device_for_other_data_needs_no_second_step(web, new_browser, world):
    partner = world.new_partner(grant_types=GRANTS | {"authorization_code"})
    sign_in_and_authorise(web, partner, world.username, scope="openid students")
    device = Device(new_browser(), partner, scope="openid students")
    device.request_codes()
    assert page(enter(web, device.codes["user_code"])).find(id="allow")
