"""The address that a page calls while a password is typed: equal responses for everyone, and nothing is stored or
hashed.
"""

import pytest

from idp.estabs import links, strength
from idp.foundation import runtime
from idp.foundation.database import session
from idp.foundation.setting_types import ROOT
from idp.foundation.web.browser_store import BrowserItem
from idp.signin import operators
from idp.signin.models import Guesses
from tests.factories import a_partner, a_school, an_administrator, an_estab

TEMPLATES = ROOT / "idp/templates"
ASK = "/password/strength.json"
GOOD_PASSWORD = "wobbly kettle sings at dusk"


@pytest.fixture
def colleague_without_password(transaction):
    """Someone who was added to a school and has a link to choose a password."""
    with transaction():
        school = a_school(name="St Mary's School", town="Uxbridge")
        person = an_administrator(an_estab(school), name="Jo Bloggs", password_hash=None)
        return {"id": person.id, "link": links.issue_welcome_url(person).partition("localhost")[2].partition("/")[2]}


def ask_strength(browser, typed, **fields):
    """The request that the current page would send."""
    field = browser.page.find("input", {"data-strength": True})
    sent = {"csrf_token": browser.token, "subject": field["data-subject"], "password": typed} | fields
    return browser.web.post(field["data-strength"], data=sent)


PASSWORDS = (GOOD_PASSWORD, "kettle", "St Mary's School", "Uxbridge Bloggs!", "password1234", "", "x" * 5000)


@pytest.mark.parametrize("typed", PASSWORDS)
def test_the_check_and_the_form_give_the_same_result(jo, colleague_without_password, typed):
    jo.open(f"/{colleague_without_password['link']}")
    body = ask_strength(jo, typed).json
    if body["is_accepted"]:
        assert jo.submit(f"/{colleague_without_password['link']}", password=typed).status_code == 303
        return
    jo.submit(f"/{colleague_without_password['link']}", password=typed)
    assert jo.response.status_code == 422
    assert body["message"] in (strength.SHORT_TEXT, jo.page.select_one(".field-error").text.removeprefix("Error: "))


def test_names_of_partners_are_refused_too(jo, colleague_without_password, transaction):
    with transaction():
        a_partner(name="Timetabler Unlimited")
    jo.open(f"/{colleague_without_password['link']}")
    assert "easy to guess" in ask_strength(jo, "Timetabler-Unlimited").json["message"]


def test_everyone_gets_the_same_answer(jo, stranger, colleague_without_password, account):
    """The rating depends on the person of the page, not on the browser or who is signed in there."""
    jo.open(f"/{colleague_without_password['link']}")
    subject = jo.page.find("input", {"data-strength": True})["data-subject"]
    mine = ask_strength(jo, "St Mary's Uxbridge")
    stranger.sign_in(account.username)
    stranger.open("/sign-out")
    sent = {"csrf_token": stranger.token, "subject": subject, "password": "St Mary's Uxbridge"}
    response = stranger.web.post(ASK, data=sent)

    assert (mine.status_code, mine.json) == (response.status_code, response.json)
    assert not mine.json["is_accepted"]


def test_a_person_who_was_removed_and_one_who_never_was_are_alike(jo, app, transaction):
    jo.open("/sign-in")
    with app.app_context():
        subject = strength.seal_subject("adm_unknown")
    response = jo.web.post(ASK, data={"csrf_token": jo.token, "subject": subject, "password": GOOD_PASSWORD})

    assert response.json == {"is_accepted": True, "message": strength.GOOD_TEXT}


def test_an_operators_own_name_is_known(jo, transaction):
    with transaction():
        operator, _ = operators.add("Sam Featherstonehaugh", "sam@idaas.example")
        subject = strength.seal_subject(operator.id)
    jo.open("/sign-in")
    response = jo.web.post(ASK, data={"csrf_token": jo.token, "subject": subject, "password": "Sam-Featherstonehaugh"})

    assert not response.json["is_accepted"]


@pytest.mark.parametrize("subject", ["", "adm_1", "x.y", "test.AAAA", "\N{SNOWMAN}"])
def test_without_a_subject_of_ours_there_is_no_answer(jo, subject):
    jo.open("/sign-in")
    response = jo.web.post(ASK, data={"csrf_token": jo.token, "subject": subject, "password": GOOD_PASSWORD})

    assert response.status_code == 400
    assert response.content_type == "application/problem+json"


def test_another_site_gets_no_answer(jo, colleague_without_password):
    jo.open(f"/{colleague_without_password['link']}")
    response = ask_strength(jo, GOOD_PASSWORD, csrf_token="of another site")

    assert response.status_code == 400
    assert GOOD_PASSWORD not in response.text


def test_the_check_answers_post_requests_only(web):
    assert web.get(f"{ASK}?password={GOOD_PASSWORD}").status_code == 405


def test_nothing_is_hashed_counted_kept_or_logged(
    jo, colleague_without_password, app, transaction, capsys, change_settings
):
    change_settings(server={"log_level": "INFO"})
    jo.open(f"/{colleague_without_password['link']}")
    hashed = runtime.for_app(app).passwords.hashed
    response = ask_strength(jo, GOOD_PASSWORD)

    assert response.json["is_accepted"]
    assert runtime.for_app(app).passwords.hashed == hashed
    assert GOOD_PASSWORD not in capsys.readouterr().out
    assert "no-store" in response.headers["Cache-Control"]
    with transaction():
        assert session().query(BrowserItem).count() == session().query(Guesses).count() == 0


def test_the_check_is_rate_limited(jo, colleague_without_password, change_settings):
    change_settings(throttle={"factor": 1})
    jo.open(f"/{colleague_without_password['link']}")
    statuses = [ask_strength(jo, "kettle").status_code for _ in range(241)]

    assert statuses[:240] == [200] * 240
    assert statuses[240] == 429


def test_every_page_where_a_password_is_chosen_asks_it():
    """Every password field is made by the macro; one that a page wrote itself would have no rating."""
    pages = [path for path in TEMPLATES.rglob("*.html") if path.name != "ui.html"]
    assert [path.name for path in pages if 'autocomplete="new-password"' in path.read_text("utf-8")] == []
    assert len([path for path in pages if "ui.new_password(" in path.read_text("utf-8")]) >= 3
