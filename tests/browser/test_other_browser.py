"""The link in the mail is opened in another browser, on a telephone say: it is safe, and both browsers go on."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def first_browser(an_admin, partner, stop_page_clock):
    """A person who came from a partner, on the page "Check your e-mail"; the clock of the page is stopped."""
    admin = an_admin()
    stop_page_clock(admin.page)
    admin.starts_at(partner)
    admin.follows("Register your school")
    admin.chooses_directly()
    admin.gives_details()
    return admin


def is_signed_out(admin):
    """No one is signed in in this browser."""
    admin.goes_to("/")
    admin.sees("Sign in")


def test_the_first_browser_notices_by_itself_and_goes_on_with_the_code(first_browser, new_window, partner, check_page):
    other_browser = first_browser.at(new_window("phone"))
    code = other_browser.proves_the_address_elsewhere()
    check_page(other_browser.page, "show-code")

    first_browser.page.clock.run_for(3_100)
    first_browser.sees("Enter the code")
    first_browser.reads("Somebody opened the link")
    first_browser.page.clock.resume()
    check_page(first_browser.page, "enter-code")
    first_browser.enters_code("12")
    first_browser.sees_errors("That is not the code on the other page")
    first_browser.enters_code(code)
    first_browser.sees("Sign up")
    first_browser.signs_up()
    first_browser.follows("Continue to Assembly")

    first_browser.sees("Authorise sharing with Assembly")
    first_browser.authorises()
    first_browser.sees(first_browser.school.name)
    other_browser.page.reload()
    other_browser.sees("Carry on in the other browser")
    is_signed_out(other_browser)


def test_signing_up_in_the_other_browser_shows_the_password_there_and_resumes_nothing(
    first_browser, new_window, partner, check_page
):
    other_browser = first_browser.at(new_window("phone"))
    other_browser.proves_the_address_elsewhere()
    other_browser.carries_on_here()
    other_browser.signs_up()
    other_browser.reads("This is not the browser you started in")
    check_page(other_browser.page, "credentials-other-browser")
    assert other_browser.page.get_by_role("link", name="Continue to Assembly").count() == 0

    link = other_browser.page.get_by_role("link", name="Go back to Assembly").get_attribute("href")
    is_signed_out(other_browser)
    other_browser.page.goto(link)
    other_browser.sees("Sign in")
    other_browser.reads("Assembly wants to connect to your school")
    other_browser.signs_in()
    other_browser.sees("Authorise sharing with Assembly")
    other_browser.authorises()
    other_browser.sees(other_browser.school.name)


def test_the_first_browser_learns_only_that_the_link_was_opened_and_goes_on_with_the_password(
    first_browser, new_window
):
    other_browser = first_browser.at(new_window("phone"))
    code = other_browser.proves_the_address_elsewhere()
    other_browser.carries_on_here()
    other_browser.signs_up()

    first_browser.page.clock.run_for(3_100)
    first_browser.sees("Enter the code")
    expect(first_browser.page.locator("main")).not_to_contain_text(other_browser.estab_id)
    first_browser.page.clock.resume()
    first_browser.enters_code(code)
    first_browser.sees_errors("That code no longer works")
    first_browser.follows("Sign in to continue to Assembly")
    first_browser.signs_in(other_browser.estab_id, other_browser.password)

    first_browser.sees("Authorise sharing with Assembly")


def test_a_registration_is_stopped_after_its_link_was_pressed_by_mistake(first_browser, new_window):
    other_browser = first_browser.at(new_window())
    other_browser.proves_the_address_elsewhere()
    other_browser.presses("This was not me")
    other_browser.sees("Thank you for telling us")

    first_browser.page.clock.run_for(3_100)
    first_browser.sees("This registration has been stopped")


def test_the_address_of_a_registration_page_shows_nothing_in_another_browser(first_browser, new_window, check_page):
    stranger = first_browser.at(new_window())
    stranger.page.goto(first_browser.page.url)

    stranger.sees("We cannot find this registration")
    check_page(stranger.page, "registration-not-here")
    stranger.follows("Register your school")
    stranger.sees("Find your school")


def test_a_person_who_did_not_ask_for_a_registration_stops_it(first_browser, new_window, check_page):
    other_browser = first_browser.at(new_window())
    other_browser.opens_the_mail()
    other_browser.presses("This was not me")
    other_browser.sees("Thank you for telling us")
    check_page(other_browser.page, "not-me")

    first_browser.page.clock.run_for(3_100)
    first_browser.sees("This registration has been stopped")
    first_browser.page.clock.resume()
    check_page(first_browser.page, "registration-ended")
