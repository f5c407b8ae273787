"""Going back or reloading after a form never makes a browser ask whether to send it again: a 303 after every POST."""

from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from idp.estabs import links
from idp.foundation.web import browser_store
from idp.foundation.web.browser_store import KeptForm
from tests.factories import PASSWORD, an_administrator

NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin"}
WRONG = {"username": "nobody", "password": "not this one"}
UNKNOWN = {"client_id": "nobody", "secret": "A" * 43, "registration_id": "reg_nothing", "request_id": "join_nothing"}
"""For the parts of addresses; a route with another fails the walk until it has one here."""


def token(web):
    page = BeautifulSoup(web.get("/sign-in?next=/manage").text, "html.parser")
    return page.find("input", {"name": "csrf_token"})["value"]


def signs_in_wrongly(web, **headers):
    return web.post("/sign-in?next=/manage", data={"csrf_token": token(web)} | WRONG, headers=NAVIGATES | headers)


def rows(work):
    with work() as session:
        return list(session.scalars(select(KeptForm)))


def forms_of_people(app):
    """Every address that takes a POST from a browser, and not from a program."""
    for rule in app.url_map.iter_rules():
        if "POST" in rule.methods and app.view_functions[rule.endpoint].open_to != "client":
            yield rule


def paths(app):
    for rule in forms_of_people(app):
        arguments = {name: UNKNOWN[name] for name in rule.arguments}
        with app.test_request_context():
            yield app.url_map.bind("localhost").build(rule.endpoint, arguments, method="POST")


@pytest.mark.parametrize("fields", [{}, WRONG, {"email": "no address", "name": "", "user_code": "x"}])
@pytest.mark.parametrize("has_token", [True, False])
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_every_form_of_every_page_is_answered_by_a_redirect(app, web, work, fields, has_token, is_signed_in):
    if is_signed_in:
        with work():
            username = an_administrator().username
        signed_in = {"csrf_token": token(web), "username": username, "password": PASSWORD}
        web.post("/sign-in", data=signed_in)
    for path in paths(app):
        sent = {"csrf_token": token(web) if has_token else "of long ago"} | fields
        answer = web.post(path, data=sent, headers=NAVIGATES)
        assert answer.status_code == 303, f"{path} answered {answer.status_code}"
        assert answer.location.startswith("/"), path
        assert not answer.location.startswith("//"), path
        assert web.get(answer.location).status_code < 500, path


def test_every_form_without_a_page_at_its_own_address_says_where_its_page_is(app):
    for rule in forms_of_people(app):
        pages = {one.rule for one in app.url_map.iter_rules() if "GET" in one.methods}
        assert rule.rule in pages or hasattr(app.view_functions[rule.endpoint], "form_page"), rule.rule


def test_the_page_says_what_is_wrong_and_says_it_again_when_it_is_reloaded(web):
    way = signs_in_wrongly(web).location
    assert way.startswith("/sign-in?next=/manage&_answer=")
    for _ in range(2):
        page = web.get(way)
        assert page.status_code == 422
        assert 'value="nobody"' in page.text
        assert WRONG["password"] not in page.text
        soup = BeautifulSoup(page.text, "html.parser")
        assert f"'nonce-{soup.find(nonce=True)['nonce']}'" if soup.find(nonce=True) else True


def test_its_form_can_be_sent_from_there(web, work):
    with work():
        username = an_administrator().username
    way = signs_in_wrongly(web).location
    field = BeautifulSoup(web.get(way).text, "html.parser").find("input", {"name": "csrf_token"})
    right = {"csrf_token": field["value"], "username": username, "password": PASSWORD}

    assert web.post(way, data=right, headers=NAVIGATES).location == "/manage"


def test_a_program_gets_the_answer_itself(web, work):
    answer = web.post("/sign-in", data={"csrf_token": token(web)} | WRONG)
    assert answer.status_code == 422
    assert rows(work) == []


def test_no_other_browser_is_shown_it(web, another):
    way = signs_in_wrongly(web).location
    other = another()
    token(other)
    answer = other.get(way)
    assert (answer.status_code, answer.location) == (303, "/sign-in?next=/manage")


def test_after_half_an_hour_the_page_itself_is_shown(web, clock):
    way = signs_in_wrongly(web).location
    clock.move(timedelta(minutes=31))
    assert web.get(way).location == "/sign-in?next=/manage"


def test_it_is_sealed_and_goes_when_its_time_is_over(web, work, clock):
    signs_in_wrongly(web)
    row = rows(work)[0]
    assert "nobody" not in row.sealed
    clock.move(timedelta(minutes=31))
    signs_in_wrongly(web)
    assert [one.digest for one in rows(work)] != [row.digest]
    assert len(rows(work)) == 1


def test_a_page_that_shows_a_secret_is_kept_nowhere(web, work):
    with work():
        path = links.issue_welcome_url(an_administrator()).removeprefix("http://localhost:5000")
    answer = web.post(path, data={"csrf_token": token(web), "generate": "yes"}, headers=NAVIGATES)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert rows(work) == []


@pytest.mark.parametrize("bound", ["MAX_ROWS_PER_NETWORK", "MAX_ROWS"])
def test_there_are_only_so_many_and_beyond_them_nothing_is_lost(web, work, monkeypatch, bound):
    monkeypatch.setattr(browser_store, bound, 3)
    answers = [signs_in_wrongly(web) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 422, 422]
    assert 'value="nobody"' in answers[-1].text
    assert len(rows(work)) == 3


def test_what_is_too_large_is_not_kept(web, work, monkeypatch):
    monkeypatch.setattr(browser_store, "MAX_BYTES", 100)
    assert signs_in_wrongly(web).status_code == 422
    assert rows(work) == []


def test_where_our_records_are_away_the_answer_is_given_at_once(web, monkeypatch):
    form = {"csrf_token": token(web)} | WRONG

    def away(*_args, **_more):
        raise OperationalError("", None, Exception("away"))

    monkeypatch.setattr(browser_store, "insert", away)
    assert web.post("/sign-in", data=form, headers=NAVIGATES).status_code == 422


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "/nothing/here", "/signed-out"])
def test_nobody_is_led_off_our_host(web, path):
    answer = web.post(path, data={"csrf_token": token(web)}, headers=NAVIGATES)
    assert answer.status_code == 303
    assert answer.location.startswith("/?_answer=")
    assert web.get(answer.location).status_code in {404, 405}


def test_what_another_site_sent_without_cookies_is_answered_for_whoever_has_its_address(another):
    sent = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}
    answer = another().post("/oauth/authorize", data={"client_id": "nobody"}, headers=sent)
    assert answer.status_code == 303
    browser = another()
    token(browser)
    assert browser.get(answer.location).status_code == 400


def test_to_reload_a_page_that_says_later_is_to_try_again(web, clock):
    page = web.get(signs_in_wrongly(web).location)
    while page.status_code == 422:
        way = signs_in_wrongly(web).location
        page = web.get(way)
    assert page.status_code == 429
    assert page.headers["Retry-After"]
    assert web.get(way).location == "/sign-in?next=/manage"
