"""The link in the mail is opened in another browser, for instance on a telephone.

The person chooses in which of the two the registration continues; the other one gets no access.
"""

import pytest
from playwright.sync_api import expect

POLL_MS = 3_000
"""As INTERVAL_MS in idp/static/app.js: the interval at which the page polls whether the link was opened."""


@pytest.fixture
def admin(an_admin, partner, stop_page_clock):
    """A person who came from a partner, on the page "Check your e-mail"; the clock of the page is stopped."""
    admin = an_admin()
    stop_page_clock(admin.page)
    admin.start_sign_in_at(partner)
    admin.follow_link("Register your school")
    admin.open_details_page()
    admin.fill_in_details()
    return admin


def expect_signed_out(admin):
    """No one is signed in in the browser of `admin`; it shows the sign-in page afterwards."""
    admin.open("/")
    admin.expect_heading("Sign in")


def test_the_first_browser_asks_for_the_code_without_a_reload_and_continues_with_it(
    admin, new_window, partner, check_page
):
    other_browser = admin.at(new_window("phone"))
    code = other_browser.verify_address_elsewhere()
    check_page(other_browser.page, "show-code")

    admin.page.clock.run_for(POLL_MS + 100)
    admin.expect_heading("Enter the code")
    admin.expect_text("Someone opened the link")
    admin.page.clock.resume()
    check_page(admin.page, "enter-code")
    admin.enter_code("12")
    admin.expect_errors("That is not the code on the other page")
    admin.enter_code(code)
    admin.expect_heading("Sign up")
    admin.sign_up()
    admin.follow_link("Continue to Assembly")

    admin.expect_heading("Authorise sharing with Assembly")
    admin.authorise()
    admin.expect_heading(admin.school.name)
    other_browser.page.reload()
    other_browser.expect_heading("Continue in the other browser")
    expect_signed_out(other_browser)


def test_signing_up_in_the_other_browser_does_not_continue_the_partners_request(admin, new_window, partner, check_page):
    other_browser = admin.at(new_window("phone"))
    other_browser.verify_address_elsewhere()
    other_browser.continue_here()
    other_browser.sign_up()
    other_browser.expect_text("This is not the browser you started in")
    check_page(other_browser.page, "credentials-other-browser")
    assert other_browser.page.get_by_role("link", name="Continue to Assembly").count() == 0

    link = other_browser.page.get_by_role("link", name="Go back to Assembly").get_attribute("href")
    expect_signed_out(other_browser)
    other_browser.page.goto(link)
    other_browser.expect_heading("Sign in")
    other_browser.expect_text("Assembly wants to connect to your school")
    other_browser.sign_in()
    other_browser.expect_heading("Authorise sharing with Assembly")
    other_browser.authorise()
    other_browser.expect_heading(other_browser.school.name)


def test_the_first_browser_shows_only_that_the_link_was_opened_and_continues_with_the_password(admin, new_window):
    other_browser = admin.at(new_window("phone"))
    code = other_browser.verify_address_elsewhere()
    other_browser.continue_here()
    other_browser.sign_up()

    admin.page.clock.run_for(POLL_MS + 100)
    admin.expect_heading("Enter the code")
    expect(admin.page.locator("main")).not_to_contain_text(other_browser.estab_id)
    admin.page.clock.resume()
    admin.enter_code(code)
    admin.expect_errors("That code no longer works")
    admin.follow_link("Sign in to continue to Assembly")
    admin.sign_in(other_browser.estab_id, other_browser.password)

    admin.expect_heading("Authorise sharing with Assembly")


def test_a_registration_is_stopped_after_its_link_was_pressed_by_mistake(admin, new_window):
    other_browser = admin.at(new_window())
    other_browser.verify_address_elsewhere()
    other_browser.press("This was not me")
    other_browser.expect_heading("Thank you for telling us")

    admin.page.clock.run_for(POLL_MS + 100)
    admin.expect_heading("This registration has been stopped")


def test_the_url_of_a_registration_shows_nothing_in_another_browser(admin, new_window, check_page):
    stranger = admin.at(new_window())
    stranger.page.goto(admin.page.url)

    stranger.expect_heading("We cannot find this registration")
    check_page(stranger.page, "registration-not-here")
    stranger.follow_link("Register your school")
    stranger.expect_heading("Find your school")


def test_a_person_who_did_not_ask_for_a_registration_stops_it(admin, new_window, check_page):
    other_browser = admin.at(new_window())
    other_browser.open_verification_mail()
    other_browser.press("This was not me")
    other_browser.expect_heading("Thank you for telling us")
    check_page(other_browser.page, "not-me")

    admin.page.clock.run_for(POLL_MS + 100)
    admin.expect_heading("This registration has been stopped")
    admin.page.clock.resume()
    check_page(admin.page, "registration-ended")
