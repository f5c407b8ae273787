"""A school's pages about sharing, in a real browser."""

from datetime import timedelta

from playwright.sync_api import expect
from sqlalchemy import select

from idp.foundation import clock
from idp.partners import registry
from idp.partners.models import Client
from idp.schools.models import SchoolLink
from idp.sharing import authorise
from idp.sharing.models import Authorisation
from tests.browser.test_sign_in import make_person, sign_in, username
from tests.factories import a_client

__all__ = ["username"]


def test_sharing_is_changed_paused_and_resumed(page, issuer, username, check_page):
    sign_in(page, issuer, username)
    page.get_by_role("link", name="Change what is shared with Timetabler").click()
    check_page(page, "change-sharing")
    page.get_by_role("checkbox", name="attendance").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("has been changed")

    page.get_by_role("button", name="Pause sharing with Timetabler").click()
    expect(page.get_by_role("status").first).to_contain_text("has been paused")
    check_page(page, "paused")
    page.get_by_role("button", name="Resume sharing with Timetabler").click()
    expect(page.get_by_role("status").first).to_contain_text("shares with Timetabler again")
    check_page(page, "manage")


def test_sharing_that_ends_soon_is_renewed(page, issuer, username, transaction, check_page):
    with transaction() as database:
        agreement = database.scalars(
            select(Authorisation).order_by(Authorisation.given_at.desc(), Authorisation.id)
        ).first()
        agreement.until, agreement.scopes = clock.now() + timedelta(days=20), agreement.scopes - {"students.sen"}
    sign_in(page, issuer, username)
    check_page(page, "manage-ends-soon")
    page.get_by_role("link", name="Look at it and renew").click()
    check_page(page, "renew-sharing")
    page.get_by_role("button", name="Renew until").click()
    expect(page.get_by_role("status").first).to_contain_text("has been renewed until")


def test_a_service_that_asks_for_more_data_is_authorised_for_it(page, issuer, username, transaction, check_page):
    with transaction() as database:
        client = database.scalars(select(Client).order_by(Client.created_at.desc(), Client.id)).first()
        client.required_scopes, client.agreement_version = client.required_scopes | {"staff"}, "2027-01"
        client.optional_scopes |= {"timetable", "students.medical"}
        registry.bump_version(client)
    sign_in(page, issuer, username)
    page.get_by_role("link", name="Look at it and decide").first.click()
    check_page(page, "review-sharing")
    page.get_by_role("checkbox", name="Timetable").check()
    page.get_by_role("button", name="Agree").click()
    expect(page.locator(".error-summary")).to_be_focused()
    page.get_by_role("checkbox", name="I have authority").check()
    page.get_by_role("button", name="Agree").click()
    expect(page.get_by_role("status").first).to_contain_text("has agreed to it")


def test_a_school_that_follows_a_closed_one_continues_with_what_it_shared(
    page, new_window, issuer, transaction, check_page
):
    with transaction() as database:
        owners = [make_person(name=name) for name in ("Jo Bloggs", "Al Bloggs")]
        old, new = (owner.memberships[0] for owner in owners)
        optional = frozenset({"attendance", "students.sen"})
        for name in ("Timetabler", "SchoolBooking"):
            client = a_client(client_name=name, optional_scopes=optional)
            authorise.give(
                client, client.required_scopes | {"attendance"}, by=old, agreement_version="1", offered=client.scopes,
                until=clock.now() + timedelta(days=300),
            )  # fmt: skip
        old.estab.school.status_code, old.estab.school.closed_on = "2", clock.today() - timedelta(days=60)
        link = SchoolLink(from_urn=old.estab.school.register_id, to_urn=new.estab.school.register_id, kind="Successor")
        link.is_succession, link.name, link.since = True, new.estab.name, clock.today() - timedelta(days=59)
        database.add(link)
        usernames = [owner.username for owner in owners]
    sign_in(page, issuer, usernames[0])
    check_page(page, "manage-closed")
    page.get_by_role("link", name="See what this means").click()
    check_page(page, "closing")
    page.get_by_role("button", name="Let it continue with them").click()
    expect(page.get_by_role("button", name="Take this back")).to_be_visible()
    other = new_window("desktop")
    sign_in(other, issuer, usernames[1])
    other.get_by_role("link", name="Look at it and decide").click()
    check_page(other, "continue-sharing")
    other.get_by_role("checkbox", name="Continue with SchoolBooking").uncheck()
    other.get_by_role("checkbox", name="I have authority").check()
    other.get_by_role("button", name="Continue with the ticked services").click()
    message = "Your school now shares with the services that you ticked."
    expect(other.get_by_role("status").first).to_contain_text(message)


def test_the_schools_system_is_changed(page, issuer, username, transaction, check_page):
    with transaction() as database:
        client = database.scalars(select(Client).order_by(Client.created_at.desc(), Client.id)).first()
        client.accepted_mis = frozenset({"sims"})
        registry.bump_version(client)
    sign_in(page, issuer, username)
    page.get_by_role("link", name="Change system").click()
    page.get_by_role("radio", name="Arbor").check()
    page.get_by_role("button", name="Save").click()
    check_page(page, "system")
    page.get_by_role("button", name="Save anyway").click()
    expect(page.get_by_role("status").first).to_contain_text("recorded as Arbor")
    check_page(page, "manage-unsupported")


def test_the_processing_record_can_be_downloaded_as_csv(page, issuer, username):
    sign_in(page, issuer, username)
    with page.expect_download() as download:
        page.get_by_role("link", name="Processing record (CSV)").click()

    assert download.value.suggested_filename.startswith("processing-record-")


def test_the_search_button_is_as_tall_as_any_button_on_a_phone(new_window, issuer):
    phone = new_window("phone")
    phone.goto(f"{issuer}/register")

    assert phone.locator("#search").bounding_box()["height"] < 60
