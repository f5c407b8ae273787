"""A forgotten password: a code by text message, then a new password, then signing in."""

from datetime import timedelta

import pytest

from idp.estabs.models import Administrator
from idp.signin import mobile, reset
from idp.signin.models import BrowserSession, PasswordReset
from tests.factories import PASSWORD, an_administrator
from tests.signin.apps import an_app
from tests.signin.person import Person

NEW_PASSWORD = "wobbly kettle sings at dusk"
CODE, CHOOSE = "/reset/code", "/reset/password"


@pytest.fixture
def account(clock, account, transaction):
    """The account of `tests/signin/conftest.py`, with a confirmed number."""
    with transaction() as session:
        person = session.get_one(Administrator, account.id)
        person.mobile_confirmed_at = person.created_at
    return account


@pytest.fixture
def person_with_code(jo, account, clock):
    """Jo has asked for a code."""
    clock.move(timedelta(minutes=1))  # the password was set before
    jo.submit("/reset", username=account.username)
    return jo


@pytest.fixture
def after_code(person_with_code, outbox):
    """Jo has typed the code."""
    person_with_code.submit(CODE, code=outbox.last("reset_code").code)
    return person_with_code


def stored_reset(transaction, model=PasswordReset):
    with transaction() as session:
        return session.query(model).all()


def test_the_code_and_a_new_password_lead_to_signing_in(jo, account, outbox, clock):
    clock.move(timedelta(minutes=1))
    assert jo.submit("/reset", username=account.username).location == CODE
    sent = outbox.last("reset_code")
    assert sent.to == "+447700900123"
    assert len(sent.text) <= 160

    assert jo.submit(CODE, code=sent.code).location == CHOOSE
    assert jo.submit(CHOOSE, password=NEW_PASSWORD).location == "/sign-in"
    assert jo.cookie("session") is None, "a reset signs no one in"
    assert "Your new password is set" in " ".join(jo.open("/sign-in").text.split())
    jo.sign_in(account.username, NEW_PASSWORD)
    assert jo.cookie("session")


def test_the_old_password_no_longer_works(after_code, account, stranger):
    after_code.submit(CHOOSE, password=NEW_PASSWORD)

    assert stranger.sign_in(account.username, PASSWORD).status_code == 422


def test_a_second_factor_is_required_after_a_reset_too(after_code, account, transaction):
    with transaction():
        an_app(account.id)
    after_code.submit(CHOOSE, password=NEW_PASSWORD)

    assert after_code.sign_in(account.username, NEW_PASSWORD).location.startswith("/sign-in/second-step")
    assert after_code.cookie("session") is None


@pytest.mark.parametrize("name", ["username", "email"])
def test_any_sign_in_name_of_the_account_starts_a_reset(jo, account, outbox, name):
    jo.submit("/reset", username=f" {getattr(account, name).upper()} ")

    assert outbox.last("reset_code").to == "+447700900123"


def test_everyone_signed_in_is_signed_out(after_code, account, stranger, transaction, clock):
    stranger.sign_in(account.username)
    after_code.submit(CHOOSE, password=NEW_PASSWORD)

    assert [row.why_ended for row in stored_reset(transaction, BrowserSession)] == ["password_reset"]
    assert stranger.open("/manage").location.startswith("/sign-in")


def test_the_person_and_the_other_owners_get_a_mail(after_code, account, transaction, outbox):
    with transaction() as session:
        estab = session.get_one(Administrator, account.id).memberships[0].estab
        an_administrator(estab, email="head@oakhill.example", username="head", name="The Head")
        an_administrator(estab, email="look@oakhill.example", username="look", role="viewer")
    after_code.submit(CHOOSE, password=NEW_PASSWORD)

    assert outbox.last("password_changed").to == account.email
    assert outbox.last("password_reset").to == "+447700900123"
    assert len(outbox.last("password_reset").text) <= 160
    (mail,) = outbox.all("colleague_reset_password")
    assert mail.to == "head@oakhill.example"
    assert "Jo Bloggs" in mail.text


def test_a_guessable_password_is_refused_and_the_reset_continues(after_code, account):
    after_code.submit(CHOOSE, password=account.school)
    assert after_code.response.status_code == 422
    assert after_code.page.find(id="password-error")

    assert after_code.submit(CHOOSE, password=NEW_PASSWORD).location == "/sign-in"


def test_the_page_the_person_was_going_to_is_kept_through_the_reset(jo, account, outbox, clock):
    clock.move(timedelta(minutes=1))
    assert jo.open("/sign-in?next=/manage/x").text.count("/reset?next=/manage/x") == 1
    assert jo.submit("/reset?next=/manage/x", username=account.username).location == f"{CODE}?next=/manage/x"
    assert jo.submit(f"{CODE}?next=/manage/x", code=outbox.last("reset_code").code).location.endswith("?next=/manage/x")
    assert jo.submit(f"{CHOOSE}?next=/manage/x", password=NEW_PASSWORD).location == "/sign-in?next=/manage/x"


def test_within_a_partners_request_the_popup_keeps_its_opener(jo):
    assert jo.open("/reset?next=/oauth/authorize?x=1").headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
    assert jo.open("/reset").headers["Cross-Origin-Opener-Policy"] == "same-origin"


class TestCode:
    def wrong_code(self, outbox):
        return f"{(int(outbox.last('reset_code').code) + 1) % 1_000_000:06}"

    def test_a_code_works_only_in_the_browser_that_requested_it(self, person_with_code, stranger, outbox):
        code = outbox.last("reset_code").code
        assert stranger.open(CODE).location == "/reset"
        stranger.submit("/reset", username="2139999")
        stranger.submit(CODE, code=code)
        assert "not the code" in stranger.page_text

        assert person_with_code.submit(CODE, code=code).location == CHOOSE

    def test_a_code_may_be_typed_with_spaces(self, person_with_code, outbox):
        code = outbox.last("reset_code").code

        assert person_with_code.submit(CODE, code=f" {code[:3]} {code[3:]}").location == CHOOSE

    def test_after_five_wrong_attempts_a_code_is_invalid_and_a_new_one_works(self, person_with_code, outbox, clock):
        right, wrong = outbox.last("reset_code").code, self.wrong_code(outbox)
        for _ in range(5):
            person_with_code.submit(CODE, code=wrong)
            assert "not the code" in person_with_code.page_text
        assert outbox.all("account_locked") == []
        person_with_code.submit(CODE, code=right)
        assert "works for ten minutes and five attempts" in person_with_code.page_text

        clock.move(timedelta(seconds=5))
        person_with_code.submit(CODE, send_code="yes")
        assert person_with_code.submit(CODE, code=outbox.last("reset_code").code).location == CHOOSE

    def test_a_code_expires_after_ten_minutes(self, person_with_code, outbox, clock):
        clock.move(timedelta(minutes=10))
        person_with_code.submit(CODE, code=outbox.last("reset_code").code)

        assert "works for ten minutes and five attempts" in person_with_code.page_text

    def test_a_new_code_replaces_the_former_one(self, person_with_code, outbox, clock):
        first = outbox.last("reset_code").code
        clock.move(timedelta(seconds=5))
        person_with_code.submit(CODE, send_code="yes")
        second = outbox.last("reset_code").code
        person_with_code.submit(CODE, code=first)
        assert person_with_code.response.location == (CHOOSE if first == second else None)

    def test_three_codes_are_sent_an_hour_and_the_last_one_stays_valid(self, person_with_code, outbox, clock):
        for _ in range(4):
            assert person_with_code.submit(CODE, send_code="yes").location == CODE
            clock.move(timedelta(seconds=5))
        assert len(outbox.all("reset_code")) == 3
        assert len(outbox.all("reset_started")) == 1

        assert person_with_code.submit(CODE, code=outbox.last("reset_code").code).location == CHOOSE

    def test_three_codes_are_sent_an_hour_under_any_names_and_from_any_browsers(self, new_browser, account, outbox):
        for name in (account.username, account.email, account.username.upper(), account.email):
            Person(new_browser()).submit("/reset", username=name)

        assert len(outbox.all("reset_code")) == 3
        assert len(outbox.all("reset_started")) == 3

    def test_strangers_do_not_use_up_the_codes_of_a_known_browser(self, jo, stranger, account, outbox):
        jo.sign_in(account.username)
        for _ in range(5):
            stranger.submit("/reset", username=account.username)
        jo.submit("/reset", username=account.username)

        assert len(outbox.all("reset_code")) == 4

    def test_wrong_codes_of_a_reset_count_as_wrong_passwords_do(self, person_with_code, account, stranger, outbox):
        for _ in range(9):
            stranger.sign_in(account.username, "wrong")
        wrong, right = self.wrong_code(outbox), outbox.last("reset_code").code
        person_with_code.submit(CODE, code=wrong)
        person_with_code.submit(CODE, code=right)

        assert "After many wrong attempts" in person_with_code.page_text
        assert outbox.last("account_locked").to == account.email

    def test_the_code_is_not_stored(self, person_with_code, transaction, outbox):
        (row,) = stored_reset(transaction)

        assert row.number == "+447700900123"
        assert outbox.last("reset_code").code.encode() not in row.code_digest
        assert row.browser != row.code_digest


class TestWhoCannotReset:
    @pytest.mark.parametrize("reason", ["unconfirmed", "changed", "suspended", "removed"])
    def test_people_who_cannot_reset_their_password_are_sent_no_code(
        self, jo, account, transaction, outbox, clock, reason
    ):
        with transaction() as session:
            person = session.get_one(Administrator, account.id)
            if reason == "unconfirmed":
                person.mobile_confirmed_at = None
            elif reason == "changed":
                person.mobile_changed_at = clock.now() - timedelta(hours=23)
            elif reason == "suspended":
                person.memberships[0].estab.state = "suspended"
            else:
                person.removed_at = person.created_at
        jo.submit("/reset", username=account.username)

        assert outbox.all("reset_code") == []
        if reason in {"unconfirmed", "changed"}:
            assert "no confirmed mobile number" in outbox.last("reset_started").text
        else:
            assert outbox.all() == []

    def test_a_day_after_it_was_changed_a_number_is_used(self, jo, account, transaction, outbox, clock):
        with transaction() as session:
            session.get_one(Administrator, account.id).mobile_changed_at = clock.now() - timedelta(hours=24)
        jo.submit("/reset", username=account.username)

        assert outbox.last("reset_code")

    @pytest.mark.parametrize("change", ["number", "password", "removed"])
    def test_a_changed_number_or_password_or_removal_ends_the_reset(
        self, after_code, account, transaction, clock, change
    ):
        after_code.open(CHOOSE)
        clock.move(timedelta(seconds=1))
        values = {
            "number": {"mobile": "+447700900999"}, "password": {"password_changed_at": clock.now()},
            "removed": {"removed_at": clock.now()},
        }[change]  # fmt: skip
        with transaction() as session:
            session.query(Administrator).filter_by(id=account.id).update(values)
            hash_before = session.get_one(Administrator, account.id).password_hash
        after_code.post(CHOOSE, password=NEW_PASSWORD)

        assert after_code.response.location == "/reset"
        with transaction() as session:
            assert session.get_one(Administrator, account.id).password_hash == hash_before


def test_of_two_clicks_at_once_one_sets_the_password(run_concurrently, after_code, account, transaction):
    secret = after_code.cookie("reset")
    outcomes = run_concurrently(4, lambda: reset.complete(secret, "a hash", device=None))

    assert outcomes.count(None) == 1
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [reset.ResetOver] * 3


def test_of_many_codes_at_once_five_are_compared(run_concurrently, person_with_code, transaction, outbox):
    wrong = f"{(int(outbox.last('reset_code').code) + 1) % 1_000_000:06}"
    secret = person_with_code.cookie("reset")

    def enter_wrong_code():
        try:
            reset.prove(reset.find_by_browser(secret), wrong, device=None, address=None)
        except (reset.WrongCode, mobile.CodeExpired) as refused:
            return type(refused)

    outcomes = run_concurrently(8, enter_wrong_code)
    assert (outcomes.count(reset.WrongCode), outcomes.count(mobile.CodeExpired)) == (5, 3)


def test_a_code_is_accepted_once(run_concurrently, person_with_code, outbox):
    code, secret = outbox.last("reset_code").code, person_with_code.cookie("reset")
    outcomes = run_concurrently(4, lambda: reset.prove(reset.find_by_browser(secret), code, device=None, address=None))

    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1


def test_of_many_resets_begun_at_once_three_send_a_code(run_concurrently, account, outbox):
    run_concurrently(6, lambda: reset.begin(account.username, device=None))

    assert len(outbox.all("reset_code")) == 3


def test_the_browser_gets_another_secret_when_the_code_is_accepted(person_with_code, outbox, transaction):
    first = person_with_code.cookie("reset")
    person_with_code.submit(CODE, code=outbox.last("reset_code").code)

    assert person_with_code.cookie("reset") != first
    with transaction():
        assert reset.find_by_browser(first) is None


def test_a_lock_by_wrong_passwords_ends_with_the_reset(after_code, account, stranger):
    for _ in range(12):
        stranger.sign_in(account.username, "wrong")
    after_code.submit(CHOOSE, password=NEW_PASSWORD)
    after_code.sign_in(account.username, NEW_PASSWORD)

    assert after_code.cookie("session")


def test_a_lock_in_a_known_browser_ends_with_the_reset_too(jo, account, clock, outbox):
    jo.sign_in(account.username)
    jo.web.delete_cookie("idaas-session")
    clock.move(timedelta(minutes=1))
    jo.submit("/reset", username=account.username)
    jo.submit(CODE, code=outbox.last("reset_code").code)
    for _ in range(12):
        jo.sign_in(account.username, "wrong")
    assert jo.response.status_code == 429
    jo.submit(CHOOSE, password=NEW_PASSWORD)

    assert jo.sign_in(account.username, NEW_PASSWORD).status_code == 303
