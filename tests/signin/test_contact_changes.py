"""Changes of e-mail address and mobile number: verified, reported to the old ones, and undone by their links."""

from datetime import timedelta

import pytest

from idp.estabs import links
from idp.estabs.models import Administrator
from idp.foundation.database import session as database_session
from idp.signin import email_change, guesses, mobile, mobile_change, reset_links, undo_changes
from idp.signin.models import BrowserSession
from tests.factories import PASSWORD, an_administrator

HOME, EMAIL, MOBILE, CODE = (f"/manage/account{path}" for path in ("", "/email", "/mobile", "/mobile/code"))
NEW_EMAIL, NEW_NUMBER = "new@oakhill.example", "+447700900999"


@pytest.fixture
def jo_with_mobile(clock, jo, account, transaction):
    """Jo, with a confirmed number, signed in."""
    with transaction() as session:
        person = session.get_one(Administrator, account.id)
        person.mobile_confirmed_at = clock.now()
    clock.move(timedelta(days=2))
    jo.sign_in(account.username)
    return jo


def stored_account(transaction, account):
    with transaction() as session:
        return session.get_one(Administrator, account.id)


def change_email(jo, outbox, address=NEW_EMAIL):
    jo.submit(EMAIL, email=address)
    return jo.submit(outbox.last("confirm_address").path)


def change_mobile(jo, outbox):
    jo.submit(MOBILE, mobile="07700 900999")
    return jo.submit(CODE, code=outbox.last("mobile_code").code)


def assert_must_wait(person, reason):
    """The page says why, and `Retry-After` how long."""
    assert person.response.status_code == 429
    assert int(person.response.headers["Retry-After"]) > 0
    assert reason in person.page_text


def lock_account(transaction, account):
    """Make wrong guesses until the account is locked."""
    with transaction():
        while not guesses.count(guesses.key("account", account.id)):
            pass


def test_the_account_page_shows_name_address_number_and_username(jo_with_mobile, account):
    jo_with_mobile.open(HOME)

    for text in ("Jo Bloggs", account.email, "07700 900123", account.username):
        assert text in jo_with_mobile.page_text


def test_a_name_is_changed(jo_with_mobile, account, transaction):
    assert jo_with_mobile.submit(HOME + "/name", name="Jo Smith").location == HOME
    assert stored_account(transaction, account).name == "Jo Smith"
    assert jo_with_mobile.submit(HOME + "/name", name="www.evil.example").status_code == 422


@pytest.mark.parametrize("page", [EMAIL, MOBILE])
def test_a_person_who_signed_in_long_ago_signs_in_again_first(jo_with_mobile, page, clock):
    jo_with_mobile.open(page)
    assert jo_with_mobile.response.status_code == 200
    clock.move(timedelta(minutes=6))

    assert jo_with_mobile.open(page).location.startswith("/sign-in?")


class TestEmail:
    def test_a_new_address_is_verified_and_the_old_one_gets_a_mail(self, jo_with_mobile, account, transaction, outbox):
        assert jo_with_mobile.submit(EMAIL, email=NEW_EMAIL).location == HOME
        assert outbox.last("confirm_address").to == NEW_EMAIL
        assert stored_account(transaction, account).email == account.email

        link = outbox.last("confirm_address").path
        assert NEW_EMAIL in jo_with_mobile.open(link).text
        assert jo_with_mobile.web.head(link).status_code == 200
        assert stored_account(transaction, account).email == account.email, (
            "a mail scanner has opened it, and changed nothing"
        )
        assert jo_with_mobile.submit(link).location == HOME
        assert stored_account(transaction, account).sign_in_email == NEW_EMAIL
        assert outbox.last("email_changed").to == account.email
        assert jo_with_mobile.open(link).status_code == 410

    def test_the_new_address_signs_in_and_the_old_one_no_longer_does(self, jo_with_mobile, account, outbox, stranger):
        change_email(jo_with_mobile, outbox)

        assert stranger.sign_in(account.email).status_code == 422
        assert stranger.sign_in(NEW_EMAIL).status_code == 303

    def test_only_the_signed_in_person_can_use_the_link(self, jo_with_mobile, stranger, account, transaction, outbox):
        jo_with_mobile.submit(EMAIL, email=NEW_EMAIL)
        link = outbox.last("confirm_address").path
        assert stranger.open(link).location.startswith("/sign-in?next=/manage/account/email/")
        with transaction():
            other = an_administrator().username
        stranger.sign_in(other)
        assert stranger.open(link).status_code == 404
        stranger.open(EMAIL)
        assert stranger.post(link).status_code == 404

        assert stored_account(transaction, account).email == account.email

    def test_the_pages_do_not_tell_whether_an_address_signs_in_elsewhere(
        self, jo_with_mobile, account, transaction, outbox, clock
    ):
        with transaction():
            taken = an_administrator(email="taken@oakhill.example").email
        seen = []
        for address in (NEW_EMAIL, taken):
            clock.move(timedelta(seconds=1))
            jo_with_mobile.submit(EMAIL, email=address)
            seen.append((jo_with_mobile.response.status_code, jo_with_mobile.response.location))
            seen.append(jo_with_mobile.open(HOME).text.replace(address, "ADDRESS"))
            assert outbox.last("confirm_address").to == address
        assert seen[0] == seen[2]
        assert "ADDRESS" in seen[1]

    def test_an_address_that_signs_in_another_person_stays_theirs(
        self, jo_with_mobile, account, transaction, outbox, stranger
    ):
        with transaction():
            other = an_administrator(email="taken@oakhill.example").id
        change_email(jo_with_mobile, outbox, "taken@oakhill.example")

        jo_with_mobile.open(HOME)
        assert f"Sign in to this one with your username, {account.username}." in jo_with_mobile.page_text
        person = stored_account(transaction, account)
        assert (person.email, person.sign_in_email) == ("taken@oakhill.example", None)
        with transaction() as session:
            assert session.get_one(Administrator, other).sign_in_email == "taken@oakhill.example"

    def test_five_links_are_sent_an_hour_and_only_the_newest_works(self, jo_with_mobile, outbox, clock):
        for number in range(5):
            clock.move(timedelta(seconds=1))
            jo_with_mobile.submit(EMAIL, email=f"new{number}@oakhill.example")
        jo_with_mobile.submit(EMAIL, email="new5@oakhill.example")

        assert_must_wait(jo_with_mobile, "at most five links")
        sent = outbox.all("confirm_address")
        assert len(sent) == 5
        assert jo_with_mobile.open(sent[0].path).status_code == 410
        assert jo_with_mobile.open(sent[4].path).status_code == 200

    @pytest.mark.parametrize("address", ["", "no address", "own"])
    def test_invalid_values_are_refused_and_kept_in_the_form(self, jo_with_mobile, account, outbox, address):
        address = account.email.upper() if address == "own" else address
        jo_with_mobile.submit(EMAIL, email=address)

        assert jo_with_mobile.response.status_code == 422
        assert jo_with_mobile.page.find(id="email")["value"] == address
        assert outbox.all("confirm_address") == []

    def test_changing_the_address_invalidates_links_to_choose_a_password(
        self, jo_with_mobile, account, transaction, outbox, stranger
    ):
        with transaction() as session:
            reset_links.send(session.get_one(Administrator, account.id), by="cli", note="Called.")
        change_email(jo_with_mobile, outbox)

        assert stranger.open(outbox.last("reset_link").path).status_code == 404

    def test_of_several_clicks_at_once_one_changes_the_address(
        self, jo_with_mobile, run_concurrently, account, outbox, transaction
    ):
        jo_with_mobile.submit(EMAIL, email=NEW_EMAIL)
        secret = outbox.last("confirm_address").secret
        outcomes = run_concurrently(
            4, lambda: email_change.confirm(secret, database_session().get_one(Administrator, account.id))
        )

        assert outcomes.count(True) == 1
        assert len(outbox.all("email_changed")) == 1

    def test_of_two_people_who_take_one_address_at_once_one_signs_in_by_it(
        self, run_concurrently, transaction, outbox, clock
    ):
        with transaction():
            people = [an_administrator() for _ in range(2)]
            for person in people:
                email_change.begin(person, NEW_EMAIL)
            ids = [person.id for person in people]
        waiting = [message.secret for message in outbox.all("confirm_address")]

        def confirm():
            secret = waiting.pop()
            person_id = links.check(secret, "email").person_id
            return email_change.confirm(secret, database_session().get_one(Administrator, person_id))

        assert sorted(run_concurrently(2, confirm)) == [False, True]
        with transaction() as session:
            assert {session.get_one(Administrator, id_).email for id_ in ids} == {NEW_EMAIL}


class TestMobile:
    def test_a_new_number_is_confirmed_and_the_old_one_gets_a_message(
        self, jo_with_mobile, account, transaction, outbox, clock
    ):
        assert jo_with_mobile.submit(MOBILE, mobile="07700 900999").location == CODE
        assert outbox.last("mobile_code").to == NEW_NUMBER
        assert jo_with_mobile.submit(CODE, code="1").status_code == 422
        assert stored_account(transaction, account).mobile == "+447700900123"

        assert jo_with_mobile.post(CODE, code=outbox.last("mobile_code").code).location == HOME
        person = stored_account(transaction, account)
        assert (person.mobile, person.mobile_confirmed_at) == (NEW_NUMBER, clock.now())
        assert outbox.last("mobile_changed").to == account.email
        assert [mail.to for mail in outbox.all("mobile_is_yours")] == [NEW_NUMBER]
        mails = outbox.all("number_changed")
        assert [mail.to for mail in mails] == ["+447700900123"]
        assert len(mails[0].text) <= 160

    def test_an_old_number_that_was_never_confirmed_gets_no_message(self, jo_with_mobile, account, transaction, outbox):
        with transaction() as session:
            session.get_one(Administrator, account.id).mobile_confirmed_at = None
        change_mobile(jo_with_mobile, outbox)

        assert stored_account(transaction, account).mobile == NEW_NUMBER
        assert outbox.all("number_changed") == []

    def test_a_new_number_cannot_reset_the_password_for_a_day(self, jo_with_mobile, account, outbox, stranger, clock):
        change_mobile(jo_with_mobile, outbox)
        stranger.submit("/reset", username=account.username)
        assert outbox.all("reset_code") == []

        clock.move(timedelta(hours=24))
        stranger.submit("/reset", username=account.username)
        assert outbox.last("reset_code").to == NEW_NUMBER

    def test_a_reset_by_the_old_number_ends_with_the_change(self, jo_with_mobile, account, outbox, stranger):
        stranger.submit("/reset", username=account.username)
        stranger.submit("/reset/code", code=outbox.last("reset_code").code)
        change_mobile(jo_with_mobile, outbox)

        stranger.submit("/reset/password", password="wobbly kettle sings at dusk")
        assert outbox.all("password_changed") == []

    def test_a_code_to_confirm_a_number_does_not_change_it(self, jo_with_mobile, account, transaction, outbox):
        jo_with_mobile.submit(MOBILE, mobile="07700 900999")
        code = outbox.last("mobile_code").code
        with transaction() as session, pytest.raises(mobile.CodeExpired):
            mobile.confirm(session.get_one(Administrator, account.id), code)

        assert stored_account(transaction, account).mobile == "+447700900123"

    def test_three_codes_are_sent_an_hour(self, jo_with_mobile, outbox, clock):
        for _ in range(3):
            clock.move(timedelta(seconds=1))
            jo_with_mobile.submit(MOBILE, mobile="07700 900999")
        jo_with_mobile.submit(MOBILE, mobile="07700 900999")

        assert_must_wait(jo_with_mobile, "at most three codes an hour")

    def test_a_code_for_a_locked_account_is_refused_until_the_lock_ends(
        self, jo_with_mobile, account, transaction, outbox
    ):
        jo_with_mobile.submit(MOBILE, mobile="07700 900999")
        lock_account(transaction, account)
        jo_with_mobile.submit(CODE, code=outbox.last("mobile_code").code)

        assert_must_wait(jo_with_mobile, "no one can sign in to it for a minute")
        assert stored_account(transaction, account).mobile == "+447700900123"

    @pytest.mark.parametrize("number", ["", "12", "020 7946 0123", "07700 900123"])
    def test_invalid_values_are_refused_and_kept_in_the_form(self, jo_with_mobile, outbox, number):
        jo_with_mobile.submit(MOBILE, mobile=number)

        assert jo_with_mobile.response.status_code == 422
        assert jo_with_mobile.page.find(id="mobile")["value"] == number
        assert outbox.all() == []

    def test_without_a_code_waiting_the_page_leads_back(self, jo_with_mobile):
        assert jo_with_mobile.open(CODE).location == HOME

    def test_a_code_works_once(self, jo_with_mobile, run_concurrently, account, outbox):
        jo_with_mobile.submit(MOBILE, mobile="07700 900999")
        code = outbox.last("mobile_code").code
        outcomes = run_concurrently(
            4, lambda: mobile_change.confirm(database_session().get_one(Administrator, account.id), code)
        )

        assert outcomes.count(None) == 1


class TestUndo:
    def test_the_link_to_the_old_address_undoes_the_change_without_signing_in(
        self, jo_with_mobile, account, transaction, outbox, stranger
    ):
        change_email(jo_with_mobile, outbox)
        link = outbox.last("email_changed").path
        assert account.email in stranger.open(link).text
        assert stored_account(transaction, account).email == NEW_EMAIL, "opening it changes nothing"

        stranger.submit(link)
        assert "has its former address and number again" in stranger.page_text
        person = stored_account(transaction, account)
        assert (person.email, person.sign_in_email) == (account.email, account.email)
        with transaction() as session:
            assert {row.why_ended for row in session.query(BrowserSession)} == {"changes_undone"}
        assert outbox.last("changes_undone").to == account.email
        assert stranger.open(link).status_code == 410

    def test_the_link_to_the_old_number_undoes_the_change(self, jo_with_mobile, account, transaction, outbox, stranger):
        change_mobile(jo_with_mobile, outbox)
        stranger.submit(outbox.last("number_changed").path)

        person = stored_account(transaction, account)
        assert person.mobile == "+447700900123"
        assert person.mobile_changed_at is None
        assert mobile.number_for_resets(person) == "+447700900123"

    def test_the_first_link_undoes_all_later_changes_too(
        self, jo_with_mobile, account, transaction, outbox, stranger, clock
    ):
        """Changes by an attacker who took over the account: the address twice, and then the number."""
        change_email(jo_with_mobile, outbox, "thief@evil.example")
        clock.move(timedelta(minutes=1))
        change_email(jo_with_mobile, outbox, "thief2@evil.example")
        clock.move(timedelta(minutes=1))
        change_mobile(jo_with_mobile, outbox)
        first, second = (mail.path for mail in outbox.all("email_changed"))
        stranger.submit(second)
        assert stored_account(transaction, account).email == "thief@evil.example"
        stranger.submit(first)

        person = stored_account(transaction, account)
        assert (person.email, person.mobile) == (account.email, "+447700900123")
        for message in (*outbox.all("mobile_changed"), *outbox.all("number_changed")):
            assert stranger.open(message.path).status_code == 410

    def test_undoing_revokes_a_change_that_was_begun_later(self, jo_with_mobile, account, outbox, stranger, clock):
        change_email(jo_with_mobile, outbox)
        clock.move(timedelta(minutes=1))
        jo_with_mobile.submit(EMAIL, email="another@evil.example")
        pending = outbox.last("confirm_address").path
        stranger.submit(outbox.last("email_changed").path)
        jo_with_mobile.sign_in(account.username, PASSWORD)

        assert jo_with_mobile.open(pending).status_code == 410

    def test_changes_of_a_removed_person_cannot_be_undone(
        self, jo_with_mobile, account, transaction, outbox, stranger, clock
    ):
        change_email(jo_with_mobile, outbox)
        link = outbox.last("email_changed").path
        stranger.open(link)
        with transaction() as session:
            session.get_one(Administrator, account.id).removed_at = clock.now()

        assert stranger.post(link).status_code == 404
        assert stranger.open(link).status_code == 404
        assert stored_account(transaction, account).email == NEW_EMAIL

    def test_a_change_cannot_be_undone_after_seven_days(
        self, jo_with_mobile, account, transaction, outbox, stranger, clock
    ):
        change_email(jo_with_mobile, outbox)
        link = outbox.last("email_changed").path
        stranger.open(link)
        clock.move(timedelta(days=7))

        assert stranger.post(link).status_code == 410
        assert stored_account(transaction, account).email == NEW_EMAIL

    def test_of_several_clicks_at_once_one_undoes_the_change(self, jo_with_mobile, run_concurrently, outbox):
        change_email(jo_with_mobile, outbox)
        secret = outbox.last("email_changed").secret
        outcomes = run_concurrently(4, lambda: undo_changes.undo(secret))

        assert outcomes.count(None) == 1
        assert all(isinstance(outcome, links.LinkRefused) for outcome in outcomes if outcome is not None)
