"""The main journey: a school registers inside a partner's sign-in, authorises, and is signed in."""

import re

import pytest
from playwright.sync_api import expect


@pytest.mark.parametrize(("width", "by"), [("desktop", "q"), ("phone", "postcode")])
def test_a_school_registers_inside_a_partners_sign_in_and_comes_back_signed_in(  # noqa: PLR0915  it is one journey
    an_admin, partner, operator, check_page, width, by
):
    def check(name):
        if width == "desktop":  # `check_page` looks at both widths
            check_page(admin.page, name)

    admin = an_admin(width=width)
    admin.page.goto(partner.url)
    check("assembly")
    admin.start_sign_in_at(partner)
    admin.expect_heading("Sign in")
    admin.expect_text("Assembly wants to connect to your school")
    check("sign-in-for-assembly")
    admin.follow_link("Register your school")
    admin.expect_heading("Find your school")
    admin.expect_text("so that your school can use Assembly")
    check("find")
    admin.find_school(by)
    admin.fill_in_details()
    admin.expect_text(admin.email, admin.school.name)
    check("check-email")
    admin.open_verification_mail()
    admin.expect_heading("Verify your e-mail")
    admin.expect_text(admin.school.name, admin.name, admin.email)
    check("verify")
    admin.press("Yes, verify my e-mail address")
    admin.expect_heading("Sign up")
    admin.expect_text("Your e-mail address is verified")
    expect(admin.page.locator("#name")).to_have_value(admin.name)
    check("sign-up")
    admin.sign_up()
    assert admin.estab_id == admin.school.dfe_number
    assert len(admin.password.split("-")) == 6
    check("credentials-for-assembly")

    admin.follow_link("Continue to Assembly")
    admin.expect_heading("Authorise sharing with Assembly")
    admin.expect_text("No data leaves your school yet", "To show your staff attendance and results together")
    check("consent")
    admin.authorise("Attendance")

    admin.expect_heading(admin.school.name)
    admin.expect_text("School not verified yet", admin.name, admin.email, admin.estab_id)
    expect(admin.sharing_state("Pupils")).to_have_text("Waiting for verification")
    check("assembly-waiting")

    operator.verify(admin.estab_id)
    requested_urls = []
    admin.page.on(
        "request", lambda request: requested_urls.append(request.url) if request.is_navigation_request() else None
    )
    admin.press("Check again")
    expect(admin.sharing_state("Pupils")).to_have_text("Shared")
    expect(admin.sharing_state("Assessment")).to_have_text("Not shared")
    assert not [url for url in requested_urls if url.startswith(admin.issuer)], "the school was asked again"
    check("assembly-shared")
    admin.press("Sign out")
    admin.expect_heading("You are signed out")
    check("assembly-signed-out")


def test_the_second_sign_in_by_estab_id_or_email_needs_no_consent(a_member, new_window, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.authorise()
    admin.expect_heading(admin.school.name)

    for username in (admin.estab_id, admin.email.upper()):
        other_browser = admin.at(new_window())
        other_browser.start_sign_in_at(partner)
        other_browser.sign_in(username)
        other_browser.expect_heading(admin.school.name)


def test_a_signed_in_person_is_signed_in_at_the_partner_with_one_click(a_member, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.authorise()
    admin.page.context.clear_cookies(name="assembly")

    admin.start_sign_in_at(partner)

    admin.expect_heading(admin.school.name)


def test_signing_out_at_the_partner_signs_out_here(a_member, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.authorise()

    admin.press("Sign out")

    admin.expect_heading("You are signed out")
    admin.expect_text("of the school sign-in service in this browser")
    admin.open("/")
    admin.expect_heading("Sign in")


def test_signing_out_here_does_not_sign_out_at_the_partner(a_member, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.authorise()

    admin.open("/")
    admin.follow_link("Sign out")
    admin.expect_text("you stay signed in to services that you opened with this account")
    admin.press("Sign out")
    admin.expect_heading("You are signed out")

    admin.page.goto(partner.url)
    admin.expect_heading(admin.school.name)
    admin.open("/")
    admin.expect_heading("Sign in")


def test_the_next_steps_lead_to_the_partner(an_admin, partner, check_page):
    admin = an_admin()
    admin.start_sign_in_at(partner)
    admin.follow_link("Register your school")
    admin.register()
    admin.follow_link("Next steps")
    admin.expect_heading("Next steps")
    admin.expect_text("Continue with Assembly")
    check_page(admin.page, "next-steps-for-assembly")
    admin.follow_link("Continue to Assembly")

    admin.expect_heading("Authorise sharing with Assembly")


@pytest.mark.parametrize("path", ["/register", "/XodRegister/School"])
def test_a_school_registers_directly_and_is_shown_its_next_steps(an_admin, check_page, path):
    admin = an_admin()
    admin.open(path)
    assert admin.page.url == f"{admin.issuer}/register"
    admin.register()
    expect(admin.page.get_by_role("link", name=re.compile("Continue to"))).to_have_count(0)

    admin.follow_link("Next steps")
    admin.expect_heading("Next steps")
    admin.expect_text("on a server", "not yet verified", admin.estab_id)
    if path == "/register":
        check_page(admin.page, "next-steps")
    admin.follow_link("Confirm my number")
    admin.press("Text me a code")
    expect(admin.page.locator("#code")).to_be_visible()
    text_message = [message for message in admin.outbox.all("mobile_code") if message.to == "+447700900123"][-1]
    admin.page.locator("#code").fill(text_message.code)
    admin.press("Confirm")
    admin.expect_heading("Next steps")
    admin.expect_text("Your mobile number is confirmed.")

    admin.open("/")
    admin.expect_heading(admin.school.name)
    admin.expect_text("Not yet verified", "Nobody yet")


def test_a_person_chooses_a_password_of_their_own_instead_of_the_one_shown(an_admin, new_window, check_page):
    admin = an_admin()
    admin.open("/register")
    admin.register()
    admin.page.locator("input[name=password]").fill("short")
    admin.press("Use my own password")
    admin.expect_errors("12 characters")
    check_page(admin.page, "own-password-refused")

    admin.page.locator("input[name=password]").fill("lantern walnut quarry mitten")
    admin.press("Use my own password")
    admin.expect_text("Your own password is set")

    other_browser = admin.at(new_window())
    other_browser.open("/sign-in")
    other_browser.sign_in()
    other_browser.expect_errors("does not match")
    other_browser.sign_in(password="lantern walnut quarry mitten")
    other_browser.expect_heading(admin.school.name)


def test_a_school_stops_sharing_and_the_partner_gets_nothing_more(a_member, partner, check_page):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.authorise()
    admin.open("/")
    admin.page.get_by_role("link", name="Stop sharing with Assembly").click()
    admin.expect_heading("Stop sharing with Assembly?")
    admin.press("Stop sharing")
    admin.expect_text("Your school has stopped sharing with Assembly.")

    admin.page.goto(partner.url)

    expect(admin.page.locator("#connection-status")).to_have_text("Your school no longer shares with us")
    check_page(admin.page, "assembly-ended")
