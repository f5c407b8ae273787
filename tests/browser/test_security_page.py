"""The Security page and the second step, in a real browser, with codes of a real authenticator app."""

import pyotp
import pytest

from tests.signin.apps import wait_for_next_code


def app_of_page(page):
    """An authenticator app with the key that the page shows."""
    return pyotp.TOTP(page.locator("#seed").inner_text().replace(" ", ""))


def set_up_app(admin):
    """Set up an app on the Security page; returns the app, whose current code is used up."""
    admin.open("/manage/security")
    admin.expect_heading("Security")
    admin.page.locator("#set-up-app").click()
    admin.expect_heading("Set up an authenticator app")
    app = app_of_page(admin.page)
    admin.page.locator("#code").fill(app.now())
    admin.page.locator("#finish").click()
    admin.expect_heading("Recovery codes")
    admin.page.locator("#not-now").click()
    admin.expect_heading("Security")
    return app


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
def test_an_app_is_set_up_and_its_code_required_at_the_next_sign_in(a_member, new_window, javascript):
    admin = a_member(page=new_window("phone", java_script_enabled=javascript))
    admin.open("/sign-in")
    admin.sign_in()
    app = set_up_app(admin)
    admin.expect_text("In use")
    admin.sign_out()
    admin.open("/sign-in?next=/manage/security")
    admin.sign_in()
    admin.expect_heading("One more step to sign in")
    wait_for_next_code()
    admin.page.locator("#code").fill("12 34")
    admin.page.locator("#sign-in").click()
    admin.expect_heading("One more step to sign in")
    admin.expect_text("That is not the code that we expect now.")
    admin.page.locator("#code").fill(app.now())
    admin.page.locator("#code").press("Enter")
    admin.expect_heading("Security")

    admin.page.go_back()  # the response to the wrong code
    admin.expect_heading("One more step to sign in")
    admin.page.locator("#code").fill("123456")
    admin.page.locator("#sign-in").click()
    admin.expect_heading("Security")


def test_the_pages_of_the_second_step_are_accessible(a_member, check_page):
    admin = a_member()
    admin.open("/sign-in")
    admin.sign_in()
    admin.open("/manage/security")
    check_page(admin.page, "security-without-a-factor")
    admin.page.locator("#set-up-app").click()
    admin.expect_heading("Set up an authenticator app")
    check_page(admin.page, "security-set-up-app")
    admin.page.go_back()
    set_up_app(admin)
    admin.page.locator("#recovery-codes").click()
    admin.expect_heading("Recovery codes")
    check_page(admin.page, "security-recovery-codes")
    admin.page.locator("#make").click()
    admin.expect_heading("Your recovery codes")
    check_page(admin.page, "security-recovery-codes-made")
    code = admin.page.locator("#codes code").first.inner_text()
    with admin.page.expect_download() as saving:
        admin.press("Save as a file")
    assert code in saving.value.path().read_text("utf-8")
    admin.page.locator("#done").click()
    admin.expect_heading("Security")
    check_page(admin.page, "security")
    admin.page.locator("#remove-app").click()
    admin.expect_heading("Remove your authenticator app?")
    check_page(admin.page, "security-remove-app")
    admin.sign_out()
    admin.open("/sign-in")
    admin.sign_in()
    admin.expect_heading("One more step to sign in")
    check_page(admin.page, "second-step")
    admin.page.locator("#recovery-code").click()
    admin.expect_heading("Use a recovery code")
    check_page(admin.page, "recovery-code")
    admin.page.locator("#code").fill(code.upper().replace("-", " "))
    admin.page.locator("#code").press("Enter")
    admin.expect_heading(admin.school.name)


def test_a_partners_request_continues_after_the_second_step(a_member, partner):
    admin = a_member()
    admin.open("/sign-in")
    admin.sign_in()
    app = set_up_app(admin)
    admin.sign_out()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.expect_heading("One more step to sign in")
    wait_for_next_code()
    admin.page.locator("#code").fill(app.now())
    admin.page.locator("#sign-in").click()
    admin.expect_heading("Authorise sharing with Assembly")
