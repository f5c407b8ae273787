"""The Security page and the second step, in a real browser, with codes of a real authenticator app."""

import pyotp
import pytest

from tests.signin.apps import wait_for_next_code


def app_of_page(page):
    """An authenticator app with the key that the page shows."""
    return pyotp.TOTP(page.locator("#seed").inner_text().replace(" ", ""))


def set_up_app(admin):
    """Set up an app on the Security page; returns the app, whose current code is used up."""
    admin.goes_to("/manage/security")
    admin.sees("Security")
    admin.page.locator("#set-up-app").click()
    admin.sees("Set up an authenticator app")
    app = app_of_page(admin.page)
    admin.page.locator("#code").fill(app.now())
    admin.page.locator("#finish").click()
    admin.sees("Recovery codes")
    admin.page.locator("#not-now").click()
    admin.sees("Security")
    return app


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
def test_an_app_is_set_up_and_asked_for_at_the_next_sign_in(a_member, new_window, javascript):
    admin = a_member(page=new_window("phone", java_script_enabled=javascript))
    admin.goes_to("/sign-in")
    admin.signs_in()
    app = set_up_app(admin)
    admin.reads("In use")
    admin.signs_out_here()
    admin.goes_to("/sign-in?next=/manage/security")
    admin.signs_in()
    admin.sees("One more step to sign in")
    wait_for_next_code()
    admin.page.locator("#code").fill("12 34")
    admin.page.locator("#sign-in").click()
    admin.sees("One more step to sign in")
    admin.reads("That is not the code that we expect now.")
    admin.page.locator("#code").fill(app.now())
    admin.page.locator("#code").press("Enter")
    admin.sees("Security")

    admin.page.go_back()  # the response to the wrong code
    admin.sees("One more step to sign in")
    admin.page.locator("#code").fill("123456")
    admin.page.locator("#sign-in").click()
    admin.sees("Security")


def test_the_pages_of_the_second_step_look_right(a_member, check_page):
    admin = a_member()
    admin.goes_to("/sign-in")
    admin.signs_in()
    admin.goes_to("/manage/security")
    check_page(admin.page, "security-without-a-factor")
    admin.page.locator("#set-up-app").click()
    admin.sees("Set up an authenticator app")
    check_page(admin.page, "security-set-up-app")
    admin.page.go_back()
    set_up_app(admin)
    admin.page.locator("#recovery-codes").click()
    admin.sees("Recovery codes")
    check_page(admin.page, "security-recovery-codes")
    admin.page.locator("#make").click()
    admin.sees("Your recovery codes")
    check_page(admin.page, "security-recovery-codes-made")
    code = admin.page.locator("#codes code").first.inner_text()
    with admin.page.expect_download() as saving:
        admin.presses("Save as a file")
    assert code in saving.value.path().read_text("utf-8")
    admin.page.locator("#done").click()
    admin.sees("Security")
    check_page(admin.page, "security")
    admin.page.locator("#remove-app").click()
    admin.sees("Remove your authenticator app?")
    check_page(admin.page, "security-remove-app")
    admin.signs_out_here()
    admin.goes_to("/sign-in")
    admin.signs_in()
    admin.sees("One more step to sign in")
    check_page(admin.page, "second-step")
    admin.page.locator("#recovery-code").click()
    admin.sees("Use a recovery code")
    check_page(admin.page, "recovery-code")
    admin.page.locator("#code").fill(code.upper().replace("-", " "))
    admin.page.locator("#code").press("Enter")
    admin.sees(admin.school.name)


def test_a_partner_that_waits_gets_its_answer_after_the_second_step(a_member, partner):
    admin = a_member()
    admin.goes_to("/sign-in")
    admin.signs_in()
    app = set_up_app(admin)
    admin.signs_out_here()
    admin.starts_at(partner)
    admin.signs_in()
    admin.sees("One more step to sign in")
    wait_for_next_code()
    admin.page.locator("#code").fill(app.now())
    admin.page.locator("#sign-in").click()
    admin.sees("Authorise sharing with Assembly")
