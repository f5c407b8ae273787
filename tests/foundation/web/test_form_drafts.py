"""Signed out while a form was open: sign in, and it is there as it was filled in; nothing was done meanwhile."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from wtforms import PasswordField

from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.foundation.web import browser_store, form_drafts
from idp.foundation.web.browser_store import KeptForm
from idp.foundation.web.forms import Form
from idp.onboarding.models import JoinRequest
from idp.sharing import authorise
from tests.factories import PASSWORD, a_client, an_administrator
from tests.onboarding.makes import a_registration, completed
from tests.signin.person import Person

OURS = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
LATER = timedelta(hours=3)
"""Longer than a session lasts without use."""


@pytest.fixture
def jo(web, work, clock):
    """The owner of a verified school, signed in."""
    with work():
        owner = an_administrator()
        facts = {"id": owner.id, "estab_id": owner.estab_id, "username": owner.username, "school": owner.estab.school}
        person = Person(web, **facts)
    person.signs_in(facts["username"])
    return person


@pytest.fixture
def places(jo, work):
    """What stands in the addresses of pages for people who are signed in."""
    with work() as session:
        client = a_client(client_name="Timetabler")
        owner = session.get_one(Administrator, jo.facts["id"])
        authorise.give(
            client, client.required_scopes | {"students.sen"}, by=owner, agreement="1",
            until=clocks.now() + timedelta(days=365), offered=client.scopes,
        )  # fmt: skip
        completed(a_registration(session.merge(jo.facts["school"]), email="sam@oakhill.example"))
        return {"client_id": client.id, "request_id": session.scalars(select(JoinRequest.id)).one()}


def left_and_came_back(jo, path, clock, **fields):
    """Fill in the page at `path`, be signed out, press the button, and sign in; ends on the page one is led to."""
    jo.opens(path)
    if not jo.token:  # the button stands on another page
        jo.opens("/sign-out")
    sent = {"csrf_token": jo.token} | fields
    clock.move(LATER)
    jo.answer = jo.web.post(path, data=sent, headers=OURS)
    assert jo.answer.status_code == 303
    assert jo.answer.location.startswith("/sign-in?next=/")
    return comes_back(jo, jo.answer.location, jo.facts["username"])


def comes_back(jo, sign_in, username):
    jo.opens(sign_in)
    assert "You had been signed out, so nothing was sent." in jo.sees
    jo.sends_again(sign_in, username=username, password=PASSWORD)
    return jo.opens(jo.answer.location)


def test_every_form_of_someone_signed_in_leads_through_signing_in_to_its_page(app, jo, places, clock):
    walked = []
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if "POST" in rule.methods and view.open_to == "person":
            arguments = {name: places[name] for name in rule.arguments}
            path = app.url_map.bind("localhost").build(rule.endpoint, arguments, method="POST")
            assert left_and_came_back(jo, path, clock, anything="typed").status_code == 200, path
            walked.append(path)
    assert len(walked) >= 6


def test_what_was_ticked_is_ticked_again_and_nothing_has_been_changed(jo, places, clock, work):
    path = f"/manage/sharing/{places['client_id']}/change"
    left_and_came_back(jo, path, clock, area=["attendance"])
    ticked = {box["value"]: box.has_attr("checked") for box in jo.page.find_all("input", {"name": "area"})}
    assert ticked == {"students.sen": False, "attendance": True}
    assert "has not been sent yet" in jo.sees
    with work():
        assert "students.sen" in authorise.current(jo.facts["estab_id"])[0].scopes

    jo.sends_again(path, area="attendance")
    assert jo.answer.location == "/manage"
    jo.opens(path)
    assert "has not been sent yet" not in jo.sees  # it has been now


def test_no_box_ticked_is_a_choice_too(jo, places, clock):
    left_and_came_back(jo, f"/manage/sharing/{places['client_id']}/change", clock, save="yes")
    assert not jo.page.find("input", {"name": "area", "checked": True})


def test_a_choice_among_several_is_made_again_and_nobody_has_joined(jo, places, clock, work):
    left_and_came_back(jo, f"/join/{places['request_id']}", clock, role="viewer", decision="approve")
    assert jo.page.find("input", {"name": "role", "value": "viewer"}).has_attr("checked")
    with work() as session:
        assert session.scalars(select(JoinRequest.used_at)).one() is None


def test_a_button_without_a_page_leads_to_where_it_stands_and_does_nothing(jo, places, clock, work):
    left_and_came_back(jo, f"/manage/sharing/{places['client_id']}/pause", clock)
    assert jo.answer.request.path == "/manage"
    with work():
        assert authorise.current(jo.facts["estab_id"])[0].state == "active"


def test_somebody_else_who_signs_in_there_is_not_shown_it(jo, places, clock, work):
    with work() as session:
        colleague = an_administrator(session.get_one(Administrator, jo.facts["id"]).estab, username="colleague")
        username = colleague.username
    path = f"/manage/sharing/{places['client_id']}/change"
    jo.opens(path)
    sent = {"csrf_token": jo.token, "area": "attendance"}
    clock.move(LATER)
    back = jo.web.post(path, data=sent, headers=OURS).location
    comes_back(jo, back, username)
    assert "has not been sent yet" not in jo.sees
    assert not jo.page.find("input", {"value": "attendance"}).has_attr("checked")


def test_no_other_browser_is_shown_it(jo, places, clock, another):
    path = f"/manage/sharing/{places['client_id']}/change"
    left_and_came_back(jo, path, clock, area="attendance")
    elsewhere = Person(another())
    elsewhere.signs_in(jo.facts["username"])
    elsewhere.opens(path)
    assert not elsewhere.page.find("input", {"value": "attendance"}).has_attr("checked")


def test_secrets_are_not_kept(app, jo, clock, work):
    with work() as session:
        session.get_one(Administrator, jo.facts["id"]).mobile_confirmed_at = None
    left_and_came_back(jo, "/mobile/confirm", clock, code="123456", password="a secret of mine", other="not secret")
    with work() as session:
        row = session.scalars(select(KeptForm)).one()
    name = "typed:/mobile/confirm"
    cookie = app.session_interface.get_signing_serializer(app).loads(jo.cookie("form"))
    with work():
        content = browser_store.get(name, browser=cookie["browser"]).content
    assert b"not secret" in content
    assert b"123456" not in content
    assert b"secret of mine" not in content
    assert "secret" not in row.sealed


def subclasses(of):
    for one in of.__subclasses__():
        yield one
        yield from subclasses(one)


def test_every_password_field_of_ours_is_known_to_be_secret(app):
    fields = {
        name
        for form in subclasses(Form)
        for name in dir(form)
        if getattr(getattr(form, name, None), "field_class", None) is PasswordField
    }
    assert fields
    assert fields <= form_drafts.NEVER_STORED


def test_a_form_that_has_grown_old_comes_back_filled_in(web, work):
    person = Person(web)
    person.opens("/device")
    person.opens("/sign-in")
    sent = {"csrf_token": "of long ago", "username": "3124567", "password": "typed"}
    answer = web.post("/operate/sign-in", data=sent | {"email": "sam@idaas.example"}, headers=OURS)
    assert answer.location == "/operate/sign-in"
    person.opens("/operate/sign-in")
    assert person.page.find(id="email")["value"] == "sam@idaas.example"
    assert "open for a long time, so nothing was sent" in person.sees


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", None])
def test_another_site_fills_in_nothing(web, site, work):
    person = Person(web)
    person.opens("/operate/sign-in")
    headers = {"Sec-Fetch-Site": site} if site else {}
    answer = web.post("/operate/sign-in", data={"email": "evil@evil.example"}, headers=headers)
    assert answer.status_code == 400
    person.opens("/operate/sign-in")
    assert "evil" not in person.answer.text
    with work() as session:
        assert session.scalars(select(KeptForm)).all() == []


def test_an_operator_whose_session_has_ended_signs_in_and_goes_on(app, web, work, clock):
    from idp.signin import operators, session as sessions

    with work() as session:
        operator, _ = operators.add("Sam", "sam@idaas.example")
        session.flush()
        with app.test_request_context():
            sessions.begin(operator.id, sessions.PASSWORD_AND_CODE, kind="operator")
            cookies = app.process_response(app.make_response("")).headers.getlist("Set-Cookie")
    for cookie in cookies:
        name, _, rest = cookie.partition("=")
        web.set_cookie(name, rest.partition(";")[0])
    assert web.get("/operate").status_code == 200
    clock.move(timedelta(hours=1))
    assert web.get("/operate").location == "/operate/sign-in?next=/operate"


def test_whoever_signs_out_leaves_nothing_to_the_next_at_that_browser(jo, places, clock):
    path = f"/manage/sharing/{places['client_id']}/change"
    left_and_came_back(jo, path, clock, area="attendance")
    jo.sends("/sign-out")
    jo.signs_in(jo.facts["username"])
    jo.opens(path)
    assert not jo.page.find("input", {"value": "attendance"}).has_attr("checked")
