"""The link in the mail is opened in another browser, for instance on a telephone.

The person chooses in which of the two the registration continues; the other one gets no access.
"""

import pytest
from playwright.sync_api import expect

POLL_MS = 3_000
"""As INTERVAL_MS in idp/static/app.js: how often the page asks whether the link was opened."""


@pytest.fixture
def admin(an_admin, partner, stop_page_clock):
    """A person who came from a partner, on the page "Check your e-mail"; the clock of the page is stopped."""
    admin = an_admin()
    stop_page_clock(admin.page)
    admin.starts_at(partner)
    admin.follows("Register your school")
    admin.chooses_directly()
    admin.gives_details()
    return admin


def expect_signed_out(admin):
    """No one is signed in in the browser of `admin`; it shows the sign-in page afterwards."""
    admin.goes_to("/")
    admin.sees("Sign in")


def test_the_first_browser_moves_on_without_a_reload_and_continues_with_the_code(
    admin, new_window, partner, check_page
):
    elsewhere = admin.at(new_window("phone"))
    code = elsewhere.verifies_the_address_elsewhere()
    check_page(elsewhere.page, "show-code")

    admin.page.clock.run_for(POLL_MS + 100)
    admin.sees("Enter the code")
    admin.reads("Someone opened the link")
    admin.page.clock.resume()
    check_page(admin.page, "enter-code")
    admin.enters_code("12")
    admin.sees_errors("That is not the code on the other page")
    admin.enters_code(code)
    admin.sees("Sign up")
    admin.signs_up()
    admin.follows("Continue to Assembly")

    admin.sees("Authorise sharing with Assembly")
    admin.authorises()
    admin.sees(admin.school.name)
    elsewhere.page.reload()
    elsewhere.sees("Continue in the other browser")
    expect_signed_out(elsewhere)


def test_signing_up_in_the_other_browser_shows_the_password_there_and_resumes_nothing(
    admin, new_window, partner, check_page
):
    elsewhere = admin.at(new_window("phone"))
    elsewhere.verifies_the_address_elsewhere()
    elsewhere.continues_here()
    elsewhere.signs_up()
    elsewhere.reads("This is not the browser you started in")
    check_page(elsewhere.page, "credentials-other-browser")
    assert elsewhere.page.get_by_role("link", name="Continue to Assembly").count() == 0

    link = elsewhere.page.get_by_role("link", name="Go back to Assembly").get_attribute("href")
    expect_signed_out(elsewhere)
    elsewhere.page.goto(link)
    elsewhere.sees("Sign in")
    elsewhere.reads("Assembly wants to connect to your school")
    elsewhere.signs_in()
    elsewhere.sees("Authorise sharing with Assembly")
    elsewhere.authorises()
    elsewhere.sees(elsewhere.school.name)


def test_the_first_browser_shows_only_that_the_link_was_opened_and_continues_with_the_password(admin, new_window):
    elsewhere = admin.at(new_window("phone"))
    code = elsewhere.verifies_the_address_elsewhere()
    elsewhere.continues_here()
    elsewhere.signs_up()

    admin.page.clock.run_for(POLL_MS + 100)
    admin.sees("Enter the code")
    expect(admin.page.locator("main")).not_to_contain_text(elsewhere.estab_id)
    admin.page.clock.resume()
    admin.enters_code(code)
    admin.sees_errors("That code no longer works")
    admin.follows("Sign in to continue to Assembly")
    admin.signs_in(elsewhere.estab_id, elsewhere.password)

    admin.sees("Authorise sharing with Assembly")


def test_a_registration_is_stopped_after_its_link_was_pressed_by_mistake(admin, new_window):
    elsewhere = admin.at(new_window())
    elsewhere.verifies_the_address_elsewhere()
    elsewhere.presses("This was not me")
    elsewhere.sees("Thank you for telling us")

    admin.page.clock.run_for(POLL_MS + 100)
    admin.sees("This registration has been stopped")


def test_the_address_of_a_registration_page_shows_nothing_in_another_browser(admin, new_window, check_page):
    stranger = admin.at(new_window())
    stranger.page.goto(admin.page.url)

    stranger.sees("We cannot find this registration")
    check_page(stranger.page, "registration-not-here")
    stranger.follows("Register your school")
    stranger.sees("Find your school")


def test_a_person_who_did_not_ask_for_a_registration_stops_it(admin, new_window, check_page):
    elsewhere = admin.at(new_window())
    elsewhere.opens_the_mail()
    elsewhere.presses("This was not me")
    elsewhere.sees("Thank you for telling us")
    check_page(elsewhere.page, "not-me")

    admin.page.clock.run_for(POLL_MS + 100)
    admin.sees("This registration has been stopped")
    admin.page.clock.resume()
    check_page(admin.page, "registration-ended")
