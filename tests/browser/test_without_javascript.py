"""A browser without JavaScript: the whole journey works, with a few more clicks."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def new_page_without_scripts(new_window):
    """A browser that runs no scripts."""
    return lambda: new_window(java_script_enabled=False)


def test_the_whole_journey_works_without_scripts(an_admin, new_page_without_scripts, partner, operator):
    admin = an_admin(page=new_page_without_scripts())
    admin.starts_at(partner)
    admin.follows("Register your school")
    admin.finds_school("q")
    admin.gives_details()
    expect(admin.page.locator("button[hidden]:visible")).to_have_count(0)
    tab = admin.at(admin.page.context.new_page())
    tab.verifies_the_address()
    tab.page.close()
    admin.follows("I have opened the link: continue")
    admin.sees("Sign up")
    admin.signs_up()
    for needs_scripts in ("Copy", "Print", "Save as a file"):
        expect(admin.page.get_by_role("button", name=needs_scripts)).to_have_count(0)
    admin.follows("Continue to Assembly")
    admin.authorises("Attendance")
    admin.sees(admin.school.name)
    operator.verifies(admin.estab_id)
    admin.presses("Check again")
    expect(admin.sharing_state("Attendance")).to_have_text("Shared")

    admin.presses("Sign out")
    admin.sees("You are signed out")
    admin.starts_at(partner)
    admin.signs_in()
    admin.sees(admin.school.name)


def test_the_code_of_the_other_browser_is_entered_without_scripts_in_either(
    an_admin, new_page_without_scripts, partner
):
    admin = an_admin(page=new_page_without_scripts())
    admin.starts_at(partner)
    admin.follows("Register your school")
    admin.chooses_directly()
    admin.gives_details()
    elsewhere = admin.at(new_page_without_scripts())
    first = elsewhere.verifies_the_address_elsewhere()
    expect(elsewhere.page.get_by_role("button", name="Copy")).to_have_count(0)

    admin.follows("I have opened the link: continue")
    wrong = f"{(int(first.replace(' ', '')) + 1) % 1_000_000:06}"
    admin.enters_code(wrong)
    admin.sees_errors("That is not the code on the other page")
    expect(admin.page.locator("#code")).to_have_value(wrong)
    admin.enters_code(first)
    admin.sees("Sign up")
    elsewhere.page.reload()
    elsewhere.sees("Continue in the other browser")
    admin.signs_up()
    admin.follows("Continue to Assembly")
    admin.sees("Authorise sharing with Assembly")


def test_a_new_code_is_shown_and_the_other_browser_continues_without_scripts(an_admin, new_page_without_scripts):
    admin = an_admin(page=new_page_without_scripts())
    admin.goes_to("/register")
    admin.chooses_directly()
    admin.gives_details()
    elsewhere = admin.at(new_page_without_scripts())
    elsewhere.verifies_the_address_elsewhere()
    admin.follows("I have opened the link: continue")
    for _ in range(5):
        admin.enters_code("000000")
        admin.sees_errors("code")

    elsewhere.page.reload()
    elsewhere.presses("Show a new code")
    elsewhere.sees("Where do you want to continue?")
    admin.enters_code(elsewhere.page.locator("#code").inner_text())
    admin.sees("Sign up")


def test_signing_up_twice_without_scripts_registers_once_and_still_leads_on(an_admin, new_page_without_scripts):
    """A double click, which no script prevents."""
    admin = an_admin(page=new_page_without_scripts())
    admin.goes_to("/register")
    admin.chooses_directly()
    admin.gives_details()
    admin.verifies_the_address()
    second = admin.at(admin.page.context.new_page())
    second.page.goto(admin.page.url)
    admin.signs_up()
    second.presses("Sign up")

    second.sees("Your school is registered")
    second.reads(admin.estab_id)


def test_a_password_that_was_never_shown_is_replaced_by_a_new_one(an_admin, new_page_without_scripts):
    """A response that was lost on the way: the page with the password is never shown."""
    admin = an_admin(page=new_page_without_scripts())
    admin.goes_to("/register")
    admin.registers()
    never_seen = admin.password
    admin.goes_to(f"/register/{admin.page.url.split('/')[-2]}")
    admin.sees("Your school is registered")
    admin.presses("Show me a new password")
    admin.sees("Your username and password")
    admin.notes_credentials()
    assert admin.password != never_seen

    elsewhere = admin.at(new_page_without_scripts())
    elsewhere.goes_to("/sign-in")
    elsewhere.signs_in(password=never_seen)
    elsewhere.sees_errors("does not match")
    elsewhere.signs_in()
    elsewhere.sees(admin.school.name)
