"""A partner connects a school, from the invite code to the end of sharing: the whole journey, in real browsers."""

import re
import time

import pytest
import requests
from playwright.sync_api import expect

from clients.assembly import connections
from clients.assembly.applications import ASSEMBLY
from clients.assembly.database import Database
from clients.assembly.keys import Keys
from clients.assembly.provider import Provider
from clients.assembly.settings import Settings
from idp.demo.prepare import manifest_at
from idp.partners import registry
from tests.browser.assembly import INVITE_CODE, newest_mail, serve_partner

PASSWORD = "wobbly kettle sings"
NO_SERVER = "Waiting for your school's server"
"""The heading at Assembly for a verified school whose server has sent nothing."""


class Office:
    """A person in a school office, at a partner's application; `mails` is the Maildir of that application's mail."""

    def __init__(self, page, school, email, mails):
        self.page, self.school, self.email, self.mails = page, school, email, mails

    def sign_up(self, url):
        self.page.goto(url)
        self.page.get_by_role("link", name="Sign up with an invite code").click()
        self.page.locator("#code").fill(INVITE_CODE)
        self.page.locator("#email").fill(self.email)
        self.page.locator("#password").fill(PASSWORD)
        self.page.get_by_label("I have read and accept").check()
        self.page.get_by_role("button", name="Sign up").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Check your e-mail")

    def activate(self, url):
        self.page.goto(re.findall(rf"{url}/activate/\S+", newest_mail(self.mails, self.email, url))[0])
        self.page.locator("#password").fill(PASSWORD)
        self.page.get_by_role("button", name="Activate my account").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("School information")

    def choose_school(self, mis, *, typed=None):
        self.page.locator("#q").fill("")
        self.page.locator("#q").press_sequentially(typed or self.school.name)
        self.page.locator(f"input[name=urn][value='{self.school.urn}']").check()
        self.page.get_by_label("Your school's MIS provider").select_option(label=mis)
        self.page.get_by_role("button", name="Continue").click()

    def status(self):
        return self.page.locator("#connection-status")


@pytest.fixture
def schoolbooking(issuer, transaction, tmp_path, partner_mail):
    with serve_partner(issuer, transaction, tmp_path / "booking", second=True, smtp_port=partner_mail.port) as url:
        yield url


@pytest.fixture
def require_staff_scope(transaction, partner):
    """`require_staff_scope()`: Assembly's registration requires the staff, too, until the test ends."""
    before = manifest_at(partner.url)
    kinds = {kind: set(names) for kind, names in before["scopes"].items()}
    with_staff = {"required": kinds["required"] | {"staff"}, "optional": kinds["optional"] - {"staff"}}

    def change(manifest):
        with transaction():
            registry.change(manifest)

    yield lambda: change(before | {"scopes": kinds | with_staff})
    change(before)


def test_a_partner_connects_a_school(  # noqa: PLR0915  it is one journey
    new_window, an_admin, schools, schoolbooking, partner, partner_mail, partner_folder, partner_resource, issuer,
    operator, outbox, check_page, require_staff_scope
):  # fmt: skip
    head = an_admin(page=new_window("phone"))
    school = head.school
    office = Office(new_window(), school, f"office.of.{school.urn}@school.example", partner_mail.folder)

    # SchoolBooking refuses SIMS, and says why
    office.page.goto(schoolbooking)
    check_page(office.page, "schoolbooking")
    office.sign_up(schoolbooking)
    office.activate(schoolbooking)
    office.choose_school("SIMS")
    expect(office.page.locator("#mis-refused")).to_contain_text("only available for iSAMS and Arbor schools")
    expect(office.page.locator("#mis-refused")).to_contain_text("each child's teachers")
    expect(office.page.locator(f"input[name=urn][value='{school.urn}']")).to_be_checked()
    check_page(office.page, "schoolbooking-mis-refused")

    # Assembly takes it
    office.page.goto(f"{partner.url}/sign-up")
    check_page(office.page, "assembly-sign-up")
    office.page.get_by_role("button", name="Sign up").click()
    expect(office.page.get_by_role("alert")).to_contain_text("accept the terms of service")
    check_page(office.page, "assembly-sign-up-wrong")
    office.sign_up(partner.url)
    check_page(office.page, "assembly-check-email")
    office.activate(partner.url)
    office.choose_school("SIMS", typed=school.postcode)
    expect(office.page.get_by_role("heading", level=1)).to_have_text(school.name)
    expect(office.status()).to_have_text("Not connected")
    check_page(office.page, "assembly-connector")

    # Grant Access, and the mail is passed on once
    office.page.locator("#name").fill("Olive Office")
    office.page.get_by_role("button", name="Grant Access").click()
    expect(office.status()).to_have_text("E-mail sent")
    check_page(office.page, "assembly-invited")
    [mail] = [message for message in outbox.all("partner_invitation") if message.to == office.email]
    assert "Begin Authorisation" in mail.text + mail.html
    invitation_page = office.page.context.new_page()
    invitation_page.goto(mail.links[0])
    invitation_page.locator("#someone-else").click()
    invitation_page.locator("#name").fill(head.name)
    invitation_page.locator("#email").fill(head.email)
    invitation_page.locator("#pass-on").click()
    expect(invitation_page.get_by_role("heading", level=1)).to_have_text("We have written to your colleague")
    invitation_page.close()
    expect(office.status()).to_have_text("Passed on")

    # The school registers, and authorises
    head.page.goto(head.newest_mail("partner_invitation_forwarded").links[0])
    head.press("Yes", exact=False)
    head.expect_heading("Sign in")
    head.follow_link("Register your school")
    head.expect_heading("Find your school")
    expect(head.page.locator(f"input[name=school][value='{school.id}']")).to_be_checked()
    check_page(head.page, "find-invited-school")
    head.register()
    head.follow_link("Continue to Assembly")
    head.expect_heading("Authorise sharing with Assembly")
    head.authorise("Attendance", "Assessment")
    head.expect_heading(school.name)

    # Unverified, so no data
    expect(office.status()).to_have_text("School not verified yet")
    expect(office.page.locator("main")).to_contain_text("Nothing received yet.")
    expect(head.sharing_state("Attendance")).to_have_text("Waiting for verification")
    check_page(head.page, "assembly-connector-waiting")

    # Verified: the page says so by itself
    operator.verify(head.estab_id)
    expect(office.status()).to_have_text(NO_SERVER)
    expect(office.page.locator("main")).to_contain_text("has not sent any: install it at your school")
    expect(head.sharing_state("Attendance")).to_have_text("Shared")
    check_page(head.page, "assembly-connector-connected")

    # An optional area is switched off
    school_pages = head.at(head.page.context.new_page())
    school_pages.open("/manage/sharing/assembly/change")
    school_pages.page.get_by_role("checkbox", name="Assessment").uncheck()
    school_pages.page.get_by_role("button", name="Save").click()
    school_pages.expect_text("has been changed")
    expect(head.sharing_state("Assessment")).to_have_text("Not shared")
    expect(head.sharing_state("Attendance")).to_have_text("Shared")

    # An added scope needs a review, while the agreement continues
    require_staff_scope()
    school_pages.open("/")
    school_pages.expect_text("Assembly asks your school to agree to more.")
    school_pages.follow_link("Look at it and decide about Assembly")
    school_pages.expect_heading("Assembly asks for more")
    expect(office.status()).to_have_text(NO_SERVER)
    expect(head.sharing_state("Staff")).to_have_text("Not shared")
    school_pages.page.locator("#authority").check()
    school_pages.page.locator("#agree").click()
    expect(head.sharing_state("Staff")).to_have_text("Shared")

    # Stopped: the next request is refused, and Assembly shows it
    settings = Settings(ASSEMBLY, issuer, "assembly", 5001, partner_folder)
    api = Provider(settings, Keys(settings.key_file))
    token = connections.access_token(Database(settings.database), api, head.estab_id)
    assert api.call("GET", f"{partner_resource}/access", token).status_code == 200
    school_pages.open("/manage/sharing/assembly/stop")
    school_pages.press("Stop sharing")
    school_pages.expect_text("Your school has stopped sharing with Assembly.")
    began = time.monotonic()
    while api.call("GET", f"{partner_resource}/access", token).status_code == 200:
        assert time.monotonic() - began < 1.2, "the API still responds after sharing was stopped"
        time.sleep(0.05)
    for page in (office.page, head.page):
        expect(page.locator("#connection-status")).to_have_text("Your school no longer shares with us")
    check_page(office.page, "assembly-connector-stopped")


def test_the_pages_at_assembly_work_without_scripts_by_reloading(
    new_window, an_admin, partner, partner_mail, operator, a_member
):
    member = a_member(state="unverified")
    office = Office(new_window(java_script_enabled=False), member.school, f"plain.{member.school.urn}@school.example",
                    partner_mail.folder)  # fmt: skip
    office.sign_up(partner.url)
    office.activate(partner.url)
    office.page.locator("#q").fill(member.school.name)
    office.page.get_by_role("button", name="Search").click()
    office.page.locator(f"input[name=urn][value='{member.school.urn}']").check()
    office.page.locator("#mis").select_option(label="Arbor")
    office.page.get_by_role("button", name="Continue").click()
    expect(office.status()).to_have_text("Not connected")
    member.start_sign_in_at(partner)
    member.sign_in()
    member.authorise()
    office.page.get_by_role("link", name="Reload this page").click()
    expect(office.status()).to_have_text("School not verified yet")
    operator.verify(member.estab_id)
    time.sleep(2.1)  # a newer state is shown without a request
    office.page.reload()
    expect(office.status()).to_have_text(NO_SERVER)


def test_the_data_api_without_a_token_responds_401(partner_resource):
    assert requests.get(f"{partner_resource}/access", timeout=10).status_code == 401


class TestSearchAtAssembly:
    @pytest.fixture
    def office(self, page, schools, partner, partner_mail):
        """A person who is to choose their school at Assembly."""
        school = next(schools)
        office = Office(page, school, f"search.of.{school.urn}@school.example", partner_mail.folder)
        office.sign_up(partner.url)
        office.activate(partner.url)
        return office

    @pytest.fixture
    def hold_search(self, page):
        """`hold_search("st jo")` holds the requests for this search, until the test responds; returns them."""

        def hold(words):
            held_requests = []

            def hold_request(route):
                held_requests.append(route)

            page.route(re.compile(r"[?&]q=" + words.replace(" ", r"\+") + "$"), hold_request)
            return held_requests

        return hold

    def test_a_slow_response_never_replaces_a_newer_one(self, office, page, hold_search):
        held_requests = hold_search("st jo")
        with page.expect_request(re.compile(r"q=st\+jo$")):
            page.locator("#q").fill("st jo")
        page.locator("#q").fill("willow bank")
        willow_bank = page.get_by_text("Willow Bank Primary School").first
        expect(willow_bank).to_be_visible()

        for route in held_requests:
            route.fulfill(body="<p>St Joseph's</p>", content_type="text/html")
        page.wait_for_timeout(500)  # long enough for a response that is not ignored to be shown
        assert held_requests
        expect(page.get_by_text("St Joseph's")).to_have_count(0)
        expect(willow_bank).to_be_visible()

    def test_a_school_that_was_chosen_while_a_response_was_on_its_way_stays_chosen(self, office, page, hold_search):
        chosen = page.locator("#schools input[name=urn]").first
        page.locator("#q").fill("willow")
        expect(page.get_by_text("Willow Bank Primary School").first).to_be_visible()
        html = page.locator("#schools").inner_html()
        held_requests = hold_search("willow bank")
        with page.expect_request(re.compile(r"q=willow\+bank$")):
            page.locator("#q").fill("willow bank")
        chosen.check()
        with page.expect_response(re.compile(r"q=willow\+bank$")):
            held_requests[0].fulfill(body=f"<p>A newer list</p>{html}", content_type="text/html")
        expect(page.get_by_text("A newer list")).to_be_visible()
        expect(chosen).to_be_checked()
