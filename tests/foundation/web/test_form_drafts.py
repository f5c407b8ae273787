"""Drafts: a form posted after the session ended is shown again, filled in, after signing in; nothing is submitted."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from wtforms import PasswordField

from idp.estabs import person_invitations
from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.foundation.web import browser_store, form_drafts
from idp.foundation.web.browser_store import BrowserItem
from idp.foundation.web.forms import Form
from idp.onboarding.models import JoinRequest
from idp.sharing import authorise
from idp.signin import operators, session as sessions
from tests.factories import PASSWORD, a_client, an_administrator
from tests.onboarding.registrations import a_registration, complete
from tests.signin.apps import an_app
from tests.signin.person import Person

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
SESSION_ENDED = timedelta(hours=3)
"""Longer than a session lasts without use."""


@pytest.fixture
def jo(web, transaction, clock):
    """The owner of a verified school, signed in."""
    with transaction():
        owner = an_administrator()
        facts = {
            "id": owner.id,
            "estab_id": owner.memberships[0].estab_id,
            "username": owner.username,
            "school": owner.memberships[0].estab.school,
        }
        person = Person(web, **facts)
    person.sign_in(facts["username"])
    return person


@pytest.fixture
def url_arguments(jo, transaction):
    """Values for the variable parts of the URLs of pages for signed-in people."""
    with transaction() as session:
        client = a_client(client_name="Timetabler")
        owner = session.get_one(Administrator, jo.facts["id"])
        authorise.give(
            client, client.required_scopes | {"students.sen"}, by=owner.memberships[0], agreement_version="1",
            until=clocks.now() + timedelta(days=365), offered=client.scopes, second_step=True,
        )  # fmt: skip
        complete(a_registration(session.merge(jo.facts["school"]), email="sam@oakhill.example"))
        join_request = session.scalars(select(JoinRequest.id)).one()
        invited = person_invitations.invite("Al Bloggs", "al@oakhill.example", "viewer", by=owner.memberships[0])
        colleague = an_administrator(owner.memberships[0].estab, username="forgetful", role="admin").id
        an_app(colleague)
        return {
            "client_id": client.id, "request_id": join_request, "sid": "ses_unknown", "person_id": colleague,
            "invitation_id": invited.id, "school_id": jo.facts["school"].id,
        }  # fmt: skip


def post_after_session_ended(jo, path, clock, **fields):
    """Open the page at `path`, let the session end, post the form, sign in; returns the page of the redirect."""
    jo.open(path)
    if jo.page.find("input", {"name": "csrf_token"}) is None:  # the button is on another page
        jo.open("/sign-out")
    sent = {"csrf_token": jo.token} | fields
    clock.move(SESSION_ENDED)
    jo.response = jo.web.post(path, data=sent, headers=SAME_ORIGIN)
    assert jo.response.status_code == 303
    assert jo.response.location.startswith("/sign-in?next=/")
    return sign_in_and_return(jo, jo.response.location, jo.facts["username"])


def sign_in_and_return(jo, sign_in_page, username):
    """Sign in, and open the page to which that leads."""
    jo.open(sign_in_page)
    assert "You had been signed out, so nothing was sent." in jo.page_text
    jo.post(sign_in_page, username=username, password=PASSWORD)
    return jo.open(jo.response.location)


def test_every_form_for_signed_in_people_redirects_through_sign_in_to_its_page(app, jo, url_arguments, clock):
    paths = []
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if "passkey_id" in rule.arguments:  # a person who has one is asked for it: tests/manage/test_passkey_views.py
            continue
        if "release_id" in rule.arguments:  # of another school that closed: tests/manage/test_closing_views.py
            continue
        if rule.arguments & {"name", "secret"}:  # of a provider, of which none is configured here; of a link in a mail
            continue
        if "POST" in rule.methods and view.open_to in {"person", "own_account"}:
            arguments = {name: url_arguments[name] for name in rule.arguments}
            path = app.url_map.bind("localhost").build(rule.endpoint, arguments, method="POST")
            response = post_after_session_ended(jo, path, clock, anything="typed")
            if response.status_code == 303:  # a later step, for which nothing waits: back to the page that begins it
                response = jo.open(response.location)
            assert response.status_code == 200, path
            paths.append(path)
    assert len(paths) >= 6


def test_ticked_boxes_of_a_draft_are_ticked_again_and_nothing_has_been_changed(jo, url_arguments, clock, transaction):
    path = f"/manage/sharing/{url_arguments['client_id']}/change"
    post_after_session_ended(jo, path, clock, area=["attendance"])
    ticked = {box["value"]: box.has_attr("checked") for box in jo.page.find_all("input", {"name": "area"})}
    assert ticked == {"students.sen": False, "attendance": True}
    assert "has not been sent yet" in jo.page_text
    with transaction():
        assert "students.sen" in authorise.current(jo.facts["estab_id"])[0].scopes

    jo.post(path, area="attendance")
    assert jo.response.location == "/manage"
    jo.open(path)
    assert "has not been sent yet" not in jo.page_text  # the form has been accepted


def test_a_draft_without_ticked_boxes_is_shown_without_them(jo, url_arguments, clock):
    post_after_session_ended(jo, f"/manage/sharing/{url_arguments['client_id']}/change", clock, save="yes")
    assert not jo.page.find("input", {"name": "area", "checked": True})


def test_a_radio_button_is_selected_again_and_the_join_request_is_undecided(jo, url_arguments, clock, transaction):
    post_after_session_ended(jo, f"/join/{url_arguments['request_id']}", clock, role="viewer", decision="approve")
    assert jo.page.find("input", {"name": "role", "value": "viewer"}).has_attr("checked")
    with transaction() as session:
        assert session.scalars(select(JoinRequest.used_at)).one() is None


def test_a_button_without_a_page_of_its_own_redirects_to_the_page_that_shows_it(jo, url_arguments, clock, transaction):
    post_after_session_ended(jo, f"/manage/sharing/{url_arguments['client_id']}/pause", clock)
    assert jo.response.request.path == "/manage"
    with transaction():
        assert authorise.current(jo.facts["estab_id"])[0].state == "active"


def test_another_person_who_signs_in_at_that_browser_does_not_see_the_draft(jo, url_arguments, clock, transaction):
    with transaction() as session:
        colleague = an_administrator(
            session.get_one(Administrator, jo.facts["id"]).memberships[0].estab, username="colleague"
        )
        username = colleague.username
    path = f"/manage/sharing/{url_arguments['client_id']}/change"
    jo.open(path)
    sent = {"csrf_token": jo.token, "area": "attendance"}
    clock.move(SESSION_ENDED)
    sign_in_page = jo.web.post(path, data=sent, headers=SAME_ORIGIN).location
    sign_in_and_return(jo, sign_in_page, username)
    assert "has not been sent yet" not in jo.page_text
    assert not jo.page.find("input", {"value": "attendance"}).has_attr("checked")


def test_the_same_person_in_another_browser_does_not_see_the_draft(jo, url_arguments, clock, new_browser):
    path = f"/manage/sharing/{url_arguments['client_id']}/change"
    post_after_session_ended(jo, path, clock, area="attendance")
    at_other_browser = Person(new_browser())
    at_other_browser.sign_in(jo.facts["username"])
    at_other_browser.open(path)
    assert not at_other_browser.page.find("input", {"value": "attendance"}).has_attr("checked")


def test_passwords_and_codes_are_not_in_a_draft(app, jo, clock, transaction):
    with transaction() as session:
        session.get_one(Administrator, jo.facts["id"]).mobile_confirmed_at = None
    post_after_session_ended(
        jo, "/mobile/confirm", clock, code="123456", password="a secret of mine", other="not secret"
    )
    with transaction() as session:
        row = session.scalars(select(BrowserItem)).one()
    name = "typed:/mobile/confirm"
    cookie = app.session_interface.get_signing_serializer(app).loads(jo.cookie("form"))
    with transaction():
        content = browser_store.get(name, browser=cookie["browser"]).content
    assert b"not secret" in content
    assert b"123456" not in content
    assert b"secret of mine" not in content
    assert "secret" not in row.sealed


def subclasses(parent):
    for child in parent.__subclasses__():
        yield child
        yield from subclasses(child)


def test_no_password_field_is_ever_stored(app):
    fields = {
        name
        for form in subclasses(Form)
        for name in dir(form)
        if getattr(getattr(form, name, None), "field_class", None) is PasswordField
    }
    assert fields
    assert fields <= form_drafts.NEVER_STORED


def test_a_form_with_an_expired_token_is_shown_again_filled_in(web, transaction):
    person = Person(web)
    person.open("/device")
    person.open("/sign-in")
    sent = {"csrf_token": "of long ago", "username": "3124567", "password": "typed"}
    response = web.post("/operate/sign-in", data=sent | {"email": "sam@idaas.example"}, headers=SAME_ORIGIN)
    assert response.location == "/operate/sign-in"
    person.open("/operate/sign-in")
    assert person.page.find(id="email")["value"] == "sam@idaas.example"
    assert "open for a long time, so nothing was sent" in person.page_text


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", None])
def test_a_form_from_another_site_is_not_saved(web, site, transaction):
    person = Person(web)
    person.open("/operate/sign-in")
    headers = {"Sec-Fetch-Site": site} if site else {}
    response = web.post("/operate/sign-in", data={"email": "evil@evil.example"}, headers=headers)
    assert response.status_code == 400
    person.open("/operate/sign-in")
    assert "evil" not in person.response.text
    with transaction() as session:
        assert session.scalars(select(BrowserItem)).all() == []


def test_an_operator_whose_session_has_ended_signs_in_and_returns(app, web, transaction, clock):
    with transaction() as session:
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


def test_signing_out_makes_the_drafts_of_that_browser_unreadable(jo, url_arguments, clock):
    path = f"/manage/sharing/{url_arguments['client_id']}/change"
    post_after_session_ended(jo, path, clock, area="attendance")
    jo.submit("/sign-out")
    jo.sign_in(jo.facts["username"])
    jo.open(path)
    assert not jo.page.find("input", {"value": "attendance"}).has_attr("checked")
