"""A browser without JavaScript: the whole journey works, with a few more clicks."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def new_page_without_scripts(new_window):
    """`new_page_without_scripts()` is a browser that runs no scripts."""
    return lambda: new_window(java_script_enabled=False)


def test_registering_and_authorising_work_without_scripts(an_admin, new_page_without_scripts, partner, operator):
    admin = an_admin(page=new_page_without_scripts())
    admin.start_sign_in_at(partner)
    admin.follow_link("Register your school")
    admin.find_school("q")
    admin.fill_in_details()
    expect(admin.page.locator("button[hidden]:visible")).to_have_count(0)
    tab = admin.at(admin.page.context.new_page())
    tab.verify_address()
    tab.page.close()
    admin.follow_link("I have opened the link: continue")
    admin.expect_heading("Sign up")
    admin.sign_up()
    for needs_scripts in ("Copy", "Print", "Save as a file"):
        expect(admin.page.get_by_role("button", name=needs_scripts)).to_have_count(0)
    admin.follow_link("Continue to Assembly")
    admin.authorise("Attendance")
    admin.expect_heading(admin.school.name)
    operator.verify(admin.estab_id)
    admin.press("Check again")
    expect(admin.sharing_state("Attendance")).to_have_text("Shared")

    admin.press("Sign out")
    admin.expect_heading("You are signed out")
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.expect_heading(admin.school.name)


def test_the_code_of_the_other_browser_is_entered_without_scripts_in_either(
    an_admin, new_page_without_scripts, partner
):
    admin = an_admin(page=new_page_without_scripts())
    admin.start_sign_in_at(partner)
    admin.follow_link("Register your school")
    admin.open_details_page()
    admin.fill_in_details()
    other_browser = admin.at(new_page_without_scripts())
    code = other_browser.verify_address_elsewhere()
    expect(other_browser.page.get_by_role("button", name="Copy")).to_have_count(0)

    admin.follow_link("I have opened the link: continue")
    wrong = f"{(int(code.replace(' ', '')) + 1) % 1_000_000:06}"
    admin.enter_code(wrong)
    admin.expect_errors("That is not the code on the other page")
    expect(admin.page.locator("#code")).to_have_value(wrong)
    admin.enter_code(code)
    admin.expect_heading("Sign up")
    other_browser.page.reload()
    other_browser.expect_heading("Continue in the other browser")
    admin.sign_up()
    admin.follow_link("Continue to Assembly")
    admin.expect_heading("Authorise sharing with Assembly")


def test_a_new_code_is_shown_and_the_other_browser_continues_without_scripts(an_admin, new_page_without_scripts):
    admin = an_admin(page=new_page_without_scripts())
    admin.open("/register")
    admin.open_details_page()
    admin.fill_in_details()
    other_browser = admin.at(new_page_without_scripts())
    other_browser.verify_address_elsewhere()
    admin.follow_link("I have opened the link: continue")
    for _ in range(5):
        admin.enter_code("000000")
        admin.expect_errors("code")

    other_browser.page.reload()
    other_browser.press("Show a new code")
    other_browser.expect_heading("Where do you want to continue?")
    admin.enter_code(other_browser.page.locator("#code").inner_text())
    admin.expect_heading("Sign up")


def test_signing_up_twice_without_scripts_registers_once(an_admin, new_page_without_scripts):
    """A double click, which no script prevents."""
    admin = an_admin(page=new_page_without_scripts())
    admin.open("/register")
    admin.open_details_page()
    admin.fill_in_details()
    admin.verify_address()
    second = admin.at(admin.page.context.new_page())
    second.page.goto(admin.page.url)
    admin.sign_up()
    second.press("Sign up")

    second.expect_heading("Your school is registered")
    second.expect_text(admin.estab_id)


def test_a_password_that_was_never_shown_is_replaced_by_a_new_one(an_admin, new_page_without_scripts):
    """A response that was lost on the way: the page with the password is never shown."""
    admin = an_admin(page=new_page_without_scripts())
    admin.open("/register")
    admin.register()
    first_password = admin.password
    admin.open(f"/register/{admin.page.url.split('/')[-2]}")
    admin.expect_heading("Your school is registered")
    admin.press("Show me a new password")
    admin.expect_heading("Your username and password")
    admin.note_credentials()
    assert admin.password != first_password

    other_browser = admin.at(new_page_without_scripts())
    other_browser.open("/sign-in")
    other_browser.sign_in(password=first_password)
    other_browser.expect_errors("does not match")
    other_browser.sign_in()
    other_browser.expect_heading(admin.school.name)
