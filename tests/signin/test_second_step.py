"""The second step of a sign-in, over HTTP."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.estabs import people
from idp.estabs.models import Administrator, Estab
from idp.foundation import clock as clocks, runtime
from idp.signin import guesses, password, session as sessions
from idp.signin.models import BrowserSession, Guesses, HalfSignIn
from tests.factories import PASSWORD, an_administrator
from tests.signin.apps import an_app

pytestmark = pytest.mark.usefixtures("clock")  # must come before any account is made
TIME_STEP = timedelta(seconds=30)
PAGE = "/sign-in/second-step?next=/mobile/confirm"


@pytest.fixture
def app_of_jo(transaction, account, clock):
    with transaction():
        app = an_app(account.id)
    clock.move(TIME_STEP)
    return app


@pytest.fixture
def at_second_step(jo, account, app_of_jo):
    """Jo has typed the right password and sees the page of the second step."""
    jo.sign_in(account.username, back="/mobile/confirm")
    jo.open(jo.response.location)
    return jo


def test_the_password_alone_leads_to_the_second_step_and_does_not_sign_in(jo, account, app_of_jo):
    response = jo.sign_in(account.username, back="/mobile/confirm")

    assert (response.status_code, response.location) == (303, PAGE)
    assert jo.cookie("session") is None
    assert not jo.is_signed_in()


def test_a_code_of_the_app_completes_the_sign_in_and_says_how_it_was_done(
    at_second_step, app_of_jo, account, transaction
):
    response = at_second_step.post(PAGE, code=f" {app_of_jo.code()[:3]} {app_of_jo.code()[3:]}")

    assert (response.status_code, response.location) == (303, "/mobile/confirm")
    assert at_second_step.is_signed_in()
    with transaction() as session:
        row = session.scalars(select(BrowserSession).where(BrowserSession.person_id == account.id)).one()
        assert (row.amr, row.acr) == (frozenset({"pwd", "otp", "mfa"}), sessions.MULTI)


def test_a_wrong_code_is_explained_and_the_right_one_works_afterwards(at_second_step, app_of_jo):
    at_second_step.post(PAGE, code=app_of_jo.wrong)

    assert at_second_step.response.status_code == 422
    assert "That is not the code that we expect now." in at_second_step.page_text
    assert at_second_step.post(PAGE, code=app_of_jo.code()).location == "/mobile/confirm"


def test_an_empty_code_is_explained(at_second_step):
    at_second_step.post(PAGE, code=" ")

    assert "Type the six digits your app shows." in at_second_step.page_text


def test_a_half_sign_in_works_in_its_browser_only(at_second_step, stranger, app_of_jo):
    stranger.open(PAGE)

    assert stranger.response.location == "/sign-in?next=/mobile/confirm"
    assert stranger.submit("/sign-in", csrf_token="x").status_code == 400
    stranger.open("/sign-in")
    assert stranger.post(PAGE, code=app_of_jo.code()).location == "/sign-in?next=/mobile/confirm"
    assert not stranger.is_signed_in()


def test_a_half_sign_in_works_for_ten_minutes(at_second_step, app_of_jo, clock):
    clock.move(timedelta(minutes=10))
    at_second_step.post(PAGE, code=app_of_jo.code())

    assert at_second_step.response.location == "/sign-in?next=/mobile/confirm"
    assert "You have ten minutes" in at_second_step.open("/sign-in").text
    assert not at_second_step.is_signed_in()


def test_a_half_sign_in_works_once(at_second_step, app_of_jo, clock, account):
    secret = at_second_step.cookie("second-step")
    at_second_step.post(PAGE, code=app_of_jo.code())
    at_second_step.submit("/sign-out")
    at_second_step.web.set_cookie("idaas-second-step", secret)
    clock.move(TIME_STEP)
    at_second_step.open("/sign-in")

    assert at_second_step.post(PAGE, code=app_of_jo.code()).location == "/sign-in?next=/mobile/confirm"
    assert not at_second_step.is_signed_in()


def test_of_several_requests_with_one_half_sign_in_one_is_signed_in(
    at_second_step, app_of_jo, account, new_browser, run_concurrently, transaction
):
    token, cookies = at_second_step.token, {name: at_second_step.cookie(name) for name in ("second-step", "form")}
    code = app_of_jo.code()

    def send():
        browser = new_browser()
        for name, value in cookies.items():
            browser.set_cookie(f"idaas-{name}", value)
        return browser.post(PAGE, data={"csrf_token": token, "code": code}).location

    assert run_concurrently(4, send).count("/mobile/confirm") == 1
    with transaction() as session:
        assert len(session.scalars(select(BrowserSession).where(BrowserSession.person_id == account.id)).all()) == 1


def test_a_second_step_at_the_moment_of_a_new_password_signs_no_one_in(
    at_second_step, app_of_jo, account, clock, run_overlapping
):
    clock.move(timedelta(seconds=1))

    def change():  # as `own_password` does, in another browser
        password.change(people.get(account.id), "a hash", by=account.id)
        sessions.end_all(account.id, "password_changed")

    run_overlapping(change, lambda: at_second_step.post(PAGE, code=app_of_jo.code()))

    assert not at_second_step.is_signed_in()


def test_going_back_after_signing_in_continues_to_where_one_was_going(at_second_step, app_of_jo):
    at_second_step.post(PAGE, code=app_of_jo.code())

    assert at_second_step.open(PAGE).location == "/mobile/confirm"
    assert at_second_step.open(PAGE.replace("mobile/confirm", "manage")).location == "/manage"


def test_cancel_ends_the_half_completed_sign_in(at_second_step, app_of_jo):
    assert at_second_step.post(PAGE, cancel="yes").location == "/"
    at_second_step.open("/sign-in")
    assert at_second_step.post(PAGE, code=app_of_jo.code()).location == "/sign-in?next=/mobile/confirm"


def test_cancel_returns_to_the_waiting_partner(jo, account, app_of_jo):
    waiting = "/oauth/authorize?client_id=assembly%26request_uri=urn:x"
    jo.sign_in(account.username, back=waiting)
    page = jo.response.location
    jo.open(page)

    assert jo.post(page, cancel="yes").location.endswith("&cancel=1")


def test_signing_in_starts_a_new_session_and_ends_the_former_one(
    at_second_step, app_of_jo, account, clock, transaction
):
    at_second_step.post(PAGE, code=app_of_jo.code())
    first = at_second_step.cookie("session")
    clock.move(TIME_STEP)
    at_second_step.sign_in(account.username, back="/mobile/confirm")
    at_second_step.open(at_second_step.response.location)
    at_second_step.post(PAGE, code=app_of_jo.code())

    assert at_second_step.cookie("session") != first
    at_second_step.web.set_cookie("idaas-session", first)
    assert not at_second_step.is_signed_in()


def test_a_changed_password_ends_a_half_completed_sign_in(at_second_step, app_of_jo, account, transaction, clock):
    clock.move(TIME_STEP)
    with transaction() as session:
        password.change(session.get_one(Administrator, account.id), "another hash", by=account.id)

    assert at_second_step.post(PAGE, code=app_of_jo.code()).location == "/sign-in?next=/mobile/confirm"
    assert not at_second_step.is_signed_in()


@pytest.mark.parametrize("what", ["removed", "suspended"])
def test_a_person_who_may_no_longer_act_is_not_signed_in(at_second_step, app_of_jo, account, transaction, what):
    with transaction() as session:
        if what == "removed":
            session.get_one(Administrator, account.id).removed_at = clocks.now()
        else:
            session.get_one(Estab, account.estab_id).state = "suspended"

    assert at_second_step.post(PAGE, code=app_of_jo.code()).location == "/sign-in?next=/mobile/confirm"
    assert not at_second_step.is_signed_in()


def test_a_new_browser_is_mailed_only_after_the_sign_in_is_complete(
    at_second_step, stranger, account, app_of_jo, outbox, clock
):
    at_second_step.post(PAGE, code=app_of_jo.code())
    stranger.sign_in(account.username, back="/mobile/confirm")
    assert outbox.all("new_device") == []

    clock.move(TIME_STEP)
    stranger.open(stranger.response.location)
    stranger.post(PAGE, code=app_of_jo.code())
    assert len(outbox.all("new_device")) == 1


def test_the_form_of_a_page_that_was_open_too_long_is_asked_for_again(at_second_step, app_of_jo):
    response = at_second_step.web.post(PAGE, data={"code": app_of_jo.code()}, headers={"Sec-Fetch-Site": "same-origin"})

    assert (response.status_code, response.location) == (303, PAGE)


def test_a_person_without_a_factor_is_signed_in_by_the_password(jo, stranger, account, app_of_jo, transaction):
    with transaction():
        colleague = an_administrator().username

    assert jo.sign_in(colleague, back="/mobile/confirm").location == "/mobile/confirm"
    assert jo.cookie("second-step") is None


def test_wrong_codes_and_passwords_lock_the_account_together_and_one_mail_is_sent(
    at_second_step, account, app_of_jo, outbox
):
    for _ in range(9):
        at_second_step.post(PAGE, code=app_of_jo.wrong)
        assert at_second_step.response.status_code == 422
    at_second_step.post(PAGE, code=app_of_jo.code())

    assert at_second_step.response.status_code == 429
    assert at_second_step.page.find(id="error-code").text == "account_locked"
    assert int(at_second_step.response.headers["Retry-After"]) > 0
    assert len(outbox.all("account_locked")) == 1
    assert at_second_step.sign_in(account.username).status_code == 429


def test_the_right_password_allows_no_more_guesses_at_the_code(jo, account, app_of_jo):
    for _ in range(5):
        jo.sign_in(account.username, PASSWORD, back="/mobile/confirm")
        jo.open(PAGE)
        jo.post(PAGE, code=app_of_jo.wrong)

    assert jo.sign_in(account.username).status_code == 429


def test_a_complete_sign_in_resets_the_count_of_guesses(at_second_step, app_of_jo, account, transaction):
    for _ in range(5):
        at_second_step.post(PAGE, code=app_of_jo.wrong)
    at_second_step.post(PAGE, code=app_of_jo.code())

    with transaction() as session:
        counters = guesses.key("name", account.username), guesses.key("account", account.id)
        assert session.scalars(select(Guesses.key).where(Guesses.key.in_(counters))).all() == []


def test_right_passwords_make_a_bounded_number_of_rows(jo, account, app_of_jo, transaction, settings, clock):
    for _ in range(50):
        jo.sign_in(account.username, back="/mobile/confirm")
        clock.move(timedelta(seconds=20))

    with transaction() as session:
        assert len(session.scalars(select(HalfSignIn)).all()) <= settings.throttle.account_sign_ins


def test_the_owner_of_a_new_school_is_not_signed_in_past_a_second_factor(account, app_of_jo, app, transaction):
    with app.test_request_context(), transaction() as session:
        runtime.ports().sign_in(account.id)
        assert session.scalars(select(BrowserSession)).all() == []
