"""security.md S27: every step first, twice, empty, with an earlier step's state, or in another browser: registering, a
reset.

After any request, the person is at the same step; nothing is made without a verified address.
"""

from datetime import timedelta
from typing import NamedTuple

import pytest

from idp.estabs.models import Administrator, Estab
from idp.onboarding.models import Registration
from tests.factories import a_school, an_administrator
from tests.onboarding.visitor import Visitor
from tests.signin.person import Person

NEW_PASSWORD = "wobbly kettle sings at dusk"

DETAILS = {"name": "Jo Bloggs", "email": "office@oakhill.example", "mobile": "07700 900123", "declaration": "y"}
SCHOOL = 700_001
ACTIONS = ("resend", "address", "code", "new-code", "here", "sign-up", "password", "new-password")
PAGES = ("", "/check-email", "/code", "/sign-up", "/done")


@pytest.fixture
def office(web):
    return Visitor(web)


@pytest.fixture
def registration_id(office, transaction):
    """The id of a registration whose mail has just been sent."""
    with transaction():
        a_school(id=SCHOOL, dfe_number="3124567")
    office.open(f"/register/details?school={SCHOOL}")
    office.press("sign-up", **DETAILS)
    with transaction() as database:
        return database.query(Registration).one().id


@pytest.fixture
def verified_registration(office, registration_id, outbox):
    """The id of a registration whose address was verified in the browser that began it."""
    office.open(outbox.last("verify_email").links[0])
    office.press("verify")
    return registration_id


@pytest.fixture
def completed_registration(office, verified_registration):
    """The id of a registration that was completed_registration."""
    office.press("sign-up")
    return verified_registration


def post(visitor, path, **sent):
    """POST with this browser's own CSRF token, whatever page it belongs to."""
    visitor.open(f"/register/details?school={SCHOOL}")
    token = visitor.page.soup.find("input", {"name": "csrf_token"})["value"]
    return visitor.client.post(path, data={"csrf_token": token} | sent, follow_redirects=True)


def count_accounts(transaction):
    """The number of estabs, and of administrators."""
    with transaction() as database:
        return database.query(Estab).count(), database.query(Administrator).count()


@pytest.mark.parametrize("page", PAGES)
def test_before_verifying_every_page_redirects_to_check_your_email(office, registration_id, page):
    assert office.open(f"/register/{registration_id}{page}").title == "Check your e-mail"


@pytest.mark.parametrize("page", PAGES)
def test_after_verifying_every_page_redirects_to_the_sign_up_form(office, verified_registration, page):
    assert office.open(f"/register/{verified_registration}{page}").title == "Sign up"


@pytest.mark.parametrize("page", PAGES)
def test_after_signing_up_every_page_says_so(office, completed_registration, page):
    assert office.open(f"/register/{completed_registration}{page}").title == "Your school is registered"


def test_signing_up_before_verifying_makes_no_account(office, registration_id, transaction):
    response = post(office, f"/register/{registration_id}/sign-up", **DETAILS)

    assert "Check your e-mail" in response.text
    assert count_accounts(transaction) == (0, 0)


@pytest.mark.parametrize("action", ["password", "new-password"])
def test_there_is_no_password_before_there_is_an_account(office, verified_registration, transaction, action):
    response = post(office, f"/register/{verified_registration}/{action}", password="purple otters juggle marmalade")

    assert response.status_code == 410
    assert count_accounts(transaction) == (0, 0)


def test_signing_up_twice_makes_one_account(office, completed_registration, transaction):
    response = post(office, f"/register/{completed_registration}/sign-up", **DETAILS)

    assert "Your school is registered" in response.text
    assert count_accounts(transaction) == (1, 1)


def test_an_address_cannot_be_changed_after_signing_up(office, completed_registration, transaction):
    post(office, f"/register/{completed_registration}/address", email="evil@elsewhere.example")
    post(office, f"/register/{completed_registration}/resend")

    with transaction() as database:
        assert database.query(Registration).one().email == "office@oakhill.example"
        assert database.query(Administrator).one().email == "office@oakhill.example"


def test_an_address_changed_after_verifying_has_to_be_verified_again(office, verified_registration, transaction):
    response = post(office, f"/register/{verified_registration}/address", email="evil@elsewhere.example")
    assert "Check your e-mail" in response.text

    post(office, f"/register/{verified_registration}/sign-up", **DETAILS)
    assert count_accounts(transaction) == (0, 0)


def test_the_sign_up_form_cannot_change_the_verified_address(office, verified_registration, transaction):
    post(office, f"/register/{verified_registration}/sign-up", **(DETAILS | {"email": "evil@elsewhere.example"}))

    with transaction() as database:
        assert database.query(Administrator).one().email == "office@oakhill.example"


@pytest.mark.parametrize("state", ["registration_id", "verified_registration", "completed_registration"])
def test_another_browser_can_neither_see_nor_change_a_registration(request, state, new_browser, transaction):
    registration_id, before = request.getfixturevalue(state), count_accounts(transaction)
    stranger = Visitor(new_browser())

    page_statuses = {stranger.open(f"/register/{registration_id}{page}").status for page in PAGES}
    post_statuses = {
        post(stranger, f"/register/{registration_id}/{action}", **DETAILS).status_code for action in ACTIONS
    }
    assert (page_statuses, post_statuses) == ({404}, {404})
    assert stranger.client.get(f"/register/{registration_id}/status.json").status_code == 404
    assert count_accounts(transaction) == before


def test_a_browser_that_did_not_begin_the_registration_is_not_signed_in(office, registration_id, outbox, new_browser):
    phone = Visitor(new_browser())
    phone.open(outbox.last("verify_email").links[0])
    phone.press("verify")
    phone.press("continue-here")

    assert phone.press("sign-up").text_of("estab-id") == "3124567"
    assert phone.open("/register/next-steps").path.startswith("/sign-in")
    assert office.open("/register/next-steps").path.startswith("/sign-in"), "nor the one that did not sign up"
    assert "new-password" not in office.open(f"/register/{registration_id}/done").response.text
    assert post(office, f"/register/{registration_id}/new-password").status_code == 410


@pytest.mark.parametrize("action", ACTIONS)
def test_an_empty_form_gets_a_page(office, verified_registration, action):
    assert post(office, f"/register/{verified_registration}/{action}").status_code in {200, 410, 422}


@pytest.mark.parametrize("action", ACTIONS)
def test_without_a_token_of_this_browser_nothing_happens(office, verified_registration, action, transaction):
    office.client.post(f"/register/{verified_registration}/{action}", data=DETAILS)

    assert count_accounts(transaction) == (0, 0)
    with transaction() as database:
        assert database.query(Registration).one().is_verified


def test_an_expired_registration_ends_at_a_page_that_starts_again(clock, office, verified_registration, transaction):
    clock.move(timedelta(days=8))

    for page in PAGES:
        response = office.open(f"/register/{verified_registration}{page}")
        assert (response.status, response.link("Register your school")) == (410, "/register")
    assert post(office, f"/register/{verified_registration}/sign-up", **DETAILS).status_code == 410
    assert count_accounts(transaction) == (0, 0)


class Account(NamedTuple):
    """A person with a confirmed mobile."""

    id: str
    username: str
    password_hash: str | None


class TestPasswordReset:
    """Whatever is opened or posted, the step that is due follows, and no password is set without the code."""

    STEPS = ("/reset/code", "/reset/password")

    @pytest.fixture
    def jo(self, web):
        return Person(web)

    @pytest.fixture
    def account(self, clock, transaction):
        with transaction():
            person = an_administrator()
            person.mobile_confirmed_at = person.created_at
            clock.move(timedelta(minutes=1))
            return Account(person.id, person.username, person.password_hash)

    @pytest.fixture
    def after_code(self, jo, account, outbox):
        jo.submit("/reset", username=account.username)
        jo.submit("/reset/code", code=outbox.last("reset_code").code)
        return jo

    def is_unchanged(self, transaction, account):
        with transaction() as session:
            return session.get_one(Administrator, account.id).password_hash == account.password_hash

    @pytest.mark.parametrize("fields", [{}, {"code": "123456"}, {"password": NEW_PASSWORD}, {"send_code": "yes"}])
    @pytest.mark.parametrize("path", STEPS)
    def test_a_step_opened_or_posted_first_leads_to_the_beginning(self, jo, account, transaction, path, fields):
        assert jo.open(path).location == "/reset"
        jo.open("/reset")
        assert jo.post(path, **fields).location == "/reset"
        assert self.is_unchanged(transaction, account)

    def test_a_password_before_the_code_leads_to_the_code(self, jo, account, transaction):
        jo.submit("/reset", username=account.username)
        jo.open("/reset/code")

        assert jo.post("/reset/password", password=NEW_PASSWORD).location == "/reset/code"
        assert jo.open("/reset/password").location == "/reset/code"
        assert self.is_unchanged(transaction, account)

    @pytest.mark.parametrize("step", ["", *STEPS])
    def test_an_empty_form_shows_the_same_step_again(self, after_code, account, transaction, step):
        if step == "/reset/code":
            after_code.submit("/reset", username=account.username)
        after_code.submit(step or "/reset")

        assert after_code.response.status_code == 422
        assert self.is_unchanged(transaction, account)

    def test_the_code_typed_twice_leads_to_the_password(self, after_code, outbox):
        after_code.open("/reset/password")

        assert after_code.post("/reset/code", code=outbox.last("reset_code").code).location == "/reset/password"
        assert after_code.open("/reset/code").location == "/reset/password"

    def test_once_it_is_done_every_step_leads_to_signing_in(self, after_code, account, transaction):
        after_code.submit("/reset/password", password=NEW_PASSWORD)
        for path in self.STEPS:
            assert after_code.open(path).location == "/sign-in"
        after_code.open("/reset")
        assert after_code.post("/reset/password", password="another good one of many words").location == "/sign-in"
        after_code.sign_in(account.username, NEW_PASSWORD)
        assert after_code.cookie("session")

    def test_another_browser_begins_at_the_beginning(self, after_code, account, new_browser, transaction, outbox):
        stranger = Person(new_browser())
        stranger.open("/reset")
        assert stranger.post("/reset/password", password=NEW_PASSWORD).location == "/reset"
        stranger.open("/reset")
        assert stranger.post("/reset/code", code=outbox.last("reset_code").code).location == "/reset"
        assert self.is_unchanged(transaction, account)

    def test_the_cookie_from_before_the_code_is_refused(self, jo, account, new_browser, transaction, outbox):
        jo.submit("/reset", username=account.username)
        thief = new_browser()
        thief.set_cookie("idaas-reset", jo.cookie("reset"), domain="localhost")
        jo.submit("/reset/code", code=outbox.last("reset_code").code)

        assert thief.get("/reset/password").location == "/reset"

    def test_an_expired_reset_starts_again(self, after_code, account, transaction, clock):
        after_code.open("/reset/password")
        clock.move(timedelta(minutes=15))

        assert after_code.post("/reset/password", password=NEW_PASSWORD).location == "/reset"
        assert "took too long" in " ".join(after_code.open("/reset").text.split())
        assert self.is_unchanged(transaction, account)

    def test_without_a_token_of_this_browser_nothing_happens(self, after_code, account, transaction):
        assert after_code.web.post("/reset/password", data={"password": NEW_PASSWORD}).status_code == 400
        assert self.is_unchanged(transaction, account)
