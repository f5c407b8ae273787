"""The Security page: an authenticator app is set up, replaced and removed."""

import re
from datetime import timedelta

import pytest

from idp.estabs import people
from idp.signin import authenticator_app, recovery_codes, session as sessions
from idp.signin.models import BrowserSession
from tests.factories import PASSWORD, an_administrator
from tests.signin.apps import App, an_app

pytestmark = pytest.mark.usefixtures("clock")  # must come before any account is made
TIME_STEP = timedelta(seconds=30)
SET_UP, REMOVE = "/manage/security/app", "/manage/security/app/remove"


@pytest.fixture
def signed_in(jo, account, clock):
    jo.sign_in(account.username)
    return jo


def scanned_app(person):
    """The app that has scanned the code of the current page."""
    return App(person.page.find(id="seed").text.replace(" ", ""))


def sign_in_with(person, account, app):
    person.sign_in(account.username)
    person.open(person.response.location)
    return person.post("/sign-in/second-step", code=app.code())


def test_the_page_is_for_people_of_schools(web):
    assert web.get("/manage/security").location == "/sign-in?next=/manage/security"


def test_an_app_is_set_up_by_its_first_code(signed_in, account, outbox, transaction):
    before = signed_in.cookie("session")
    signed_in.open("/manage/security")
    assert "we ask for your password and then" not in signed_in.page_text
    signed_in.open(signed_in.page.find("a", id="set-up-app")["href"])
    app = scanned_app(signed_in)
    assert f"secret={app.seed}" in signed_in.response.text
    assert signed_in.page.find("svg", class_="qr")
    signed_in.post(SET_UP, code=app.code())

    assert signed_in.response.location == "/manage/security/recovery-codes?next=/manage/security"
    assert signed_in.cookie("session") != before
    signed_in.open("/manage/security")
    assert "Your authenticator app is set up." in signed_in.response.text
    assert "Set up on 2 March 2026, last used on 2 March 2026." in signed_in.page_text
    message = outbox.last("factor_added")
    assert message.to == account.email
    assert "authenticator app" in message.text
    with transaction() as session:
        rows = session.query(BrowserSession).filter_by(person_id=account.id, ended_at=None).all()
        assert [(row.acr, row.amr) for row in rows] == [(sessions.MULTI, frozenset({"pwd", "otp", "mfa"}))]


def test_after_the_set_up_a_sign_in_needs_a_code(signed_in, stranger, account, clock):
    app = open_and_scan(signed_in)
    signed_in.post(SET_UP, code=app.code())
    clock.move(TIME_STEP)

    assert stranger.sign_in(account.username).location == "/sign-in/second-step?next=/"
    assert sign_in_with(stranger, account, app).location == "/"


def open_and_scan(person):
    person.open(SET_UP)
    return scanned_app(person)


def test_a_wrong_code_keeps_the_seed(signed_in):
    app = open_and_scan(signed_in)
    signed_in.post(SET_UP, code=app.wrong)

    assert signed_in.response.status_code == 422
    assert "That is not the code that we expect now." in signed_in.page_text
    assert scanned_app(signed_in).seed == app.seed
    assert open_and_scan(signed_in).seed == app.seed


def test_a_second_click_on_finish_redirects_to_the_security_page(signed_in):
    app, token = open_and_scan(signed_in), signed_in.token
    signed_in.post(SET_UP, code=app.code())
    signed_in.open("/manage/security/app/remove")
    response = signed_in.web.post(SET_UP, data={"csrf_token": signed_in.token, "code": app.code()})

    assert token != signed_in.token
    assert response.location == "/manage/security"


def test_a_set_up_that_took_too_long_begins_again_with_another_seed(signed_in, clock, account):
    app = open_and_scan(signed_in)
    clock.move(timedelta(minutes=31))
    signed_in.sign_in(account.username, back=SET_UP)
    signed_in.open(SET_UP)

    assert scanned_app(signed_in).seed != app.seed
    assert signed_in.post(SET_UP, code=app.code()).status_code == 422


def test_an_app_is_replaced_and_the_old_one_no_longer_works(signed_in, stranger, account, clock, outbox):
    old = open_and_scan(signed_in)
    signed_in.post(SET_UP, code=old.code())
    clock.move(TIME_STEP)
    new = open_and_scan(signed_in)
    assert "The app you use now works until" in signed_in.page_text
    signed_in.post(SET_UP, code=new.code())
    clock.move(TIME_STEP)

    assert len(outbox.all("factor_replaced")) == 1
    assert sign_in_with(stranger, account, old).status_code == 422
    assert sign_in_with(stranger, account, new).location == "/"


def test_an_app_is_removed_after_a_confirmation(signed_in, stranger, account, outbox):
    signed_in.post(SET_UP, code=open_and_scan(signed_in).code())
    signed_in.open(REMOVE)
    assert "Remove your authenticator app?" in signed_in.page_text
    signed_in.post(REMOVE)

    assert "It was the only one" in outbox.last("factor_removed").text
    assert "Set up an authenticator app" in signed_in.open("/manage/security").text
    assert stranger.sign_in(account.username).location == "/"


def test_removing_an_app_that_does_not_exist_changes_nothing(signed_in, outbox):
    signed_in.open(REMOVE)
    assert "You have no authenticator app that could be removed." in signed_in.page_text
    signed_in.open("/manage/security/app")
    assert signed_in.post(REMOVE).location == "/manage/security"
    assert outbox.all("factor_removed") == []


@pytest.mark.parametrize("path", [SET_UP, REMOVE])
def test_a_sign_in_of_five_minutes_ago_is_not_enough_to_change_a_factor(signed_in, account, clock, path, transaction):
    signed_in.open("/mobile/confirm")
    token = signed_in.token
    clock.move(timedelta(minutes=5, seconds=1))
    for response in (signed_in.open(path), signed_in.web.post(path, data={"csrf_token": token, "code": "123456"})):
        assert response.location == f"/sign-in?next={path}&login_hint={account.username}"
    page = signed_in.open(response.location)

    assert "To protect your account, please sign in again before you change this." in page.text
    assert f'value="{account.username}"' in page.text
    assert signed_in.post(response.location, username=account.username, password=PASSWORD).location == path
    assert signed_in.open(path).status_code == 200


def test_a_sign_in_without_the_factor_is_not_enough_to_remove_it(signed_in, account, transaction):
    with transaction():
        an_app(account.id)

    assert signed_in.open(REMOVE).location.startswith("/sign-in?next=")
    with transaction():
        assert authenticator_app.is_set_up(account.id)


CODES = "/manage/security/recovery-codes"


def shown_codes(person):
    return [code.text for code in person.page.select("#codes code")]


@pytest.fixture
def jo_with_codes(signed_in):
    """Jo, who has an app and was just shown recovery codes."""
    signed_in.post(SET_UP, code=open_and_scan(signed_in).code())
    signed_in.submit(CODES)
    return signed_in


def test_ten_codes_of_120_bits_are_shown_once(jo_with_codes):
    codes = shown_codes(jo_with_codes)

    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"([a-z2-7]{4}-){5}[a-z2-7]{4}", code) for code in codes)
    jo_with_codes.open(CODES)
    assert shown_codes(jo_with_codes) == []
    assert "You have 10 codes left." in jo_with_codes.page_text
    jo_with_codes.open("/manage/security")
    assert "You have 10 of 10 codes left." in jo_with_codes.page_text


def test_a_new_set_replaces_the_old_one(jo_with_codes, stranger, account):
    old = shown_codes(jo_with_codes)
    jo_with_codes.submit(CODES)
    new = shown_codes(jo_with_codes)

    assert recover(stranger, account, old[0]).status_code == 422
    assert recover(stranger, account, new[0]).location == "/"


def recover(person, account, code):
    person.sign_in(account.username)
    return person.submit("/sign-in/recovery-code", code=code)


def test_a_recovery_code_signs_in_once_and_its_use_is_mailed(jo_with_codes, stranger, account, outbox, clock):
    code = shown_codes(jo_with_codes)[3]
    assert recover(stranger, account, f" {code.upper().replace('-', ' ')} ").location == "/"
    assert stranger.open("/manage").status_code == 200
    assert "You have 9 codes left." in outbox.last("recovery_code_used").text
    stranger.submit("/sign-out")

    assert recover(stranger, account, code).status_code == 422
    assert "it has been used before" in stranger.page_text


def test_the_mail_about_the_eighth_code_says_to_make_new_ones(jo_with_codes, account, transaction, outbox, clock):
    codes = shown_codes(jo_with_codes)
    with transaction():
        assert all(recovery_codes.spend(account.id, code) for code in codes[:7])
    assert "get new ones" not in outbox.last("recovery_code_used").text
    clock.move(TIME_STEP)
    with transaction():
        assert recovery_codes.spend(account.id, codes[7])

    assert "You have 2 codes left. Please get new ones" in outbox.last("recovery_code_used").text
    assert "Nearly used up" in jo_with_codes.open("/manage/security").text


def test_of_eight_requests_with_one_code_one_gets_in(jo_with_codes, account, run_concurrently):
    code = shown_codes(jo_with_codes)[0]

    assert sorted(run_concurrently(8, lambda: recovery_codes.spend(account.id, code))) == [False] * 7 + [True]


def test_two_sets_made_at_once_leave_ten_codes(jo_with_codes, account, run_concurrently, transaction):
    run_concurrently(4, lambda: recovery_codes.make(people.get(account.id)))

    with transaction():
        assert recovery_codes.count_unused(account.id) == 10


def test_a_code_of_another_person_is_refused(jo_with_codes, account, transaction):
    code = shown_codes(jo_with_codes)[0]
    with transaction():
        assert not recovery_codes.spend(an_administrator().id, code)
        assert recovery_codes.spend(account.id, code)


def test_wrong_recovery_codes_count_as_wrong_passwords_do(jo_with_codes, stranger, account):
    stranger.sign_in(account.username)
    for _ in range(9):
        assert stranger.submit("/sign-in/recovery-code", code="aaaa").status_code == 422

    assert stranger.post("/sign-in/recovery-code", code=shown_codes(jo_with_codes)[0]).status_code == 429


def test_recovery_codes_need_a_second_factor_and_are_deleted_with_the_last_one(jo_with_codes, account, transaction):
    jo_with_codes.submit(REMOVE)
    with transaction():
        assert recovery_codes.count_unused(account.id) == 0
    jo_with_codes.open(CODES)
    assert "you have not set one up" in jo_with_codes.page_text
    jo_with_codes.open(SET_UP)
    jo_with_codes.post(CODES)
    assert shown_codes(jo_with_codes) == []


def test_a_recovery_code_needs_a_half_sign_in(stranger):
    assert stranger.open("/sign-in/recovery-code").location == "/sign-in?next=/"


def is_asked_for_second_step(person):
    return "Set up a second step" in person.open("/manage").text


def test_an_owner_is_asked_to_set_up_a_second_step_until_not_now_and_again_after_30_days(signed_in, account, clock):
    assert is_asked_for_second_step(signed_in)
    signed_in.post("/manage/security/not-now")
    assert signed_in.response.location == "/manage"
    assert not is_asked_for_second_step(signed_in)
    clock.move(timedelta(days=30))
    signed_in.sign_in(account.username)
    assert is_asked_for_second_step(signed_in)
    signed_in.post("/manage/security/not-now")
    assert not is_asked_for_second_step(signed_in)


def test_an_owner_who_has_a_second_step_is_not_asked(signed_in, account, transaction):
    with transaction():
        an_app(account.id)

    assert not is_asked_for_second_step(signed_in)


def test_other_people_are_not_asked(jo, transaction):
    with transaction():
        username = an_administrator(role="admin").username
    jo.sign_in(username)

    assert not is_asked_for_second_step(jo)
