"""An owner requires a second step from everyone; a colleague from a partner sets one up on the way, by keyboard."""

from playwright.sync_api import expect

from idp.estabs import people
from idp.signin import second_step_rule
from tests.browser.test_security_page import app_of_page, set_up_app
from tests.browser.virtual_authenticator import VirtualAuthenticator


def press_by_keyboard(admin, button):
    admin.page.locator(button).focus()
    admin.page.keyboard.press("Enter")


def test_a_second_step_is_required_of_a_colleague_inside_a_partners_sign_in(a_member, partner, check_page, outbox):
    owner = a_member()
    colleague = a_member(school=owner.school, role="admin")
    owner.open("/sign-in")
    owner.sign_in()
    set_up_app(owner)
    check_page(owner.page, "security-of-an-owner")
    press_by_keyboard(owner, "#everyone")
    owner.expect_heading("Require a second step from everyone?")
    owner.expect_text(colleague.name)
    check_page(owner.page, "everyone-needs-second-step")
    press_by_keyboard(owner, "#require")
    owner.expect_heading("Security")
    owner.page.locator("#everyone").click()
    owner.expect_heading("Everyone needs a second step")
    check_page(owner.page, "everyone-needs-second-step-on")

    colleague.start_sign_in_at(partner)
    colleague.sign_in(username=colleague.email)
    colleague.expect_heading("Set up a second step")
    colleague.expect_text("requires everyone who acts for it to sign in with a second step")
    check_page(colleague.page, "second-step-for-school")
    VirtualAuthenticator(colleague.page)
    colleague.page.locator("#add-passkey").click()
    colleague.expect_heading("Add a passkey")
    press_by_keyboard(colleague, "#add")
    colleague.expect_heading("Recovery codes")
    colleague.page.locator("#not-now").click()
    colleague.expect_heading("Authorise sharing with Assembly")

    owner.page.locator("#lift").click()
    owner.expect_heading("Security")
    assert {message.to for message in outbox.all("second_step_optional")} >= {owner.email, colleague.email}


def test_a_required_second_step_is_set_up_without_scripts(a_member, new_window, transaction):
    admin = a_member(page=new_window("phone", java_script_enabled=False))
    with transaction():
        second_step_rule.require(people.by_name(admin.estab_id).memberships[0])
    admin.open("/sign-in")
    admin.sign_in()
    admin.expect_heading("Set up a second step")
    admin.page.locator("#set-up-app").click()
    admin.page.locator("#code").fill(app_of_page(admin.page).now())
    admin.page.locator("#finish").click()
    admin.expect_heading("Recovery codes")
    admin.page.locator("#not-now").click()
    admin.expect_heading(admin.school.name)


def test_other_sessions_are_ended_after_setting_up_an_app_and_sign_ins_are_listed(a_member, new_window, check_page):
    admin = a_member()
    admin.open("/sign-in")
    admin.sign_in()
    other_browser = admin.at(new_window("phone"))
    other_browser.open("/sign-in")
    other_browser.sign_in(password="not this one")
    other_browser.sign_in()
    other_browser.expect_heading(admin.school.name)
    admin.open("/manage/security")
    admin.page.locator("#set-up-app").click()
    admin.expect_heading("Set up an authenticator app")
    admin.page.locator("#code").fill(app_of_page(admin.page).now())
    admin.page.locator("#finish").click()
    admin.expect_heading("Recovery codes")
    admin.page.locator("#not-now").click()
    admin.expect_heading("Sign out everywhere else?")
    check_page(admin.page, "other-sessions")
    press_by_keyboard(admin, "#end-others")
    admin.expect_heading("Security")
    other_browser.open("/manage")
    other_browser.expect_heading("Sign in")
    admin.open("/manage/security/sign-ins")
    admin.expect_heading("Your sign-ins")
    expect(admin.page.locator("#list li")).to_have_count(2)
    expect(admin.page.locator("#wrong li")).to_have_count(1)
    check_page(admin.page, "sign-ins")
