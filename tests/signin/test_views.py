"""Signing in and out, over HTTP."""

from datetime import timedelta
from urllib.parse import quote

import pytest

from idp.estabs.models import Estab
from idp.foundation import runtime
from idp.foundation.ports import RequestingPartner
from tests.factories import PASSWORD, an_administrator

PENDING_REQUEST = "/oauth/authorize?client_id=assembly&request_uri=urn:x"


def quoted(path):
    return quote(path, safe="")


@pytest.fixture
def pending_request(change_ports):
    """`PENDING_REQUEST` is one of Assembly's, as the protocol reports it to the sign-in page."""
    change_ports(requesting_partner={PENDING_REQUEST: RequestingPartner("Assembly", "Example Ltd")}.get)


def test_signing_in_redirects_to_the_requested_page(jo, account):
    response = jo.sign_in(account.username, back="/mobile/confirm")

    assert (response.status_code, response.location) == (303, "/mobile/confirm")
    assert account.school not in jo.open("/sign-in").text


@pytest.mark.parametrize("written", [str, str.upper, lambda name: f"  {name} "])
def test_the_name_may_be_written_in_any_way(jo, account, written):
    assert jo.sign_in(written(account.username)).status_code == 303
    assert jo.sign_in(written(account.email), back="/x").status_code == 303


@pytest.mark.parametrize(
    "typed", ["jo@bücher.example", "Jo@BÜCHER.example", "jo@bu\u0308cher.example", "jo@xn--bcher-kva.EXAMPLE"]
)
def test_an_address_may_be_written_with_the_letters_of_its_domain(jo, transaction, typed):
    """An address is stored with its domain as the DNS has it (RFC 5891 §4.4), and people type the letters."""
    with transaction():
        an_administrator(email="jo@xn--bcher-kva.example")
    assert jo.sign_in(typed).status_code == 303


@pytest.mark.parametrize(
    "domain", ["oa\u043a.example", "oak.example\u0301", "\u0131oak.example", "ü..x", "ü", "-ü.example"]
)
def test_an_address_of_another_domain_is_another_address(jo, transaction, domain):
    with transaction():
        an_administrator(email="kim@oak.example")
    assert jo.sign_in(f"kim@{domain}").status_code == 422


def test_the_fields_and_buttons_have_the_promised_names(jo):
    jo.open("/sign-in")

    assert jo.page.find("input", id="username")["name"] == "username"
    assert jo.page.find("input", id="password")["name"] == "password"
    assert jo.page.find("button", id="sign-in")
    assert jo.page.find("button", id="cancel")["name"] == "cancel"


def test_the_page_names_the_requesting_partner_and_its_link_to_register_keeps_the_request(jo, pending_request):
    jo.open(f"/sign-in?next={quoted(PENDING_REQUEST)}")

    assert "Assembly wants to connect to your school" in jo.page_text
    assert "Assembly is a service of Example Ltd." in jo.page_text
    assert jo.page.find("a", id="register")["href"] == f"/register?next={quoted(PENDING_REQUEST)}"
    assert "form-action" not in jo.response.headers["Content-Security-Policy"]


def test_without_a_partners_request_the_page_names_no_partner(jo):
    jo.open("/sign-in")

    assert "wants to connect" not in jo.page_text
    assert jo.page.find("a", id="register")["href"] == "/register"
    assert "form-action 'self';" in jo.response.headers["Content-Security-Policy"]


def test_cancel_returns_to_the_partner_and_checks_no_password(jo, account, app):
    before = runtime.for_app(app).passwords.hashed
    response = jo.submit(
        f"/sign-in?next={quoted(PENDING_REQUEST)}", cancel="yes", username=account.username, password="x"
    )

    assert (response.status_code, response.location) == (303, PENDING_REQUEST + "&cancel=1")
    assert runtime.for_app(app).passwords.hashed == before


def test_cancel_without_a_partner_leads_to_our_first_page(jo):
    assert jo.submit("/sign-in?next=/mobile/confirm", cancel="yes").location == "/"


def test_a_wrong_password_keeps_the_name_and_never_the_password(jo, account):
    jo.sign_in(account.username, "not the password at all")

    assert jo.response.status_code == 422
    assert "does not match" in jo.page_text
    assert jo.page.find("input", id="username")["value"] == account.username
    assert "not the password at all" not in jo.response.text


def test_an_empty_form_is_explained_at_its_field(jo):
    jo.submit("/sign-in", username="", password="")

    assert "Type your Estab ID or your e-mail address." in jo.page_text
    assert jo.page.find("a", href="#username")
    assert jo.page.find("input", id="username")["aria-invalid"] == "true"


@pytest.mark.parametrize("name", ["a\0b", "x" * 400, "a\r\nb", "\x7f"])
def test_impossible_names_are_refused_without_hashing(jo, app, name):
    before = runtime.for_app(app).passwords.hashed
    jo.submit("/sign-in", username=name, password="whatever it is")

    assert jo.response.status_code == 422
    assert runtime.for_app(app).passwords.hashed == before


def test_a_name_that_is_not_utf_8_is_an_unknown_name(jo):
    jo.submit("/sign-in", username=b"\xed\xa0\x80", password=b"\xff\xfe")

    assert jo.response.status_code == 422


def test_the_eleventh_guess_is_refused_with_the_time_to_wait(jo, account):
    for _ in range(10):
        jo.sign_in(account.username, "wrong every time")
    jo.sign_in(account.username, PASSWORD)

    assert jo.response.status_code == 429
    assert 0 < int(jo.response.headers["Retry-After"]) <= 60
    assert "no one can sign in to it for a minute" in jo.page_text
    assert jo.page.find(id="error-code").text == "account_locked"


@pytest.mark.parametrize(
    ("state", "message"), [("suspended", "suspended"), ("closed", "has been closed"), ("rejected", "could not confirm")]
)
def test_an_account_that_is_not_open_is_explained_after_the_right_password_only(
    jo, account, transaction, state, message
):
    with transaction() as session:
        session.get_one(Estab, account.estab_id).state = state

    jo.sign_in(account.username, "wrong of course")
    assert message not in jo.page_text
    jo.sign_in(account.username)
    assert jo.response.status_code == 403
    assert message in jo.page_text
    assert jo.cookie("session") is None


def test_a_suspended_school_is_shown_the_way_back_to_the_partner(jo, account, transaction, pending_request):
    with transaction() as session:
        session.get_one(Estab, account.estab_id).state = "suspended"
    jo.sign_in(account.username, back=quoted(PENDING_REQUEST))

    assert jo.page.find("a", string="Back to Assembly")["href"] == PENDING_REQUEST + "&cancel=1"


def test_a_page_left_open_too_long_loses_nothing_but_the_password(jo, account):
    jo.open(f"/sign-in?next={quoted('/mobile/confirm')}")
    response = jo.web.post("/sign-in?next=/mobile/confirm", data={"username": account.username, "password": PASSWORD})
    jo.response = response

    assert response.status_code == 400
    assert "This page had been open for a long time. Please type your password again." in jo.page_text
    assert jo.page.find("input", id="username")["value"] == account.username
    assert jo.post("/sign-in?next=/mobile/confirm", username=account.username, password=PASSWORD).location == (
        "/mobile/confirm"
    )


def test_the_sign_in_page_redirects_a_signed_in_person_to_the_first_page(jo, account):
    jo.sign_in(account.username)

    assert jo.open("/sign-in").location == "/"


def test_a_person_who_is_signed_in_can_sign_in_again_for_a_partner_that_asks_for_it(jo, account):
    jo.sign_in(account.username)
    first = jo.cookie("session")

    assert jo.open(f"/sign-in?next={quoted(PENDING_REQUEST)}").status_code == 200
    assert jo.sign_in(account.username, back=quoted(PENDING_REQUEST)).location == PENDING_REQUEST
    assert jo.cookie("session") != first


def test_signing_out_asks_and_then_ends_the_session(jo, account):
    jo.sign_in(account.username)
    jo.open("/sign-out")
    assert "You are signed in as Jo Bloggs" in jo.page_text

    jo.post("/sign-out")
    assert jo.response.location == "/signed-out"
    assert not jo.cookie("session")
    jo.open("/signed-out")
    assert jo.page.find(id="signed-out")
    assert jo.open("/mobile/confirm").location.startswith("/sign-in")


def test_signing_out_twice_does_no_harm(jo):
    assert jo.open("/sign-out").location == "/signed-out"
    assert jo.open("/signed-out").status_code == 200


def test_a_sign_in_on_a_new_computer_is_mailed_and_one_on_the_same_is_not(jo, stranger, account, outbox):
    jo.sign_in(account.username)
    assert outbox.all("new_device") == []

    stranger.web.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/2010 Firefox/140.0"
    stranger.sign_in(account.username)
    mail = outbox.last("new_device")
    assert mail.to == account.email
    assert "Firefox on Windows" in mail.text

    jo.sign_in(account.username, back="/x")
    stranger.sign_in(account.username, back="/x")
    assert len(outbox.all("new_device")) == 1


def test_the_first_computer_of_a_person_is_not_mailed_even_if_others_have_one(
    jo, stranger, account, transaction, outbox
):
    with transaction():
        colleague = an_administrator().username
    stranger.sign_in(colleague)
    jo.sign_in(account.username)

    assert outbox.all("new_device") == []


def test_a_new_computer_is_not_announced_when_no_other_is_known(jo, stranger, account, outbox, clock, settings):
    jo.sign_in(account.username)
    clock.move(timedelta(seconds=settings.session.device))
    stranger.sign_in(account.username)

    assert outbox.all("new_device") == []


def test_a_locked_person_is_mailed_once(stranger, account, outbox, clock):
    for _ in range(12):
        stranger.sign_in(account.username, "wrong every time")
    assert [mail.to for mail in outbox.all("account_locked")] == [account.email]
    assert "2 March 2026 at 09:30" in outbox.last("account_locked").text

    clock.move(timedelta(minutes=2))
    stranger.sign_in(account.username, "wrong again")
    assert len(outbox.all("account_locked")) == 1
