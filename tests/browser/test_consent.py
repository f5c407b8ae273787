"""The authorisation page at the widths of a computer and of a phone, and the layout of all pages."""

import pytest
from playwright.sync_api import expect

from idp.estabs import people
from idp.sharing import authorise
from tests.browser.conftest import WIDTHS
from tests.browser.test_security_page import app_of_page
from tests.browser.virtual_authenticator import VirtualAuthenticator
from tests.factories import a_client, a_partner


@pytest.fixture
def open_consent_page(a_member, partner, new_window):
    """`open_consent_page()` opens the authorisation page of a request for ten areas; returns the person there."""

    def open_page(width="desktop", **overrides):
        admin = a_member(page=new_window(width, **overrides))
        admin.start_sign_in_at(partner)
        admin.sign_in()
        admin.expect_heading("Authorise sharing with Assembly")
        return admin

    return open_page


def test_the_consent_page_is_short_enough_for_a_phone(open_consent_page):
    admin = open_consent_page("phone")
    assert admin.page.evaluate("document.documentElement.scrollHeight") < 3750


def test_what_an_area_includes_is_folded_and_opens_by_keyboard(open_consent_page, check_page):
    admin = open_consent_page()
    details = admin.page.locator(".option", has_text="Attendance").locator("summary")
    expect(admin.page.get_by_text("Attendance marks")).to_be_hidden()
    details.focus()
    admin.page.keyboard.press("Enter")
    expect(admin.page.get_by_text("Attendance marks")).to_be_visible()
    assert not admin.page.get_by_role("checkbox", name="Attendance").is_checked()
    check_page(admin.page, "consent-unfolded")


def test_special_category_areas_come_last_in_amber(open_consent_page):
    admin = open_consent_page()
    names = admin.page.locator("fieldset .option label").all_inner_texts()
    assert names[-2:] == ["Pupils: background", "Pupils: special educational needs"]
    assert admin.page.locator("fieldset .badge.warning").count() == 2
    assert admin.page.locator("fieldset .badge:not(.warning)").count() == 0


def test_the_number_of_shared_areas_is_beside_the_button(open_consent_page):
    admin = open_consent_page()
    count = admin.page.locator("[data-count]")
    expect(count).to_have_text("2 areas")
    admin.page.get_by_role("checkbox", name="Attendance").check()
    expect(count).to_have_text("3 areas")
    admin.page.get_by_role("checkbox", name="Attendance").uncheck()
    expect(count).to_have_text("2 areas")


def test_without_scripts_the_text_counts_the_required_areas_only(open_consent_page):
    admin = open_consent_page(java_script_enabled=False)
    expect(admin.page.locator(".count")).to_have_text("You share 2 areas and those you tick.")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_person_sends_the_page_to_a_colleague_who_decides(open_consent_page, outbox, check_page, scripts):
    admin = open_consent_page(java_script_enabled=scripts)
    page = admin.page
    page.get_by_role("checkbox", name="Attendance", exact=True).check()
    page.get_by_text("Someone else decides this").click()
    field = page.get_by_label("Your colleague's work e-mail address")
    field.fill("head")
    field.press("Enter")  # the first button of the form would be the one that authorises
    admin.expect_errors("Enter an e-mail address in the right form")
    expect(field).to_be_visible()
    if scripts:
        check_page(page, "consent-colleague-wrong")
    field.fill("head@oakhill.sch.uk")
    page.locator("#hand-over").click()

    admin.expect_text("We have written to h…@oakhill.sch.uk")
    admin.expect_heading("Authorise sharing with Assembly")
    assert page.get_by_role("checkbox", name="Attendance", exact=True).is_checked()
    assert outbox.all("decide_sharing")[-1].to == "head@oakhill.sch.uk"
    page.reload()
    page.get_by_role("checkbox", name="Attendance", exact=True).press("Enter")
    admin.expect_heading("Authorise sharing with Assembly")
    assert page.get_by_role("checkbox", name="Attendance", exact=True).is_checked()
    assert "has not been sent" not in page.locator("main").inner_text()
    page.locator("#authority").check()
    page.locator("#allow").click()
    admin.expect_heading(admin.school.name)


@pytest.mark.parametrize("path", ["/sign-in", "/register", "/manage", None])
def test_logo_content_and_footer_are_aligned(open_consent_page, path, issuer):
    admin = open_consent_page()
    if path:
        admin.page.goto(issuer + path)
    edges = admin.page.evaluate(
        """() => [".marque", ".sheet", ".foot-in > :first-child"].map(
            (part) => Math.round(document.querySelector(part).getBoundingClientRect().left))"""
    )
    assert len(set(edges)) == 1, edges


def test_the_help_box_is_as_tall_as_its_text(open_consent_page):
    admin = open_consent_page()
    help_box, main = (admin.page.locator(part).bounding_box() for part in (".beside", "main"))
    assert help_box["height"] < main["height"] / 2


@pytest.mark.parametrize("width", [375, 320])
def test_the_header_is_one_line_on_a_phone(open_consent_page, width):
    admin = open_consent_page("phone")
    admin.page.set_viewport_size({"width": width, "height": WIDTHS["phone"]["height"]})
    tops = admin.page.evaluate(
        """() => [".marque", ...[".account a:first-of-type", ".account a:last-of-type"]].map((part) => {
            const box = document.querySelector(part).getBoundingClientRect();
            return Math.round(box.top + box.height / 2);
        })"""
    )
    assert max(tops) - min(tops) <= 2, tops


def test_dangerous_buttons_are_red_in_the_dark_scheme(a_member, transaction, new_window):
    admin = a_member(page=new_window(color_scheme="dark"))
    with transaction():
        client = a_client(a_partner(), client_name="Timetabler")
        person = people.by_name(admin.estab_id)
        authorise.give(
            client,
            client.required_scopes,
            by=person.memberships[0],
            agreement_version="1",
            until=authorise.default_end(client),
        )
        client_id = client.id
    admin.open("/sign-in")
    admin.sign_in()
    admin.expect_heading(admin.school.name)
    admin.open(f"/manage/sharing/{client_id}/stop")
    red, green, blue = admin.page.locator("#stop").evaluate(
        "(button) => getComputedStyle(button).backgroundColor.match(/[0-9]+/g).map(Number)"
    )
    assert red > 180
    assert max(green, blue) < 90


def test_a_passkey_is_added_on_the_way_to_sharing_specially_protected_data(open_consent_page, check_page):
    admin = open_consent_page()
    VirtualAuthenticator(admin.page)
    protected = admin.page.get_by_role("checkbox", name="Pupils: special educational needs")
    expect(protected).to_be_disabled()
    admin.page.get_by_role("checkbox", name="Attendance").check()
    check_page(admin.page, "consent-needs-second-step")
    admin.page.locator("#second-step").focus()
    admin.page.keyboard.press("Enter")
    admin.expect_heading("Set up a second step")
    check_page(admin.page, "second-step-for-protected-data")
    admin.page.locator("#add-passkey").click()
    admin.expect_heading("Add a passkey")
    admin.page.locator("#add").click()
    admin.expect_heading("Recovery codes")
    admin.page.locator("#not-now").click()
    admin.expect_heading("Authorise sharing with Assembly")
    expect(admin.page.get_by_role("checkbox", name="Attendance")).to_be_checked()
    protected.check()
    expect(admin.page.locator("[data-count]")).to_have_text("4 areas, 1 specially protected")
    admin.authorise()
    admin.page.wait_for_url(lambda url: "/oauth/" not in url)
    expect(admin.sharing_state("Pupils: special educational needs")).to_have_text("Shared")


def test_an_app_is_set_up_on_the_way_without_scripts(open_consent_page):
    admin = open_consent_page("phone", java_script_enabled=False)
    admin.page.get_by_role("checkbox", name="Attendance").check()
    admin.page.locator("#second-step").click()
    admin.expect_heading("Set up a second step")
    admin.page.locator("#set-up-app").click()
    admin.page.locator("#code").fill(app_of_page(admin.page).now())
    admin.page.locator("#finish").click()
    admin.expect_heading("Recovery codes")
    admin.page.locator("#not-now").click()
    admin.expect_heading("Authorise sharing with Assembly")
    expect(admin.page.get_by_role("checkbox", name="Attendance")).to_be_checked()
    expect(admin.page.get_by_role("checkbox", name="Pupils: special educational needs")).to_be_enabled()
