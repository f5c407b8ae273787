"""Every POST gets a 303, so that going back or reloading never makes a browser ask to submit it again."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from idp.estabs import links
from idp.foundation.setting_types import ROOT
from idp.foundation.web import browser_store
from idp.foundation.web.browser_store import BrowserItem
from tests.factories import PASSWORD, an_administrator
from tests.html import parse

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin"}
WRONG_PASSWORD = {"username": "unknown", "password": "not this one"}
UNKNOWN_ARGUMENTS = {
    "client_id": "unknown",
    "sid": "ses_unknown",
    "secret": "A" * 43,
    "registration_id": "reg_unknown",
    "request_id": "join_unknown",
    "passkey_id": "pky_unknown",
    "person_id": "adm_unknown",
    "name": "nothing",
    "invitation_id": "inv_unknown",
    "event_id": "evt_unknown",
    "developer_id": "dev_unknown",
    "partner_id": "par_unknown",
    "estab_id": "nothing",
    "school_id": "0",
    "release_id": "rel_unknown",
}
"""Values for the variable parts of URLs; a route with another part fails until it is added here."""


def csrf_token(web):
    page = parse(web.get("/sign-in?next=/manage").text)
    return page.find("input", {"name": "csrf_token"})["value"]


def sign_in_wrongly(web, **headers):
    """Post a wrong password, as a browser does; returns the response."""
    return web.post(
        "/sign-in?next=/manage", data={"csrf_token": csrf_token(web)} | WRONG_PASSWORD, headers=NAVIGATION | headers
    )


def stored_pages(transaction):
    with transaction() as session:
        return list(session.scalars(select(BrowserItem)))


def browser_routes(app):
    """Every route that accepts a POST from a browser, not from a program or a page's script."""
    for rule in app.url_map.iter_rules():
        if "POST" not in rule.methods or rule.rule.endswith(".json"):
            continue
        if app.view_functions[rule.endpoint].open_to != "client":
            yield rule


def paths(app):
    for rule in browser_routes(app):
        arguments = {name: UNKNOWN_ARGUMENTS[name] for name in rule.arguments}
        with app.test_request_context():
            yield app.url_map.bind("localhost").build(rule.endpoint, arguments, method="POST")


@pytest.mark.parametrize("fields", [{}, WRONG_PASSWORD, {"email": "no address", "name": "", "user_code": "x"}])
@pytest.mark.parametrize("has_token", [True, False])
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_every_form_of_every_page_gets_a_redirect(app, web, transaction, fields, has_token, is_signed_in):
    if is_signed_in:
        with transaction():
            username = an_administrator().username
        signed_in = {"csrf_token": csrf_token(web), "username": username, "password": PASSWORD}
        web.post("/sign-in", data=signed_in)
    for path in paths(app):
        sent = {"csrf_token": csrf_token(web) if has_token else "of long ago"} | fields
        response = web.post(path, data=sent, headers=NAVIGATION)
        assert response.status_code == 303, f"{path} returned {response.status_code}"
        assert response.location.startswith("/"), path
        assert not response.location.startswith("//"), path
        assert web.get(response.location).status_code < 500, path


def test_every_form_without_a_page_at_its_own_url_declares_its_page(app):
    for rule in browser_routes(app):
        pages = {other.rule for other in app.url_map.iter_rules() if "GET" in other.methods}
        assert rule.rule in pages or hasattr(app.view_functions[rule.endpoint], "form_page"), rule.rule


def test_a_stored_page_shows_the_errors_also_when_reloaded(web):
    location = sign_in_wrongly(web).location
    assert location.startswith("/sign-in?next=/manage&_answer=")
    policies = set()
    for _ in range(2):
        page = web.get(location)
        policies.add(page.headers["Content-Security-Policy"])
        assert page.status_code == 422
        assert 'value="unknown"' in page.text
        assert WRONG_PASSWORD["password"] not in page.text
    assert len(policies) == 1, "the policy, with the nonce of the page's scripts, is stored with it"


def test_the_form_on_a_stored_page_can_be_posted(web, transaction):
    with transaction():
        username = an_administrator().username
    location = sign_in_wrongly(web).location
    field = parse(web.get(location).text).find("input", {"name": "csrf_token"})
    form = {"csrf_token": field["value"], "username": username, "password": PASSWORD}

    assert web.post(location, data=form, headers=NAVIGATION).location == "/manage"


def test_a_program_gets_the_page_as_the_response_to_its_post(web, transaction):
    response = web.post("/sign-in", data={"csrf_token": csrf_token(web)} | WRONG_PASSWORD)
    assert response.status_code == 422
    assert stored_pages(transaction) == []


def test_another_browser_does_not_see_the_stored_page(web, new_browser):
    location = sign_in_wrongly(web).location
    other = new_browser()
    csrf_token(other)
    response = other.get(location)
    assert (response.status_code, response.location) == (303, "/sign-in?next=/manage")


def test_a_stored_page_is_replaced_by_the_form_after_half_an_hour(web, clock):
    location = sign_in_wrongly(web).location
    clock.move(timedelta(minutes=31))
    assert web.get(location).location == "/sign-in?next=/manage"


def test_a_stored_page_is_encrypted_and_deleted_after_it_expired(web, transaction, clock):
    sign_in_wrongly(web)
    row = stored_pages(transaction)[0]
    assert "unknown" not in row.sealed
    clock.move(timedelta(minutes=31))
    sign_in_wrongly(web)
    assert [item.digest for item in stored_pages(transaction)] != [row.digest]
    assert len(stored_pages(transaction)) == 1


def test_a_page_that_shows_a_secret_is_not_stored(web, transaction):
    with transaction():
        path = links.issue_welcome_url(an_administrator()).removeprefix("http://localhost:5000")
    response = web.post(path, data={"csrf_token": csrf_token(web), "generate": "yes"}, headers=NAVIGATION)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert stored_pages(transaction) == []


@pytest.mark.parametrize("bound", ["MAX_ROWS_PER_NETWORK", "MAX_ROWS"])
def test_beyond_the_limit_of_stored_pages_the_page_is_the_response_to_the_post(web, transaction, monkeypatch, bound):
    monkeypatch.setattr(browser_store, bound, 3)
    responses = [sign_in_wrongly(web) for _ in range(5)]
    assert [response.status_code for response in responses] == [303, 303, 303, 422, 422]
    assert 'value="unknown"' in responses[-1].text
    assert len(stored_pages(transaction)) == 3


def test_a_page_that_is_too_large_is_not_stored(web, transaction, monkeypatch):
    monkeypatch.setattr(browser_store, "MAX_ITEM_BYTES", 100)
    assert sign_in_wrongly(web).status_code == 422
    assert stored_pages(transaction) == []


def test_without_the_database_the_page_is_the_response_to_the_post(web, monkeypatch):
    form = {"csrf_token": csrf_token(web)} | WRONG_PASSWORD

    def unreachable(*_args, **_more):
        raise OperationalError("", None, Exception("away"))

    monkeypatch.setattr(browser_store, "insert", unreachable)
    assert web.post("/sign-in", data=form, headers=NAVIGATION).status_code == 422


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "/nothing/here", "/signed-out"])
def test_a_post_to_any_path_redirects_within_our_host(web, path):
    response = web.post(path, data={"csrf_token": csrf_token(web)}, headers=NAVIGATION)
    assert response.status_code == 303
    assert response.location.startswith("/?_answer=")
    assert web.get(response.location).status_code in {404, 405}


def test_a_cross_site_post_without_cookies_is_stored_for_any_browser_with_its_url(new_browser):
    sent = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}
    response = new_browser().post("/oauth/authorize", data={"client_id": "unknown"}, headers=sent)
    assert response.status_code == 303
    browser = new_browser()
    csrf_token(browser)
    assert browser.get(response.location).status_code == 400


def test_reloading_a_page_with_retry_after_opens_the_form_again(web, clock):
    page = web.get(sign_in_wrongly(web).location)
    while page.status_code == 422:
        location = sign_in_wrongly(web).location
        page = web.get(location)
    assert page.status_code == 429
    assert page.headers["Retry-After"]
    assert web.get(location).location == "/sign-in?next=/manage"


def test_no_script_reloads_a_stored_response():
    scripts = list((ROOT / "idp" / "static").glob("*.js"))
    assert scripts
    assert not [script.name for script in scripts if "location.reload" in script.read_text("utf-8")]
