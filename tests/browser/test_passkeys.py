"""Passkeys in a real browser, with Chromium's virtual authenticator: added, used, refused, lost."""

import pytest
from playwright.sync_api import expect

from tests.browser.virtual_authenticator import VirtualAuthenticator

WITHOUT_AUTOFILL = "PublicKeyCredential.isConditionalMediationAvailable = async () => false"
"""For a page whose button is pressed: otherwise the authenticator may accept the browser's own suggestion first."""


@pytest.fixture
def a_person(a_member):
    """`a_person()` is signed in by password, in a browser with a virtual authenticator."""

    def make(**overrides):
        admin = a_member(**overrides)
        admin.authenticator = VirtualAuthenticator(admin.page)
        admin.open("/sign-in")
        admin.sign_in()
        return admin

    return make


def add_passkey(admin, name="Office computer"):
    admin.open("/manage/security")
    admin.page.locator("#add-passkey").click()
    admin.expect_heading("Add a passkey")
    admin.page.locator("#name").fill(name)
    admin.page.locator("#add").click()
    admin.expect_text(f'Your passkey "{name or "A browser on Linux"}" has been added.')
    admin.open("/manage/security")


def test_a_passkey_is_added_used_without_a_password_renamed_and_removed(a_person):
    admin = a_person()
    add_passkey(admin, "")
    assert len(admin.authenticator.passkeys) == 1

    admin.sign_out()
    admin.page.add_init_script(WITHOUT_AUTOFILL)
    admin.open("/sign-in?next=/manage/security")
    admin.page.locator("#sign-in-with-passkey").click()
    admin.expect_heading("Security")
    admin.expect_text("last used on")

    admin.page.get_by_role("link", name="Rename A browser on Linux").click()
    admin.page.locator("#name").fill("Office computer")
    admin.page.locator("#save").click()
    admin.expect_heading("Security")
    admin.page.get_by_role("link", name="Remove Office computer").click()
    admin.expect_heading("Remove this passkey?")
    admin.page.locator("#remove").click()
    admin.expect_text("The passkey has been removed.")
    expect(admin.page.locator("#passkeys")).to_have_count(0)


def test_the_browser_offers_the_passkey_while_the_page_is_open(a_person):
    admin = a_person()
    add_passkey(admin)
    admin.sign_out()
    admin.open("/sign-in?next=/manage/security")  # the authenticator accepts the browser's suggestion
    admin.expect_heading("Security")


def test_a_passkey_is_the_second_step_after_a_password(a_person):
    admin = a_person()
    add_passkey(admin)
    admin.sign_out()
    admin.authenticator.set_user_verified(False)
    admin.open("/sign-in?next=/manage/security")
    admin.sign_in()
    admin.expect_heading("One more step to sign in")
    admin.page.locator("#use-passkey").click()
    expect(admin.page.locator("[data-passkey-problem]")).to_have_text(
        "No passkey was used. You can try again whenever you like."
    )
    admin.authenticator.set_user_verified(True)
    admin.page.locator("#use-passkey").click()
    admin.expect_heading("Security")


def test_a_partners_request_continues_after_signing_in_by_passkey(a_person, partner):
    admin = a_person()
    add_passkey(admin)
    admin.sign_out()
    admin.start_sign_in_at(partner)  # the authenticator accepts the browser's suggestion on the sign-in page
    admin.expect_heading("Authorise sharing with Assembly")


def test_a_second_passkey_on_the_same_device_is_refused(a_person):
    admin = a_person()
    add_passkey(admin)
    admin.page.locator("#add-passkey").click()
    admin.page.locator("#add").click()
    expect(admin.page.locator("[data-passkey-problem]")).to_have_text(
        "This device already has a passkey for your account."
    )
    admin.expect_heading("Add a passkey")


def test_a_removed_passkey_is_refused_and_the_password_still_works(a_person):
    admin = a_person()
    add_passkey(admin)
    admin.page.get_by_role("link", name="Remove Office computer").click()
    admin.page.locator("#remove").click()
    admin.expect_text("The passkey has been removed.")
    admin.sign_out()
    admin.open("/sign-in")  # the authenticator still has it, and accepts the browser's suggestion
    admin.expect_text("We could not sign you in with that passkey.")
    expect(admin.page.locator(".error-summary")).to_be_focused()
    admin.authenticator.lose()
    admin.page.wait_for_load_state("networkidle")  # it may have accepted the suggestion of this page, too
    admin.open("/sign-in?next=/manage/security")
    admin.sign_in()
    admin.expect_heading("Security")


def test_the_password_alone_does_not_sign_in_a_person_with_a_passkey(a_person):
    admin = a_person()
    add_passkey(admin)
    admin.sign_out()
    admin.authenticator.lose()
    admin.open("/sign-in")
    admin.sign_in()
    admin.expect_heading("One more step to sign in")
    admin.open("/manage")
    admin.expect_heading("Sign in")


def test_a_passkey_is_added_and_used_by_keyboard_alone(a_person):
    admin = a_person()
    admin.open("/manage/security/passkeys/add")
    admin.page.locator("#name").focus()
    admin.page.keyboard.type("Office computer")
    admin.page.keyboard.press("Enter")
    admin.expect_text('Your passkey "Office computer" has been added.')
    admin.sign_out()
    admin.page.add_init_script(WITHOUT_AUTOFILL)
    admin.open("/sign-in?next=/manage/security")
    admin.page.locator("#forgotten").focus()
    admin.page.keyboard.press("Tab")
    expect(admin.page.locator("#sign-in-with-passkey")).to_be_focused()
    admin.page.keyboard.press("Enter")
    admin.expect_heading("Security")


def test_without_scripts_no_passkey_button_is_shown(a_member, new_window, transaction):
    admin = a_member(page=new_window("phone", java_script_enabled=False))
    admin.open("/sign-in")
    expect(admin.page.locator("#passkey-form")).to_be_hidden()
    admin.sign_in()
    admin.open("/manage/security/passkeys/add")
    expect(admin.page.locator("#add")).to_be_hidden()
    admin.expect_text("This one does not.")


def test_a_browser_without_passkeys_is_told_so(a_member, new_window):
    page = new_window()
    page.add_init_script("delete window.PublicKeyCredential")
    admin = a_member(page=page)
    admin.open("/sign-in")
    expect(page.locator("#passkey-form")).to_be_hidden()
    admin.sign_in()
    admin.open("/manage/security/passkeys/add")
    admin.expect_text("This one does not.")


def test_passkeys_work_in_a_browser_without_the_newer_json_functions(a_person):
    admin = a_person()
    admin.page.add_init_script(
        "for (const name of ['parseCreationOptionsFromJSON', 'parseRequestOptionsFromJSON',"
        " 'isConditionalMediationAvailable']) delete PublicKeyCredential[name];"
        "delete PublicKeyCredential.prototype.toJSON;"
    )
    add_passkey(admin)
    admin.sign_out()
    admin.open("/sign-in?next=/manage/security")
    admin.page.locator("#sign-in-with-passkey").click()
    admin.expect_heading("Security")


def test_the_pages_of_passkeys_are_accessible(a_person, check_page, transaction):
    admin = a_person()
    admin.open("/manage/security/passkeys/add")
    check_page(admin.page, "passkey-add")
    add_passkey(admin)
    check_page(admin.page, "security-with-a-passkey")
    admin.page.get_by_role("link", name="Rename Office computer").click()
    admin.expect_heading("Rename a passkey")
    check_page(admin.page, "passkey-rename")
    admin.page.go_back()
    admin.page.get_by_role("link", name="Remove Office computer").click()
    admin.expect_heading("Remove this passkey?")
    check_page(admin.page, "passkey-remove")
    admin.sign_out()
    admin.authenticator.set_user_verified(False)
    admin.open("/sign-in")
    admin.page.locator("#sign-in-with-passkey").click()
    expect(admin.page.locator("[data-passkey-problem]")).not_to_be_empty()
    check_page(admin.page, "sign-in-no-passkey-used")
    admin.sign_in()
    admin.expect_heading("One more step to sign in")
    check_page(admin.page, "second-step-passkey")
