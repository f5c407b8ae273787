"""What a school decides at its desk about sharing, in a real browser."""

from datetime import timedelta

from playwright.sync_api import expect
from sqlalchemy import select

from idp.foundation import clock
from idp.partners import registry
from idp.partners.models import Client
from idp.sharing.models import Authorisation
from tests.browser.test_sign_in import sign_in, username

__all__ = ["username"]


def test_sharing_is_changed_paused_and_resumed(page, issuer, username, looks_right):
    sign_in(page, issuer, username)
    page.get_by_role("link", name="Change what is shared with Timetabler").click()
    looks_right(page, "change-sharing")
    page.get_by_role("checkbox", name="attendance").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("has been changed")

    page.get_by_role("button", name="Pause sharing with Timetabler").click()
    expect(page.get_by_role("status").first).to_contain_text("is paused")
    looks_right(page, "paused")
    page.get_by_role("button", name="Resume sharing with Timetabler").click()
    expect(page.get_by_role("status").first).to_contain_text("shares with Timetabler again")
    looks_right(page, "desk")


def test_sharing_that_ends_soon_is_renewed(page, issuer, username, work, looks_right):
    with work() as database:
        agreement = database.scalars(
            select(Authorisation).order_by(Authorisation.given_at.desc(), Authorisation.id)
        ).first()
        agreement.until, agreement.scopes = clock.now() + timedelta(days=20), agreement.scopes - {"students.sen"}
    sign_in(page, issuer, username)
    looks_right(page, "desk-ends-soon")
    page.get_by_role("link", name="Look at it and renew").click()
    looks_right(page, "renew-sharing")
    page.get_by_role("button", name="Renew until").click()
    expect(page.get_by_role("status").first).to_contain_text("is renewed until")


def test_what_a_service_asks_for_in_addition_is_agreed_to(page, issuer, username, work, looks_right):
    with work() as database:
        client = database.scalars(select(Client).order_by(Client.created_at.desc(), Client.id)).first()
        client.required_scopes, client.agreement_version = client.required_scopes | {"staff"}, "2027-01"
        client.optional_scopes |= {"timetable", "students.medical"}
        registry.bump_version(client)
    sign_in(page, issuer, username)
    page.get_by_role("link", name="Look at it and decide").first.click()
    looks_right(page, "review-sharing")
    page.get_by_role("checkbox", name="Timetable").check()
    page.get_by_role("button", name="Agree").click()
    expect(page.locator(".error-summary")).to_be_focused()
    page.get_by_role("checkbox", name="I have authority").check()
    page.get_by_role("button", name="Agree").click()
    expect(page.get_by_role("status").first).to_contain_text("has agreed to it")


def test_the_processing_record_is_downloaded_as_a_file(page, issuer, username):
    sign_in(page, issuer, username)
    with page.expect_download() as coming:
        page.get_by_role("link", name="Processing record (CSV)").click()

    assert coming.value.suggested_filename.startswith("processing-record-")


def test_the_search_button_is_as_tall_as_any_button_on_a_phone(a_window, issuer):
    phone = a_window("phone")
    phone.goto(f"{issuer}/register")

    assert phone.locator("#search").bounding_box()["height"] < 60
