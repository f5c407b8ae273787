"""The link in the mail is opened in another browser, on a telephone say: it is safe, and both browsers go on."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def waiting(an_admin, partner, hold_the_clock):
    """A person who came from a partner, on the page "Check your e-mail"; the clock of the page is stopped."""
    admin = an_admin()
    hold_the_clock(admin.page)
    admin.starts_at(partner)
    admin.follows("Register your school")
    admin.chooses_directly()
    admin.gives_details()
    return admin


def is_signed_out(admin):
    """Nobody is signed in in this browser."""
    admin.goes_to("/")
    admin.sees("Sign in")


def test_the_first_browser_notices_by_itself_and_goes_on_with_the_code(waiting, a_window, partner, looks_right):
    elsewhere = waiting.at(a_window("phone"))
    code = elsewhere.proves_the_address_elsewhere()
    looks_right(elsewhere.page, "show-code")

    waiting.page.clock.run_for(3_100)
    waiting.sees("Enter the code")
    waiting.reads("Somebody opened the link")
    waiting.page.clock.resume()
    looks_right(waiting.page, "enter-code")
    waiting.enters_code("12")
    waiting.sees_errors("That is not the code on the other page")
    waiting.enters_code(code)
    waiting.sees("Sign up")
    waiting.signs_up()
    waiting.follows("Continue to Assembly")

    waiting.sees("Authorise sharing with Assembly")
    waiting.authorises()
    waiting.sees(waiting.school.name)
    elsewhere.page.reload()
    elsewhere.sees("Carry on in the other browser")
    is_signed_out(elsewhere)


def test_signing_up_in_the_other_browser_shows_the_password_there_and_resumes_nothing(
    waiting, a_window, partner, looks_right
):
    elsewhere = waiting.at(a_window("phone"))
    elsewhere.proves_the_address_elsewhere()
    elsewhere.carries_on_here()
    elsewhere.signs_up()
    elsewhere.reads("This is not the browser you started in")
    looks_right(elsewhere.page, "credentials-other-browser")
    assert elsewhere.page.get_by_role("link", name="Continue to Assembly").count() == 0

    onwards = elsewhere.page.get_by_role("link", name="Go back to Assembly").get_attribute("href")
    is_signed_out(elsewhere)
    elsewhere.page.goto(onwards)
    elsewhere.sees("Sign in")
    elsewhere.reads("Assembly wants to connect to your school")
    elsewhere.signs_in()
    elsewhere.sees("Authorise sharing with Assembly")
    elsewhere.authorises()
    elsewhere.sees(elsewhere.school.name)


def test_the_first_browser_learns_only_that_the_link_was_opened_and_goes_on_with_the_password(waiting, a_window):
    elsewhere = waiting.at(a_window("phone"))
    code = elsewhere.proves_the_address_elsewhere()
    elsewhere.carries_on_here()
    elsewhere.signs_up()

    waiting.page.clock.run_for(3_100)
    waiting.sees("Enter the code")
    expect(waiting.page.locator("main")).not_to_contain_text(elsewhere.estab_id)
    waiting.page.clock.resume()
    waiting.enters_code(code)
    waiting.sees_errors("That code no longer works")
    waiting.follows("Sign in to continue to Assembly")
    waiting.signs_in(elsewhere.estab_id, elsewhere.password)

    waiting.sees("Authorise sharing with Assembly")


def test_a_registration_is_stopped_after_its_link_was_pressed_by_mistake(waiting, a_window):
    other = waiting.at(a_window())
    other.proves_the_address_elsewhere()
    other.presses("This was not me")
    other.sees("Thank you for telling us")

    waiting.page.clock.run_for(3_100)
    waiting.sees("This registration has been stopped")


def test_the_address_of_a_registration_page_shows_nothing_in_another_browser(waiting, a_window, looks_right):
    stranger = waiting.at(a_window())
    stranger.page.goto(waiting.page.url)

    stranger.sees("We cannot find this registration")
    looks_right(stranger.page, "registration-not-here")
    stranger.follows("Register your school")
    stranger.sees("Find your school")


def test_a_person_who_did_not_ask_for_a_registration_stops_it(waiting, a_window, looks_right):
    other = waiting.at(a_window())
    other.opens_the_mail()
    other.presses("This was not me")
    other.sees("Thank you for telling us")
    looks_right(other.page, "not-me")

    waiting.page.clock.run_for(3_100)
    waiting.sees("This registration has been stopped")
    waiting.page.clock.resume()
    looks_right(waiting.page, "registration-ended")
