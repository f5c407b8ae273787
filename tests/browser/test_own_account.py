"""A person's own password and sessions at the Security page, in a real browser."""

import pytest
from playwright.sync_api import expect

NEW_PASSWORD = "wobbly kettle sings at dusk"


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
def test_a_person_changes_their_password_and_signs_in_with_the_new_one(a_member, new_window, javascript):
    admin = a_member(page=new_window("phone", java_script_enabled=javascript))
    admin.open("/sign-in")
    admin.sign_in()
    admin.open("/manage/security")
    admin.follow_link("Change password")
    admin.expect_heading("Change your password")
    admin.page.locator("#current_password").fill("not this one")
    admin.page.locator("#password").fill(NEW_PASSWORD)
    admin.press("Change password")
    admin.expect_errors("That is not your current password.")
    admin.page.locator("#current_password").fill(admin.password)
    admin.page.locator("#password").fill(NEW_PASSWORD)
    admin.page.locator("#password").press("Enter")
    admin.expect_heading("Security")
    admin.expect_text("Your password has been changed.")
    admin.sign_out()
    admin.open("/sign-in")
    admin.sign_in(password=NEW_PASSWORD)
    admin.expect_heading(admin.school.name)


def test_the_pages_of_password_and_sessions_are_accessible_and_end_other_sessions(a_member, new_window, check_page):
    admin = a_member()
    admin.open("/sign-in")
    admin.sign_in()
    admin.open("/manage/security/password")
    check_page(admin.page, "change-password")
    admin.page.locator("#current_password").fill("not this one")
    admin.page.locator("#password").fill("password1234")
    expect(admin.page.locator("#password-strength")).to_contain_text("Very many people")
    admin.press("Change password")
    check_page(admin.page, "change-password-refused")

    other_page = new_window("phone")
    other_page.goto(f"{admin.issuer}/sign-in")
    other_page.fill("#username", admin.estab_id)
    other_page.fill("#password", admin.password)
    other_page.click("#sign-in")
    expect(other_page.get_by_role("heading", level=1)).to_have_text(admin.school.name)
    admin.open("/manage/security/sessions")
    check_page(admin.page, "sessions")
    admin.open("/manage/security")
    check_page(admin.page, "security")

    admin.open("/manage/security/sessions")
    admin.page.locator("#sessions form button").first.press("Enter")
    admin.expect_text("Signed out:")
    other_page.goto(f"{admin.issuer}/manage")
    expect(other_page.locator("#username")).to_be_visible()
    admin.press("Sign out everywhere")
    admin.expect_heading("You are signed out")
