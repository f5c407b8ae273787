"""Requests of partners with other parameters than the demonstration's: each leads to its page, and back.

The partners' callbacks are served over HTTP, and show the method of the request: a browser does not always tell a test
of a URL that it was redirected to.
"""

from itertools import count
from urllib.parse import urlencode

import pytest
from flask import Flask, request
from playwright.sync_api import expect

from tests.factories import a_client, a_partner
from tests.ports import free_port
from tests.serving import serving

IDENTITY = frozenset({"openid", "profile", "email"})
HOSTS = ("127.0.0.1", "::1")
PAGE = '<!doctype html><title>Partner</title><link rel="icon" href="data:,"><h1>{}</h1>'
_numbers = count(1)


class PartnerSite:
    """The callbacks of these partners, on both loopback addresses, and the parameters that each received."""

    def __init__(self):
        self.ports = {host: free_port(host) for host in HOSTS}
        self.received = {}
        self.app = Flask("partner")
        self.app.add_url_rule("/<path:_>", view_func=self.respond, methods=["GET", "POST"])

    def callback(self, host="127.0.0.1"):
        """The URL of a new callback."""
        port, number = self.ports[host], next(_numbers)
        return f"http://[{host}]:{port}/callback{number}" if ":" in host else f"http://{host}:{port}/callback{number}"

    def respond(self, _):
        self.received[request.base_url] = request.values.to_dict()
        return PAGE.format(request.method)


class RegisteredPartner:
    """A client with one callback."""

    def __init__(self, client_id, url, site):
        self.client_id, self.url, self._site = client_id, url, site

    def link(self, issuer, **overrides):
        parameters = {
            "client_id": self.client_id, "response_type": "code", "scope": "openid profile email", "state": "a-state",
            "nonce": "a-nonce", "redirect_uri": self.url, "code_challenge": "E" * 43, "code_challenge_method": "S256",
        }  # fmt: skip
        return f"{issuer}/oauth/authorize?{urlencode(parameters | overrides)}"

    @property
    def received(self):
        """The parameters of the last request to the callback; none before the first."""
        return self._site.received.get(self.url, {})


@pytest.fixture(scope="module")
def partner_site():
    site = PartnerSite()
    first, second = (serving(site.app, port, host=host) for host, port in site.ports.items())
    with first, second:
        yield site


@pytest.fixture
def register_partner(transaction, partner_site):
    """`register_partner(…)` registers a client with a callback of its own."""

    def register(*, name="Timetabler", host="127.0.0.1", **overrides):
        url = partner_site.callback(host)
        urls = {"redirect_uris": [url], "post_logout_redirect_uris": [], "initiate_login_uri": None}
        with transaction():
            client = a_client(a_partner(), client_name=name, **(urls | overrides))
            return RegisteredPartner(client.id, url, partner_site)

    return register


def test_a_request_for_identity_scopes_only_needs_no_declaration(a_member, register_partner, issuer, check_page):
    admin = a_member()
    timetabler = register_partner(required_scopes=IDENTITY, optional_scopes=frozenset())
    admin.page.goto(timetabler.link(issuer))
    admin.expect_text("Timetabler wants to connect to your school")
    admin.sign_in()
    admin.expect_heading("Sign in to Timetabler")
    expect(admin.page.locator("#authority")).to_have_count(0)
    check_page(admin.page, "consent-identity")
    admin.press("Continue to Timetabler")

    admin.expect_heading("GET")
    assert {"code", "state", "iss"} <= timetabler.received.keys()


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("host", HOSTS)
def test_the_authorization_response_reaches_a_program_on_the_persons_own_computer(
    a_member, register_partner, issuer, host, mode
):
    """`form-action` is applied to the last URL that a form leads to, and cannot name IPv6 addresses."""
    admin = a_member()
    program = register_partner(host=host, token_endpoint_auth_method="none")
    admin.page.goto(program.link(issuer, scope="openid school students", response_mode=mode))
    admin.sign_in()
    admin.authorise()

    admin.expect_heading("GET" if mode == "query" else "POST")
    assert "code" in program.received


def test_a_form_post_response_is_sent_by_its_script(a_member, register_partner, issuer):
    admin = a_member()
    timetabler = register_partner(required_scopes=IDENTITY, optional_scopes=frozenset())
    admin.page.goto(timetabler.link(issuer, response_mode="form_post"))
    admin.sign_in()
    admin.press("Continue to Timetabler")

    admin.expect_heading("POST")
    assert timetabler.received["state"] == "a-state"
    assert "code" in timetabler.received


def test_the_page_of_a_form_post_response_is_accessible(a_member, register_partner, issuer, check_page):
    """The page while a partner does not respond; the script that leaves it is switched off."""
    admin = a_member()
    admin.page.add_init_script("HTMLFormElement.prototype.submit = () => {};")
    timetabler = register_partner(required_scopes=IDENTITY, optional_scopes=frozenset())
    admin.page.goto(timetabler.link(issuer, response_mode="form_post"))
    admin.sign_in()
    admin.press("Continue to Timetabler")

    admin.expect_heading("Going back to Timetabler")
    check_page(admin.page, "form-post")
    assert timetabler.received == {}


def test_a_form_post_response_is_sent_by_its_button_without_scripts(a_member, new_window, register_partner, issuer):
    admin = a_member(page=new_window(java_script_enabled=False))
    timetabler = register_partner(required_scopes=IDENTITY, optional_scopes=frozenset())
    admin.page.goto(timetabler.link(issuer, response_mode="form_post"))
    admin.sign_in()
    admin.press("Continue to Timetabler")
    admin.expect_heading("Going back to Timetabler")
    admin.page.locator("#continue").click()

    admin.expect_heading("POST")
    assert timetabler.received["iss"] == issuer


def test_a_person_chooses_the_schools_system_for_a_service_that_works_with_some_only(
    a_member, register_partner, issuer, check_page
):
    admin = a_member()
    booking = register_partner(name="SchoolBooking", accepted_mis=frozenset({"isams", "arbor"}))
    admin.page.goto(booking.link(issuer, scope="openid school students"))
    admin.sign_in()
    admin.expect_heading("Which system does your school use?")
    check_page(admin.page, "mis")
    admin.press("Save and continue")
    admin.expect_errors("Choose the system that your school uses.")
    expect(admin.page.locator(".field-error")).to_have_text("Error: Choose the system that your school uses.")
    check_page(admin.page, "mis-wrong")
    admin.page.get_by_role("radio", name="SIMS", exact=True).check()
    admin.press("Save and continue")
    admin.expect_heading("This service does not work with your school's system")
    admin.expect_text("SchoolBooking works with", "iSAMS", "Arbor", "SIMS")
    check_page(admin.page, "mis-not-accepted")

    admin.page.get_by_role("radio", name="Arbor", exact=True).check()
    admin.press("Save and continue")
    admin.expect_heading("Authorise sharing with SchoolBooking")
    admin.authorise()
    admin.expect_heading("GET")
    assert "code" in booking.received


def test_a_person_whose_schools_system_is_not_accepted_returns_to_the_partner(a_member, register_partner, issuer):
    admin = a_member()
    booking = register_partner(name="SchoolBooking", accepted_mis=frozenset({"isams"}))
    admin.page.goto(booking.link(issuer, scope="openid school students"))
    admin.sign_in()
    admin.press("Back to SchoolBooking")

    admin.expect_heading("GET")
    assert booking.received["error"] == "access_denied"


def test_another_account_can_be_used_from_the_authorisation_page(a_member, register_partner, issuer):
    admin, colleague = a_member(), a_member()
    timetabler = register_partner()
    admin.page.goto(timetabler.link(issuer, scope="openid school students"))
    admin.sign_in()
    admin.page.get_by_role("link", name="Use another account").click()
    admin.expect_heading("Sign in")
    admin.sign_in(colleague.estab_id, colleague.password)

    admin.expect_heading("Authorise sharing with Timetabler")
    admin.expect_text(colleague.school.name)


def test_a_person_confirms_signing_out_at_a_partners_request(a_member, register_partner, issuer, check_page):
    admin = a_member()
    timetabler = register_partner()
    admin.open("/sign-in")
    admin.sign_in()
    admin.expect_heading(admin.school.name)
    admin.open(f"/oauth/logout?client_id={timetabler.client_id}")
    admin.expect_heading("Sign out?")
    admin.expect_text("Timetabler asks us to sign you out.")
    check_page(admin.page, "logout")
    admin.page.locator("#stay").click()
    admin.expect_heading(admin.school.name)

    admin.open("/oauth/logout?id_token_hint=not.a.token")
    admin.expect_heading("We could not sign you out the usual way")
    check_page(admin.page, "logout-wrong")
    admin.page.locator("#confirm-logout").click()
    admin.expect_heading("You are signed out")
    expect(admin.page.locator("#signed-out")).to_be_visible()
