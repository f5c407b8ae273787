"""The pages of signing in and of the signed-in school, in a real browser."""

from datetime import timedelta
from itertools import count
from urllib.parse import urlencode

import pyotp
import pytest
from playwright.sync_api import expect

from idp.estabs import links
from idp.foundation import clock
from idp.onboarding import review
from idp.sharing import authorise
from idp.signin import operators
from tests.factories import PASSWORD, a_client, a_school, an_administrator, an_estab

_numbers = count(1)


def make_person(**overrides):
    """An administrator of a school that is not in the fictional register."""
    number = next(_numbers)
    school = a_school(register_id=f"{700000 + number}", dfe_number=f"{9990000 + number}", name="St Cuthbert's School")
    return an_administrator(an_estab(school), **overrides)


@pytest.fixture
def username(transaction):
    """An administrator whose school shares with one service and has not been verified yet."""
    with transaction():
        person = make_person(name="Jo Bloggs")
        person.memberships[0].estab.state = "unverified"
        review.open_for(person.memberships[0].estab)
        client = a_client(client_name="Timetabler")
        scopes = client.required_scopes | {"students.sen"}
        until = clock.now() + timedelta(days=365)
        details = {"agreement_version": "1", "until": until, "offered": client.scopes, "second_step": True}
        authorise.give(client, scopes, by=person.memberships[0], **details)
        return person.username


def sign_in(page, issuer, username, password=PASSWORD):
    page.goto(f"{issuer}/sign-in")
    page.fill("#username", username)
    page.fill("#password", password)
    page.click("#sign-in")


def test_a_person_signs_in_stops_sharing_and_signs_out(page, issuer, username, check_page):
    page.goto(f"{issuer}/sign-in")
    check_page(page, "sign-in")
    page.fill("#username", username)
    page.fill("#password", "not the password")
    page.click("#sign-in")
    expect(page.locator(".error-summary")).to_be_focused()
    expect(page.locator("#username")).to_have_value(username)

    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Who your school shares with")).to_be_visible()
    check_page(page, "overview")

    page.get_by_role("link", name="Stop sharing with Timetabler").click()
    expect(page.locator("#stop")).to_be_visible()
    check_page(page, "stop-sharing")
    page.click("#stop")
    expect(page.get_by_role("status").first).to_contain_text("stopped sharing with Timetabler")
    check_page(page, "overview-empty")

    page.get_by_role("link", name="Sign out").click()
    expect(page.locator("#sign-out")).to_be_visible()
    check_page(page, "sign-out")
    page.click("#sign-out")
    expect(page.locator("#signed-out")).to_be_visible()
    check_page(page, "signed-out")


def test_a_person_confirms_their_mobile_number(page, issuer, username, outbox, check_page):
    sign_in(page, issuer, username)
    page.get_by_role("link", name="Confirm").click()
    expect(page.locator("#send-code")).to_be_visible()
    check_page(page, "mobile")
    page.click("#send-code")
    expect(page.locator("#code")).to_be_visible()
    page.fill("#code", "12")
    page.click("#confirm")
    expect(page.locator(".error-summary")).to_be_focused()
    check_page(page, "mobile-wrong")
    page.fill("#code", outbox.last("mobile_code").code)
    page.click("#confirm")
    expect(page.get_by_text("Your mobile number is confirmed.")).to_be_visible()


def test_a_colleague_gets_a_generated_password_by_a_welcome_link(page, issuer, transaction, check_page):
    with transaction():
        link = links.issue_welcome_url(make_person(name="Al Bloggs", password_hash=None))
    page.goto(link)
    check_page(page, "welcome")
    page.fill("#password", "school")
    page.click("#choose")
    expect(page.locator(".error-summary")).to_be_focused()
    check_page(page, "welcome-refused")
    page.click("#generate")
    expect(page.locator("h1")).to_have_text("Your username and password")
    check_page(page, "welcome-done")
    page.goto(link)
    check_page(page, "welcome-link-used")


def test_an_operator_is_set_up_and_signs_in(page, issuer, transaction, check_page):
    email = f"sam-{next(_numbers)}@idaas.example"
    with transaction():
        _, link = operators.add("Sam Jones", email)
    page.goto(link)
    check_page(page, "set-up-begin")
    page.click("#begin")
    expect(page.locator("#seed")).to_be_visible()
    check_page(page, "set-up")
    app = pyotp.TOTP(page.locator("#seed").inner_text().replace(" ", ""))
    with clock.fixed(clock.now()):  # a code lives for half a minute, and this machine may be busy
        page.fill("#password", "wobbly kettle sings at dusk")
        page.fill("#code", "12345")
        page.click("#finish")
        expect(page.locator("#password-kept")).to_be_visible()
        check_page(page, "set-up-wrong-code")
        page.fill("#code", app.at(clock.timestamp()))
        page.click("#finish")
        expect(page.get_by_text("You are set up and signed in.")).to_be_visible()
        check_page(page, "set-up-done")
        page.context.clear_cookies()  # the next day
        page.goto(f"{issuer}/operate/sign-in")
        check_page(page, "operator-sign-in")
        clock.move(timedelta(seconds=30))
        page.fill("#email", email)
        page.fill("#password", "wobbly kettle sings at dusk")
        page.fill("#code", app.at(clock.timestamp()))
        page.click("#sign-in")
        expect(page.locator("h1")).to_have_text("Operators' pages")
    check_page(page, "operators-pages")


def test_the_sign_in_page_names_the_partner_of_the_request(page, issuer, transaction, check_page):
    with transaction():
        client_id = a_client(client_name="Timetabler").id
    parameters = {
        "response_type": "code", "client_id": client_id, "redirect_uri": "https://assembly.example/callback",
        "scope": "openid profile", "state": "s", "nonce": "n", "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }  # fmt: skip
    page.goto(f"{issuer}/oauth/authorize?{urlencode(parameters)}")
    expect(page.get_by_text("Timetabler wants to connect to your school")).to_be_visible()
    check_page(page, "sign-in-partner")


def test_the_page_of_a_superseded_welcome_link_can_send_a_new_one(page, issuer, transaction, check_page):
    with transaction():
        person = make_person(name="Al Bloggs", password_hash=None)
        link = links.issue_welcome_url(person)
        links.issue_welcome_url(person)
    page.goto(link)
    check_page(page, "welcome-link-superseded")
    page.click("#again")
    expect(page.locator("h1")).to_have_text("Check your e-mail")
    check_page(page, "welcome-link-sent")
