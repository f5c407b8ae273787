"""S27, S32: where a school requires a second step, a person who did not take one cannot act for it by any route."""

from datetime import timedelta
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient

from idp.estabs.models import Administrator, Estab
from idp.foundation import clock as clocks
from idp.sharing.models import Authorisation
from tests import factories
from tests.oidc.devices import GRANTS, Device, enter
from tests.oidc.support import (
    follow_redirects,
    page,
    press,
    query_of,
    redirect_parameters,
    set_up_app,
    sign_in,
    sign_in_and_authorise,
)
from tests.signin.apps import an_app

pytestmark = pytest.mark.usefixtures("clock")  # must come before the fixture `world`
SET_UP = "/manage/security/second-step"


def require_second_step(world):
    world.change(Estab, world.estab, second_step_required_at=clocks.now())


def is_set_up_page(response):
    """Whether this is the page on which a person sets up a second step, because the school requires one."""
    return response.request.path == SET_UP and "requires everyone who acts for it to sign in" in response.text


class OpenSession(NamedTuple):
    """A browser that is signed in, and a CSRF token of a form that it has open."""

    web: FlaskClient
    token: str


@pytest.fixture
def browser_without_second_step(web, world):
    """A session that was open when the school began to require a second step."""
    follow_redirects(web, sign_in(web, web.get("/sign-in"), world.username))
    token = page(web.get("/mobile/confirm")).find("input", {"name": "csrf_token"})["value"]
    require_second_step(world)
    return OpenSession(web, token)


def test_every_page_for_a_school_leads_to_the_second_step(app, browser_without_second_step, world):
    web, token = browser_without_second_step
    requests_sent = 0
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static" or app.view_functions[rule.endpoint].open_to != "person":
            continue
        path = app.url_map.bind("localhost").build(rule.endpoint, dict.fromkeys(rule.arguments, "1"), method=None)
        for method in rule.methods & {"GET", "POST"}:
            response = web.open(path, method=method, data={"csrf_token": token} if method == "POST" else None)
            assert response.location.startswith("/sign-in/school?next="), (method, path)
            assert is_set_up_page(follow_redirects(web, response)), (method, path)
            requests_sent += 1
    assert requests_sent > 10


def test_the_authorisation_page_decides_nothing(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    response = follow_redirects(web, sign_in(web, response, world.username))
    require_second_step(world)
    for button in ("allow", "deny"):
        assert is_set_up_page(follow_redirects(web, press(web, response, button, authority="y")))
    with world.transaction() as session:
        assert session.query(Authorisation).count() == 0

    response = set_up_app(web, follow_redirects(web, web.get(response.request.full_path)))
    params = redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))
    claims = world.claims(world.partner.redeem(web, params["code"]).json["id_token"], "JWT")
    assert claims["acr"] == "urn:idaas:acr:multi"


def test_a_standing_agreement_gives_no_code_without_the_second_step(web, world):
    sign_in_and_authorise(web, world.partner, world.username)
    require_second_step(world)
    assert query_of(web.get(world.partner.link(prompt="none")).location)["error"] == "interaction_required"
    response = follow_redirects(web, web.get(world.partner.link()))
    assert is_set_up_page(response)
    params = redirect_parameters(follow_redirects(web, web.get(page(response).find(id="cancel")["href"])))
    assert params["error"] == "access_denied"


def test_a_device_is_not_connected_without_the_second_step(web, new_browser, world):
    partner = world.new_partner(grant_types=GRANTS | {"authorization_code"})
    device = Device(new_browser(), partner)
    sign_in_and_authorise(web, partner, world.username, scope=device.scope)
    device.request_codes()
    response = enter(web, device.codes["user_code"])
    require_second_step(world)
    assert is_set_up_page(follow_redirects(web, press(web, response, "allow")))
    assert device.poll().json["error"] == "authorization_pending"
    response = set_up_app(web, follow_redirects(web, web.get(response.request.full_path)))
    assert "is connected" in follow_redirects(web, press(web, response, "allow")).text


def test_a_person_who_has_a_second_step_signs_in_with_it(browser_without_second_step, world, clock):
    web, _ = browser_without_second_step
    with world.transaction():
        app = an_app(world.person)
    clock.move(timedelta(minutes=1))
    response = follow_redirects(web, web.get("/manage"))
    assert "sign in again, with your second step" in response.text
    response = follow_redirects(web, sign_in(web, response, world.username))
    assert follow_redirects(web, press(web, response, "sign-in", code=app.code())).request.path == "/manage"


def test_another_school_of_the_person_can_still_be_chosen(web, world):
    with world.transaction() as session:
        other = factories.an_estab()
        factories.a_membership(session.get_one(Administrator, world.person), other)
        other_id, other_name = other.estab_id, other.name
    require_second_step(world)
    response = follow_redirects(web, sign_in(web, web.get("/sign-in"), world.username))

    def choose(estab_id):
        token = page(web.get("/sign-in/school")).find("input", {"name": "csrf_token"})["value"]
        return follow_redirects(web, web.post("/sign-in/school", data={"csrf_token": token, "school": estab_id}))

    response = choose(world.estab_id)
    assert is_set_up_page(response)
    assert page(response).find(id="another-school")
    assert follow_redirects(web, web.get("/manage")).request.path == "/sign-in/school"
    assert other_name in page(choose(other_id)).find("h1").text
    response = choose(world.estab_id)
    response = set_up_app(web, response)
    assert world.school in page(follow_redirects(web, web.get("/manage"))).find("h1").text


def test_a_review_for_several_schools_leaves_out_one_that_requires_a_second_step(web, world):
    with world.transaction() as session:
        other = factories.an_estab()
        factories.a_membership(session.get_one(Administrator, world.person), other)
        other_id, other_key = other.estab_id, other.id
    follow_redirects(web, sign_in(web, web.get("/sign-in"), world.username))
    token = page(web.get("/sign-in/school")).find("input", {"name": "csrf_token"})["value"]
    web.post("/sign-in/school", data={"csrf_token": token, "school": world.estab_id})
    response = follow_redirects(web, web.get(world.partner.link()))
    assert page(response).find("input", value=other_id)
    world.change(Estab, other_key, second_step_required_at=clocks.now())
    now_shown = page(follow_redirects(web, web.get(response.request.full_path)))
    assert not now_shown.find("input", value=other_id)
    assert "This school requires a second step when you sign in" in now_shown.find(class_="other-schools").text
    redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y", also=[other_id])))
    with world.transaction() as session:
        assert [agreed.estab_id for agreed in session.query(Authorisation)] == [world.estab]


def test_the_persons_own_account_can_be_opened_to_set_up_a_second_step(browser_without_second_step):
    web, _ = browser_without_second_step
    for path in ("/manage/security", "/manage/security/passkeys/add", "/manage/security/password"):
        assert web.get(path).status_code == 200
