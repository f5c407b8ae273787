"""A person forgot the password: the pages in a real browser, and the code of the text message."""

import pytest
from playwright.sync_api import expect

from idp.estabs import people
from idp.foundation import clock
from tests.factories import PASSWORD

NEW_PASSWORD = "wobbly kettle sings at dusk"


@pytest.fixture
def jo(a_member, transaction):
    """An owner with a confirmed number."""
    member = a_member()
    with transaction():
        people.by_name(member.email).mobile_confirmed_at = clock.now()
    return member


def test_a_person_resets_a_forgotten_password(jo, outbox, check_page):
    page = jo.page
    jo.open("/sign-in")
    page.get_by_role("link", name="Forgotten your password?").click()
    check_page(page, "reset")
    jo.press("Send me a code")
    expect(page.locator(".error-summary")).to_be_focused()
    check_page(page, "reset-empty")
    page.fill("#username", jo.email)
    jo.press("Send me a code")

    jo.expect_heading("Type the code")
    check_page(page, "reset-code")
    first = outbox.last("reset_code").code
    page.fill("#code", f"{(int(first) + 1) % 1_000_000:06}")
    jo.press("Continue")
    jo.expect_errors("not the code in our newest message")
    check_page(page, "reset-wrong-code")
    jo.press("Send a new code")
    jo.expect_text("a new one is on its way")
    page.fill("#code", outbox.last("reset_code").code)
    jo.press("Continue")

    jo.expect_heading("Choose a new password")
    check_page(page, "reset-password")
    page.fill("#password", "password1234")
    jo.press("Use this password")
    expect(page.locator(".error-summary")).to_be_focused()
    check_page(page, "reset-password-refused")
    page.fill("#password", NEW_PASSWORD)
    jo.press("Use this password")

    jo.expect_heading("Sign in")
    jo.expect_text("Your new password is set")
    page.fill("#username", jo.email)
    page.fill("#password", PASSWORD)
    jo.press("Sign in")
    jo.expect_errors("does not match")
    page.fill("#password", NEW_PASSWORD)
    jo.press("Sign in")
    expect(page.get_by_role("link", name="Sign out")).to_be_visible()
    for _ in range(2):
        page.go_back()
        page.wait_for_load_state("networkidle")  # the sign-in page redirects a person who is signed in
    page.goto(jo.issuer + "/reset/password")
    expect(page).not_to_have_url(jo.issuer + "/reset/password")


def test_a_reset_works_by_keyboard_and_only_in_its_own_browser(jo, new_window, outbox):
    page = jo.page
    jo.open("/reset")
    page.locator("#username").focus()
    page.keyboard.type(jo.email)
    page.keyboard.press("Enter")
    jo.expect_heading("Type the code")
    other = jo.at(new_window("phone"))
    other.open("/reset/code")
    other.expect_heading("Forgotten your password?")
    other.expect_text("only in the browser that asked")

    page.locator("#code").focus()
    page.keyboard.type(outbox.last("reset_code").code)
    page.keyboard.press("Enter")
    jo.expect_heading("Choose a new password")
    page.go_back()
    jo.expect_heading("Choose a new password")
    page.locator("#password").focus()
    page.keyboard.type(NEW_PASSWORD)
    page.keyboard.press("Enter")
    jo.expect_heading("Sign in")
