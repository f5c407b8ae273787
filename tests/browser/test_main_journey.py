"""The main journey: a school registers inside a partner's sign-in, authorises, and is signed in."""

import re

import pytest
from playwright.sync_api import expect


@pytest.mark.parametrize(("width", "by"), [("desktop", "q"), ("phone", "postcode")])
def test_a_school_registers_inside_a_partners_sign_in_and_comes_back_signed_in(  # noqa: PLR0915  it is one journey
    an_admin, partner, operator, check_page, width, by
):
    def check(name):
        if width == "desktop":  # which looks at both
            check_page(admin.page, name)

    admin = an_admin(width=width)
    admin.page.goto(partner.url)
    check("assembly")
    admin.starts_at(partner)
    admin.sees("Sign in")
    admin.reads("Assembly wants to connect to your school")
    check("sign-in-for-assembly")
    admin.follows("Register your school")
    admin.sees("Find your school")
    admin.reads("so that your school can use Assembly")
    check("find")
    admin.finds_school(by)
    admin.gives_details()
    admin.reads(admin.email, admin.school.name)
    check("check-email")
    admin.opens_the_mail()
    admin.sees("Verify your e-mail")
    admin.reads(admin.school.name, admin.name, admin.email)
    check("verify")
    admin.presses("Yes, verify my e-mail address")
    admin.sees("Sign up")
    admin.reads("Your e-mail address is verified")
    expect(admin.page.locator("#name")).to_have_value(admin.name)
    check("sign-up")
    admin.signs_up()
    assert admin.estab_id == admin.school.dfe_number
    assert len(admin.password.split("-")) == 6
    check("credentials-for-assembly")

    admin.follows("Continue to Assembly")
    admin.sees("Authorise sharing with Assembly")
    admin.reads("No data leaves your school yet", "To show your staff attendance and results together")
    check("consent")
    admin.authorises("Attendance")

    admin.sees(admin.school.name)
    admin.reads("School not verified yet", admin.name, admin.email, admin.estab_id)
    expect(admin.sharing_state("Pupils")).to_have_text("Waiting for verification")
    check("assembly-waiting")

    operator.verifies(admin.estab_id)
    requested_urls = []
    admin.page.on("request", lambda sent: requested_urls.append(sent.url) if sent.is_navigation_request() else None)
    admin.presses("Check again")
    expect(admin.sharing_state("Pupils")).to_have_text("Shared")
    expect(admin.sharing_state("Assessment")).to_have_text("Not shared")
    assert not [url for url in requested_urls if url.startswith(admin.issuer)], "the school was asked again"
    check("assembly-shared")
    admin.presses("Sign out")
    admin.sees("You are signed out")
    check("assembly-signed-out")


def test_the_second_sign_in_goes_straight_through_by_estab_id_and_by_email(a_member, new_window, partner):
    admin = a_member()
    admin.starts_at(partner)
    admin.signs_in()
    admin.authorises()
    admin.sees(admin.school.name)

    for username in (admin.estab_id, admin.email.upper()):
        other_browser = admin.at(new_window())
        other_browser.starts_at(partner)
        other_browser.signs_in(username)
        other_browser.sees(admin.school.name)


def test_a_signed_in_person_is_signed_in_at_the_partner_with_one_click(a_member, partner):
    admin = a_member()
    admin.starts_at(partner)
    admin.signs_in()
    admin.authorises()
    admin.page.context.clear_cookies(name="assembly")

    admin.starts_at(partner)

    admin.sees(admin.school.name)


def test_signing_out_at_the_partner_signs_out_here(a_member, partner):
    admin = a_member()
    admin.starts_at(partner)
    admin.signs_in()
    admin.authorises()

    admin.presses("Sign out")

    admin.sees("You are signed out")
    admin.reads("of the school sign-in service in this browser")
    admin.goes_to("/")
    admin.sees("Sign in")


def test_signing_out_here_leaves_the_partner_to_its_own_session(a_member, partner):
    admin = a_member()
    admin.starts_at(partner)
    admin.signs_in()
    admin.authorises()

    admin.goes_to("/")
    admin.follows("Sign out")
    admin.reads("you stay signed in to services that you opened with this account")
    admin.presses("Sign out")
    admin.sees("You are signed out")

    admin.page.goto(partner.url)
    admin.sees(admin.school.name)
    admin.goes_to("/")
    admin.sees("Sign in")


def test_the_next_steps_lead_to_the_partner(an_admin, partner, check_page):
    admin = an_admin()
    admin.starts_at(partner)
    admin.follows("Register your school")
    admin.registers()
    admin.follows("Next steps")
    admin.sees("Next steps")
    admin.reads("Continue with Assembly")
    check_page(admin.page, "next-steps-for-assembly")
    admin.follows("Continue to Assembly")

    admin.sees("Authorise sharing with Assembly")


@pytest.mark.parametrize("address", ["/register", "/XodRegister/School"])
def test_a_school_registers_directly_and_is_shown_its_next_steps(an_admin, check_page, address):
    admin = an_admin()
    admin.goes_to(address)
    assert admin.page.url == f"{admin.issuer}/register"
    admin.registers()
    expect(admin.page.get_by_role("link", name=re.compile("Continue to"))).to_have_count(0)

    admin.follows("Next steps")
    admin.sees("Next steps")
    admin.reads("on a server", "not yet verified", admin.estab_id)
    if address == "/register":
        check_page(admin.page, "next-steps")
    admin.follows("Confirm my number")
    admin.presses("Text me a code")
    expect(admin.page.locator("#code")).to_be_visible()
    text_message = [message for message in admin.outbox.all("mobile_code") if message.to == "+447700900123"][-1]
    admin.page.locator("#code").fill(text_message.code)
    admin.presses("Confirm")
    admin.sees("Next steps")
    admin.reads("Your mobile number is confirmed.")

    admin.goes_to("/")
    admin.sees(admin.school.name)
    admin.reads("Not yet verified", "Nobody yet")


def test_a_person_chooses_a_password_of_their_own_instead_of_the_one_shown(an_admin, new_window, check_page):
    admin = an_admin()
    admin.goes_to("/register")
    admin.registers()
    admin.page.locator("input[name=password]").fill("short")
    admin.presses("Use my own password")
    admin.sees_errors("12 characters")
    check_page(admin.page, "own-password-refused")

    admin.page.locator("input[name=password]").fill("lantern walnut quarry mitten")
    admin.presses("Use my own password")
    admin.reads("Your own password is set")

    other_browser = admin.at(new_window())
    other_browser.goes_to("/sign-in")
    other_browser.signs_in()
    other_browser.sees_errors("does not match")
    other_browser.signs_in(password="lantern walnut quarry mitten")
    other_browser.sees(admin.school.name)


def test_a_school_stops_sharing_and_the_partner_gets_nothing_more(a_member, partner, check_page):
    admin = a_member()
    admin.starts_at(partner)
    admin.signs_in()
    admin.authorises()
    admin.goes_to("/")
    admin.page.get_by_role("link", name="Stop sharing with Assembly").click()
    admin.sees("Stop sharing with Assembly?")
    admin.presses("Stop sharing")
    admin.reads("Your school has stopped sharing with Assembly.")

    admin.page.goto(partner.url)

    expect(admin.page.locator("#connection-status")).to_have_text("Your school no longer shares with us")
    check_page(admin.page, "assembly-ended")
