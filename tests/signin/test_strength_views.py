"""The rating of a password while it is typed: the same for everyone, and nothing is stored or hashed."""

import pytest

from idp.estabs import links, strength
from idp.foundation import runtime
from idp.foundation.database import session
from idp.foundation.setting_types import ROOT
from idp.foundation.web.browser_store import BrowserItem
from idp.signin import operators
from idp.signin.models import Guesses
from tests.factories import a_partner, a_school, an_administrator, an_estab
from tests.mail import path_of

TEMPLATES = ROOT / "idp/templates"
STRENGTH = "/password/strength.json"
GOOD_PASSWORD = "wobbly kettle sings at dusk"


@pytest.fixture
def welcome_path(transaction):
    """The path of the link by which someone who was added to a school chooses a password."""
    with transaction():
        school = a_school(name="St Mary's School", town="Uxbridge")
        person = an_administrator(an_estab(school), name="Jo Bloggs", password_hash=None)
        return path_of(links.issue_welcome_url(person))


def request_strength(browser, typed, **fields):
    """Send the request that the current page would send while this is typed."""
    field = browser.page.find("input", {"data-strength": True})
    sent = {"csrf_token": browser.token, "subject": field["data-subject"], "password": typed} | fields
    return browser.web.post(field["data-strength"], data=sent)


PASSWORDS = (GOOD_PASSWORD, "kettle", "St Mary's School", "Uxbridge Bloggs!", "password1234", "", "x" * 5000)


@pytest.mark.parametrize("typed", PASSWORDS)
def test_the_check_and_the_form_give_the_same_result(jo, welcome_path, typed):
    jo.open(welcome_path)
    body = request_strength(jo, typed).json
    if body["is_accepted"]:
        assert jo.submit(welcome_path, password=typed).status_code == 303
        return
    jo.submit(welcome_path, password=typed)
    assert jo.response.status_code == 422
    assert body["message"] in (strength.SHORT_TEXT, jo.page.select_one(".field-error").text.removeprefix("Error: "))


def test_names_of_partners_are_refused_too(jo, welcome_path, transaction):
    with transaction():
        a_partner(name="Timetabler Unlimited")
    jo.open(welcome_path)
    assert "easy to guess" in request_strength(jo, "Timetabler-Unlimited").json["message"]


def test_everyone_gets_the_same_rating(jo, stranger, welcome_path, account):
    """The rating depends on the person of the page, not on the browser or who is signed in there."""
    jo.open(welcome_path)
    subject = jo.page.find("input", {"data-strength": True})["data-subject"]
    mine = request_strength(jo, "St Mary's Uxbridge")
    stranger.sign_in(account.username)
    stranger.open("/sign-out")
    sent = {"csrf_token": stranger.token, "subject": subject, "password": "St Mary's Uxbridge"}
    response = stranger.web.post(STRENGTH, data=sent)

    assert (mine.status_code, mine.json) == (response.status_code, response.json)
    assert not mine.json["is_accepted"]


def test_an_unknown_person_is_rated_without_names(jo, app, transaction):
    jo.open("/sign-in")
    with app.app_context():
        subject = strength.seal_subject("adm_unknown")
    response = jo.web.post(STRENGTH, data={"csrf_token": jo.token, "subject": subject, "password": GOOD_PASSWORD})

    assert response.json == {"is_accepted": True, "message": strength.GOOD_TEXT}


def test_an_operators_own_name_is_refused(jo, transaction):
    with transaction():
        operator, _ = operators.add("Sam Featherstonehaugh", "sam@idaas.example")
        subject = strength.seal_subject(operator.id)
    jo.open("/sign-in")
    response = jo.web.post(
        STRENGTH, data={"csrf_token": jo.token, "subject": subject, "password": "Sam-Featherstonehaugh"}
    )

    assert not response.json["is_accepted"]


@pytest.mark.parametrize("subject", ["", "adm_1", "x.y", "test.AAAA", "\N{SNOWMAN}"])
def test_a_forged_subject_is_refused(jo, subject):
    jo.open("/sign-in")
    response = jo.web.post(STRENGTH, data={"csrf_token": jo.token, "subject": subject, "password": GOOD_PASSWORD})

    assert response.status_code == 400
    assert response.content_type == "application/problem+json"


def test_a_request_of_another_site_is_refused(jo, welcome_path):
    jo.open(welcome_path)
    response = request_strength(jo, GOOD_PASSWORD, csrf_token="of another site")

    assert response.status_code == 400
    assert GOOD_PASSWORD not in response.text


def test_a_get_request_is_refused(web):
    assert web.get(f"{STRENGTH}?password={GOOD_PASSWORD}").status_code == 405


def test_nothing_is_hashed_counted_stored_or_logged(jo, welcome_path, app, transaction, capsys, change_settings):
    change_settings(server={"log_level": "INFO"})
    jo.open(welcome_path)
    hashed = runtime.for_app(app).passwords.hashed
    response = request_strength(jo, GOOD_PASSWORD)

    assert response.json["is_accepted"]
    assert runtime.for_app(app).passwords.hashed == hashed
    assert GOOD_PASSWORD not in capsys.readouterr().out
    assert "no-store" in response.headers["Cache-Control"]
    with transaction():
        assert session().query(BrowserItem).count() == session().query(Guesses).count() == 0


def test_the_check_is_rate_limited(jo, welcome_path, change_settings):
    change_settings(throttle={"factor": 1})
    jo.open(welcome_path)
    statuses = [request_strength(jo, "kettle").status_code for _ in range(241)]

    assert statuses[:240] == [200] * 240
    assert statuses[240] == 429


def test_every_page_where_a_password_is_chosen_shows_the_rating():
    """Every password field is made by the macro; one that a page wrote itself would have no rating."""
    pages = [path for path in TEMPLATES.rglob("*.html") if path.name != "ui.html"]
    assert [path.name for path in pages if 'autocomplete="new-password"' in path.read_text("utf-8")] == []
    assert len([path for path in pages if "ui.new_password(" in path.read_text("utf-8")]) >= 3
