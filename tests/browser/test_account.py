"""A person changes name, address and number, and undoes another person's change, in a real browser."""

import pytest
from playwright.sync_api import expect

from idp.estabs import people
from idp.foundation import clock
from idp.operate import recovery


@pytest.fixture
def jo(a_member, transaction):
    """An owner with a confirmed number, signed in."""
    member = a_member()
    with transaction():
        people.by_name(member.email).mobile_confirmed_at = clock.now()
    member.open("/sign-in")
    member.page.fill("#username", member.email)
    member.page.fill("#password", member.password)
    member.press("Sign in")
    expect(member.page.get_by_role("link", name="Sign out")).to_be_visible()
    return member


def test_a_person_changes_name_address_and_number_and_undoes_it(jo, new_window, outbox, check_page):
    page = jo.page
    jo.follow_link("Your account")
    jo.expect_heading("Your account")
    check_page(page, "account")
    page.get_by_role("link", name="Change name").click()
    jo.expect_heading("Change your name")
    check_page(page, "account-name")
    page.fill("#name", "Jo Newname")
    jo.press("Save")
    jo.expect_text("Your name has been changed", "Jo Newname")

    page.get_by_role("link", name="Change e-mail address").click()
    jo.expect_heading("Change your e-mail address")
    page.fill("#email", "no address")
    jo.press("Send the link")
    expect(page.locator(".error-summary")).to_be_focused()
    check_page(page, "account-email-wrong")
    page.fill("#email", f"new-{jo.email}")
    jo.press("Send the link")
    jo.expect_text("We have sent a link")
    page.goto(outbox.last("confirm_address").links[0])
    jo.expect_heading("Use this e-mail address?")
    check_page(page, "account-email-link")
    jo.press("Use this address")
    jo.expect_text(f"Your e-mail address is now new-{jo.email}")
    page.goto(outbox.last("confirm_address").links[0])
    jo.expect_error_code("link_used")
    check_page(page, "account-email-link-used")

    jo.open("/manage/account")
    page.get_by_role("link", name="Change mobile number").click()
    jo.expect_heading("Change your mobile number")
    check_page(page, "account-mobile")
    page.fill("#mobile", "07700 900999")
    jo.press("Text me a code")
    jo.expect_heading("Confirm your new number")
    check_page(page, "account-mobile-code")
    page.fill("#code", outbox.last("mobile_code").code)
    page.keyboard.press("Enter")
    jo.expect_text("Your mobile number has been changed", "07700 900999")

    other = jo.at(new_window("phone"))
    other.page.goto(outbox.last("email_changed").links[0])
    other.expect_heading("Undo the change?")
    check_page(other.page, "undo")
    other.press("Undo the change")
    other.expect_heading("The change is undone")
    check_page(other.page, "undone")
    other.page.goto(outbox.last("email_changed").links[0])
    other.expect_error_code("link_used")
    check_page(other.page, "undo-used")
    jo.open("/manage/account")
    jo.expect_heading("Sign in")


def test_a_link_from_our_staff_lets_a_person_choose_a_password(a_member, transaction, outbox, check_page):
    jo = a_member()
    with transaction():
        recovery.send_reset_link(jo.email, by="cli", note="Called the office.")
    jo.page.goto(outbox.last("reset_link").links[0])
    jo.expect_heading("Choose a new password")
    jo.page.fill("#password", "wobbly kettle sings at dusk")
    jo.press("Use this password")
    jo.expect_text("Your new password is set")
    jo.page.goto(outbox.last("reset_link").links[0])
    jo.expect_error_code("link_used")
    check_page(jo.page, "reset-link-used")
