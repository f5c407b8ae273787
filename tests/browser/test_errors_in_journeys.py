"""Everything that can go wrong in a journey has a page that says what happened and what to do now."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from idp.foundation import clock
from idp.onboarding import verify


@pytest.fixture
def clock_ahead():
    """`with clock_ahead(hours=1):` sets the provider's clock ahead."""
    return lambda **by: clock.fixed(clock.now() + timedelta(**by))


@pytest.fixture
def registering_person(an_admin):
    """A person on the page "Check your e-mail"."""
    admin = an_admin()
    admin.open("/register")
    admin.open_details_page()
    admin.fill_in_details()
    return admin


# Signing in


def test_a_wrong_password_is_refused_without_saying_which_part_was_wrong(a_member, check_page):
    admin = a_member()
    admin.open("/sign-in")
    admin.sign_in(password="not the password")
    admin.expect_errors("does not match")
    expect(admin.page.locator("#username")).to_have_value(admin.estab_id)
    expect(admin.page.locator("#password")).to_have_value("")
    check_page(admin.page, "sign-in-wrong")

    admin.sign_in()
    admin.expect_heading(admin.school.name)


def test_an_empty_sign_in_form_asks_for_what_is_missing(a_member):
    admin = a_member()
    admin.open("/sign-in")
    admin.page.locator("#sign-in").click()

    admin.expect_errors("Type your Estab ID or your e-mail address.", "Type your password.")
    admin.page.get_by_role("link", name="Type your password.").click()
    expect(admin.page.locator("#password")).to_be_focused()


def test_an_account_is_locked_after_too_many_wrong_passwords_and_opens_by_itself(
    a_member, partner, clock_ahead, check_page
):
    admin = a_member()
    admin.start_sign_in_at(partner)
    for _ in range(10):
        admin.sign_in(password="not the password")
        admin.expect_errors("does not match")
    admin.sign_in()
    admin.expect_heading("Too many wrong passwords")
    check_page(admin.page, "locked")
    admin.follow_link("Try again")
    admin.expect_heading("Sign in")

    with clock_ahead(minutes=2):
        admin.sign_in()
        admin.expect_heading("Authorise sharing with Assembly")


@pytest.mark.parametrize(
    ("state", "words"),
    [("suspended", "suspended at the moment"), ("rejected", "could not confirm"), ("closed", "has been closed")],
)
def test_the_reason_why_an_account_is_not_open_is_shown_after_the_right_password(
    a_member, operator, partner, check_page, state, words
):
    admin = a_member(state="unverified" if state == "rejected" else "verified")
    operator.change_state(admin.estab_id, state)
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.expect_heading("Your school's account is not open")
    admin.expect_text(words)
    check_page(admin.page, f"account-{state}")

    admin.follow_link("Back to Assembly")
    admin.expect_heading("Nothing was shared")


def test_a_school_suspended_while_someone_is_signed_in_is_signed_out(a_member, operator):
    admin = a_member()
    admin.open("/sign-in")
    admin.sign_in()
    admin.expect_heading(admin.school.name)

    operator.change_state(admin.estab_id, "suspended")
    admin.page.reload()

    admin.expect_heading("Sign in")


def test_an_expired_sign_in_form_is_shown_again_with_the_username(a_member, check_page):
    admin = a_member()
    admin.open("/sign-in")
    admin.expire_form()
    admin.sign_in()
    admin.expect_errors("This page had been open for a long time.")
    expect(admin.page.locator("#username")).to_have_value(admin.estab_id)
    check_page(admin.page, "sign-in-expired")

    admin.sign_in()
    admin.expect_heading(admin.school.name)


# Links in mails


def test_the_page_of_an_expired_link_can_send_a_new_one(registering_person, clock_ahead, check_page):
    with clock_ahead(minutes=61):
        registering_person.open_verification_mail()
        registering_person.expect_heading("This link has expired")
        registering_person.expect_error_code("link_expired")
        check_page(registering_person.page, "link-expired")
        old = registering_person.newest_mail("verify_email").links
        registering_person.press("Send me a new link")
        registering_person.expect_heading("Check your e-mail")
        check_page(registering_person.page, "link-sent")
        assert registering_person.newest_mail("verify_email").links != old
        registering_person.verify_address()
        registering_person.sign_up()


def test_a_used_link_continues_in_the_browser_that_used_it_and_is_refused_in_others(
    registering_person, new_window, check_page
):
    registering_person.verify_address()
    registering_person.open_verification_mail()
    registering_person.expect_heading("Sign up")

    stranger = registering_person.at(new_window())
    stranger.open_verification_mail()
    stranger.expect_heading("This link has been used already")
    check_page(stranger.page, "link-used")


def test_a_newer_link_supersedes_the_older(registering_person, clock_ahead, check_page):
    old = registering_person.newest_mail("verify_email").links[0]
    with clock_ahead(seconds=verify.MIN_INTERVAL.total_seconds()):
        registering_person.press("Send the e-mail again")
        registering_person.expect_text(f"We have sent another e-mail to {registering_person.email}")
    check_page(registering_person.page, "check-email-again")

    registering_person.page.goto(old)
    registering_person.expect_heading("There is a newer link")
    check_page(registering_person.page, "link-superseded")
    registering_person.verify_address()


def test_the_page_of_an_unknown_link_leads_to_registering(registering_person, check_page):
    registering_person.open("/register/verify/" + "x" * 43)
    registering_person.expect_heading("We do not recognise this link")
    check_page(registering_person.page, "link-unknown")
    registering_person.follow_link("Register your school")
    registering_person.expect_heading("Find your school")


def test_a_mistyped_address_is_corrected_and_its_link_stops_working(registering_person, check_page):
    wrong = registering_person.newest_mail("verify_email").links[0]
    registering_person.page.locator("#email").fill("grace at school")
    registering_person.press("Send to this address instead")
    registering_person.expect_errors("Enter an e-mail address in the right form")
    check_page(registering_person.page, "check-email-wrong")

    registering_person.email = "right." + registering_person.email
    registering_person.page.locator("#email").fill(registering_person.email)
    registering_person.press("Send to this address instead")
    registering_person.expect_text(registering_person.email)

    registering_person.page.goto(wrong)
    registering_person.expect_heading("There is a newer link")
    registering_person.verify_address()
    registering_person.expect_text(registering_person.email)


# Schools


def test_errors_of_the_details_form_are_shown_and_typed_text_stays_in_it(an_admin, check_page):
    admin = an_admin()
    admin.open("/register")
    admin.open_details_page()
    check_page(admin.page, "details")
    admin.page.locator("#name").fill("Grace Okafor")
    admin.page.locator("#email").fill("grace@")
    admin.page.locator("#sign-up").click()

    admin.expect_errors(
        "Enter an e-mail address in the right form", "Enter your mobile number", "Tick the box to confirm"
    )
    expect(admin.page).to_have_title("Error: Your details – IDaaS")
    expect(admin.page.locator("#name")).to_have_value("Grace Okafor")
    expect(admin.page.locator("#email")).to_have_value("grace@")
    check_page(admin.page, "details-wrong")


def test_details_typed_into_an_expired_form_are_kept(an_admin, check_page):
    admin = an_admin()
    admin.open("/register")
    admin.open_details_page()
    admin.expire_form()
    admin.page.locator("#name").fill(admin.name)
    admin.page.locator("#email").fill(admin.email)
    admin.page.locator("#mobile").fill(admin.mobile)
    admin.page.locator("#declaration").check()
    admin.page.locator("#sign-up").click()
    admin.expect_text("This page had been open for a long time", "What you typed is here again")
    expect(admin.page.locator("#email")).to_have_value(admin.email)
    check_page(admin.page, "details-expired")

    admin.page.locator("#sign-up").click()
    admin.expect_heading("Check your e-mail")


def test_a_person_joins_a_school_that_is_already_registered(a_member, an_admin, new_window, check_page):
    owner = a_member()
    colleague = an_admin(owner.school, name="Al Fresco")
    colleague.open("/register")
    colleague.open_details_page()
    colleague.fill_in_details()
    colleague.verify_address()
    colleague.press("Sign up")
    colleague.expect_heading("We have passed on your request")
    assert owner.name not in colleague.page.locator("main").inner_text(), "a stranger learns who runs the account"
    check_page(colleague.page, "join-asked")

    owner.page.goto(owner.newest_mail("join_request").links[0])
    owner.sign_in()
    owner.expect_heading(f"Request to join {owner.school.name}")
    owner.expect_text("Al Fresco", f"{colleague.email[0]}…@{colleague.email.partition('@')[2]}")
    check_page(owner.page, "join-request")
    owner.press("Approve")
    owner.expect_errors("Choose what they may do")
    owner.page.get_by_role("radio", name="Administrator").check()
    owner.press("Approve")
    owner.expect_text("Al Fresco can now join. We have sent them an e-mail.", "has been approved")
    check_page(owner.page, "join-approved")

    colleague.page.goto(colleague.newest_mail("join_approved").links[0])
    colleague.expect_heading("Welcome, Al Fresco")
    check_page(colleague.page, "welcome")
    colleague.page.locator("#password").fill("lantern walnut quarry mitten")
    colleague.press("Use this password")
    colleague.expect_heading("Sign in")
    colleague.sign_in(colleague.email, "lantern walnut quarry mitten")
    colleague.expect_heading(owner.school.name)


def test_registering_ones_own_school_again_shows_that_there_is_an_account(a_member, check_page):
    admin = a_member()
    admin.open("/register")
    admin.open_details_page()
    admin.fill_in_details()
    admin.verify_address()
    admin.press("Sign up")
    admin.expect_heading("You already have an account")
    check_page(admin.page, "account-already")
    admin.follow_link("Sign in")
    admin.sign_in()
    admin.expect_heading(admin.school.name)


def test_a_declined_request_to_join_does_not_name_the_owner(a_member, an_admin):
    owner = a_member()
    stranger = an_admin(owner.school, name="Al Fresco")
    stranger.open("/register")
    stranger.open_details_page()
    stranger.fill_in_details()
    stranger.verify_address()
    stranger.press("Sign up")
    stranger.expect_heading("We have passed on your request")

    owner.page.goto(owner.newest_mail("join_request").links[0])
    owner.sign_in()
    owner.press("Decline")
    owner.expect_text("You have declined Al Fresco's request.", "has been declined")

    assert owner.name not in stranger.newest_mail("join_declined").text


# Requests of partners


def test_the_page_of_an_expired_request_leads_back_to_the_partner(a_member, partner, clock_ahead, check_page):
    admin = a_member()
    admin.start_sign_in_at(partner)
    with clock_ahead(hours=2, minutes=1):
        admin.sign_in()
        admin.expect_heading("This sign-in cannot be continued")
        admin.expect_text("It was left open for too long.")
        check_page(admin.page, "stale-request")
    admin.follow_link("Go to Assembly")
    admin.expect_heading("Authorise sharing with Assembly")


def test_a_person_whose_browser_stores_no_cookies_is_told_that_they_are_needed(a_member, partner, check_page):
    admin = a_member()
    admin.start_sign_in_at(partner)
    sign_in_page = admin.page.url
    admin.page.wait_for_load_state("networkidle")  # the response to the passkeys' script sets a cookie, too
    admin.page.context.clear_cookies()
    admin.sign_in()
    admin.expect_errors("Your browser sent no cookies with that.")
    check_page(admin.page, "sign-in-no-cookies")
    admin.page.wait_for_load_state("networkidle")
    admin.page.context.clear_cookies()
    admin.page.goto(sign_in_page)
    admin.expect_text("Your browser keeps no cookies for this site")
    check_page(admin.page, "sign-in-keeps-no-cookies")


def test_a_request_opened_in_another_browser_is_not_continued_there(a_member, new_window, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    other = admin.at(new_window())
    other.page.goto(admin.page.url)
    other.sign_in()

    other.expect_heading("This sign-in cannot be continued")
    other.expect_text("It does not belong to this browser")
    other.follow_link("Go to Assembly")
    other.expect_heading("Authorise sharing with Assembly")


def test_an_error_page_names_the_wrong_parameter_and_not_what_is_registered(an_admin, partner, check_page):
    admin = an_admin()
    parameters = {
        "client_id": "assembly", "response_type": "code", "scope": "openid", "state": "a-state", "nonce": "a-nonce",
        "redirect_uri": "https://elsewhere.example/callback", "code_challenge": "E" * 43,
        "code_challenge_method": "S256",
    }  # fmt: skip
    admin.open(f"/oauth/authorize?{urlencode(parameters)}")
    admin.expect_heading("This link from another service does not work")
    admin.expect_error_code("invalid_request")
    expect(admin.page.locator("#error-parameter")).to_have_text("redirect_uri")
    assert partner.url not in admin.page.content(), "the page names what is registered"
    check_page(admin.page, "redirect-uri-mismatch")

    admin.open("/oauth/authorize?client_id=unknown")
    expect(admin.page.locator("#error-parameter")).to_have_text("client_id")


def test_a_refusal_is_shown_at_the_partner_and_on_the_schools_page(a_member, partner, check_page):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.expect_heading("Authorise sharing with Assembly")
    admin.press("Do not share")
    admin.expect_heading("Nothing was shared")
    check_page(admin.page, "assembly-declined")

    admin.open("/")
    admin.expect_text("Nobody yet", "Refused")


def test_cancel_on_the_sign_in_page_tells_the_partner(an_admin, partner):
    admin = an_admin()
    admin.start_sign_in_at(partner)
    admin.press("Cancel")

    admin.expect_heading("Nothing was shared")


def test_authorising_without_the_declaration_is_an_error_and_ticked_boxes_stay_ticked(a_member, partner, check_page):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.page.get_by_role("checkbox", name="Attendance").check()
    admin.press("Authorise sharing")
    admin.expect_errors("Tick the box if you have authority")
    expect(admin.page.get_by_role("checkbox", name="Attendance")).to_be_checked()
    check_page(admin.page, "consent-wrong")

    admin.authorise()
    expect(admin.sharing_state("Attendance")).to_have_text("Shared")


def test_a_viewer_is_shown_whom_to_ask(a_member, partner, check_page):
    owner = a_member()
    viewer = a_member(role="viewer", school=owner.school, name="Al Fresco")
    viewer.start_sign_in_at(partner)
    viewer.sign_in(viewer.email)
    viewer.expect_heading("Someone else at your school has to decide this")
    viewer.expect_text(owner.name, owner.email)
    check_page(viewer.page, "ask-an-owner")
    viewer.press("Back to Assembly")
    viewer.expect_heading("Nothing was shared")

    owner.start_sign_in_at(partner)
    owner.sign_in()
    owner.authorise()
    viewer.start_sign_in_at(partner)
    viewer.expect_heading(viewer.school.name)


def test_two_tabs_with_two_requests_both_return_to_the_partner(a_member, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    second = admin.at(admin.page.context.new_page())
    second.start_sign_in_at(partner)

    second.sign_in()
    second.authorise()
    second.expect_heading(second.school.name)

    admin.sign_in()
    admin.expect_heading(admin.school.name)


# Sessions


def test_ticked_boxes_are_ticked_again_after_the_session_ended_and_a_new_sign_in(a_member, partner, clock_ahead):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.expect_heading("Authorise sharing with Assembly")
    admin.page.context.clear_cookies(name="idaas-session")

    admin.authorise("Attendance")
    admin.expect_heading("Sign in")
    admin.sign_in()

    admin.expect_heading("Authorise sharing with Assembly")
    expect(admin.page.get_by_role("checkbox", name="Attendance")).to_be_checked()
    expect(admin.page.locator("#authority")).not_to_be_checked()
    admin.authorise()
    expect(admin.sharing_state("Attendance")).to_have_text("Shared")


def test_ticked_boxes_are_ticked_again_after_signing_out_in_another_tab_and_a_new_sign_in(
    a_member, partner, check_page
):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.expect_heading("Authorise sharing with Assembly")
    admin.at(admin.page.context.new_page()).sign_out()

    admin.authorise("Attendance")
    admin.expect_heading("Sign in")
    admin.expect_text("nothing was sent")
    check_page(admin.page, "form-expired")
    admin.sign_in()
    admin.expect_heading("Authorise sharing with Assembly")
    expect(admin.page.get_by_role("checkbox", name="Attendance")).to_be_checked()
    admin.authorise()
    expect(admin.sharing_state("Attendance")).to_have_text("Shared")


def test_stopping_sharing_after_the_session_ended_asks_to_sign_in_and_returns(a_member, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.authorise()
    admin.open("/manage/sharing/assembly/stop")
    admin.page.context.clear_cookies(name="idaas-session")
    admin.press("Stop sharing")
    admin.expect_heading("Sign in")
    admin.sign_in()

    admin.expect_heading("Stop sharing with Assembly?")


def test_a_page_that_does_not_exist_leads_to_the_first_page(an_admin, check_page):
    admin = an_admin()
    admin.open("/no/such/page")
    admin.expect_heading("Page not found")
    check_page(admin.page, "not-found")
