"""An owner who comes from a partner is offered a second step on the authorisation page, and can put it off there."""

from datetime import timedelta

import pytest

from idp.estabs.models import Membership
from tests.oidc.support import authorisation_page, follow_redirects, page, press, redirect_parameters, set_up_app
from tests.signin.apps import an_app

pytestmark = pytest.mark.usefixtures("clock")  # must come before the fixture `world`
SCOPE = "openid profile school students attendance"


def consent_page(web, world, **overrides):
    return authorisation_page(web, world.partner, world.username, **({"scope": SCOPE} | overrides))


def is_offered(response):
    return "Protect your account" in response.text


def test_the_offered_second_step_is_set_up_and_the_choices_are_kept(web, world):
    response = consent_page(web, world)
    assert is_offered(response)
    response = set_up_app(web, follow_redirects(web, press(web, response, "second-step", area=["attendance"])))
    assert page(response).find(id="area-attendance").has_attr("checked")
    assert not is_offered(response)
    assert "code" in redirect_parameters(
        follow_redirects(web, press(web, response, "allow", authority="y", area=["attendance"]))
    )


def test_back_returns_to_the_authorisation_page(web, world):
    response = follow_redirects(web, press(web, consent_page(web, world), "second-step"))
    assert "With a second step, someone who learns your password" in response.text
    assert is_offered(follow_redirects(web, web.get(page(response).find(id="cancel")["href"])))


def test_not_now_hides_the_offer_for_30_days_and_keeps_the_choices(web, world, clock):
    response = follow_redirects(web, press(web, consent_page(web, world), "not-now", area=["attendance"]))
    assert page(response).find(id="area-attendance").has_attr("checked")
    assert "has not been sent yet" not in response.text
    assert not is_offered(response)
    assert "Set up a second step" not in web.get("/manage").text
    clock.move(timedelta(days=30))
    assert is_offered(consent_page(web, world))


def test_a_second_step_is_not_offered_where_protected_data_needs_one(web, world):
    response = consent_page(web, world, scope=f"{SCOPE} students.sen")
    assert not is_offered(response)
    assert page(response).find(id="second-step")


def test_a_second_step_is_not_offered_to_an_admin(web, world):
    world.change(Membership, (world.person, world.estab), role="admin")
    assert not is_offered(consent_page(web, world))


def test_a_second_step_is_not_offered_to_an_owner_who_has_one(web, world, clock):
    with world.transaction():
        app = an_app(world.person)
    clock.move(timedelta(minutes=1))
    assert not is_offered(follow_redirects(web, press(web, consent_page(web, world), "sign-in", code=app.code())))
