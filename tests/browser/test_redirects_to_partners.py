"""Leaving for a partner whose URL redirects on, to other hosts or to an app's own scheme (security.md S50).

Chromium checks a page's `form-action` against every redirect after a submission, so each page of ours whose form can
lead to a partner is left by its button here. The partner's hosts are served over HTTP: a redirect that the test's own
browser makes up would not be checked against the policy.
"""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask, redirect, request
from playwright.sync_api import expect

from idp.estabs import people
from idp.foundation import clock, runtime
from idp.keys import ring
from tests.factories import a_client, a_partner
from tests.ports import free_port
from tests.serving import serving

APP = "com.example.timetabler"
POPUP_HTML = """<!doctype html><title>Timetabler</title><link rel="icon" href="data:,"><h1>Timetabler</h1>
<button onclick="window.open(document.body.dataset.to)">Sign in</button>
<script>document.body.dataset.to = {to!r};
addEventListener("message", event => document.querySelector("h1").textContent = "Signed in: " + event.data)</script>"""
REPORT_HTML = """<!doctype html><title>Timetabler</title><link rel="icon" href="data:,"><h1>Reporting</h1>
<script>opener.postMessage(location.search.includes("code=") ? "yes" : "no", "*")</script>"""


class Service:
    """A partner on three hosts: its callback leads to the second, which leads to the third, or to an app."""

    def __init__(self) -> None:
        self.ports = [free_port() for _ in range(3)]
        self.hosts = [f"http://localhost:{port}" for port in self.ports]
        self.client_id, self.popup_url = "", ""
        self.received: dict[str, str] = {}
        self.app = Flask("service")
        self.app.add_url_rule("/<page>", view_func=self.respond, methods=["GET", "POST"])

    def respond(self, page):
        _, second, third = self.hosts
        if page in {"callback", "to-app", "signed-out"}:
            self.received = request.values.to_dict()
        match page:
            case "callback" | "signed-out":
                return redirect(f"{second}/second", 303)
            case "second":
                return redirect(f"{third}/end", 303)
            case "to-app":
                return redirect(f"{APP}:/opened", 303)
            case "popup":
                return POPUP_HTML.format(to=self.popup_url)
            case "report":
                return REPORT_HTML
        return '<!doctype html><title>Timetabler</title><link rel="icon" href="data:,"><h1>The last page</h1>'

    def link(self, issuer, **overrides):
        """The URL of an authorization request."""
        parameters = {
            "client_id": self.client_id, "response_type": "code", "scope": "openid school students", "state": "s",
            "redirect_uri": f"{self.hosts[0]}/callback", "code_challenge": "E" * 43, "code_challenge_method": "S256",
        }  # fmt: skip
        return f"{issuer}/oauth/authorize?{urlencode(parameters | overrides)}"


@pytest.fixture(scope="module")
def service(transaction):
    service = Service()
    first = service.hosts[0]
    with transaction():
        service.client_id = a_client(
            a_partner(), client_name="Timetabler", token_endpoint_auth_method="none", accepted_mis=frozenset(),
            redirect_uris=[f"{first}/callback", f"{first}/to-app", f"{first}/report", f"{APP}:/callback"],
            post_logout_redirect_uris=[f"{first}/signed-out"],
        ).id  # fmt: skip
    site, second_site, third_site = (serving(service.app, port) for port in service.ports)
    with site, second_site, third_site:
        yield service


def assert_at_third_host(admin, service):
    """The browser was redirected to the third host."""
    admin.expect_heading("The last page")
    assert admin.page.url == f"{service.hosts[2]}/end"


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("scripts", [True, False])
def test_signing_in_and_authorising_leads_to_the_partner(a_member, new_window, service, issuer, mode, scripts):
    admin = a_member(page=new_window(java_script_enabled=scripts))

    def act_and_check(act):
        act()
        if mode == "form_post" and not scripts:
            admin.press("Continue to Timetabler")
        assert_at_third_host(admin, service)
        assert service.received["state"] == "s"

    admin.page.goto(service.link(issuer, response_mode=mode))
    admin.sign_in()
    admin.expect_heading("Authorise sharing with Timetabler")
    act_and_check(admin.authorise)
    assert "code" in service.received

    # The school has already agreed, so the form redirects at once.
    admin.page.goto(service.link(issuer, response_mode=mode, prompt="login"))
    act_and_check(admin.sign_in)
    assert "code" in service.received


def test_confirming_that_an_app_was_opened_leads_to_the_partner(a_member, service, issuer):
    admin = a_member()
    admin.page.goto(service.link(issuer))
    admin.sign_in()
    admin.authorise()
    assert_at_third_host(admin, service)
    for button, parameter in (("Continue to Timetabler", "code"), ("Do not continue", "error")):
        admin.page.goto(service.link(issuer))
        admin.expect_heading("Sign in to Timetabler?")
        admin.press(button)
        assert_at_third_host(admin, service)
        assert parameter in service.received


def test_cancel_on_the_sign_in_page_leads_to_the_partner(an_admin, service, issuer):
    admin = an_admin()
    admin.page.goto(service.link(issuer))
    admin.page.locator("#cancel").click()
    assert_at_third_host(admin, service)
    assert service.received["error"] == "access_denied"


def test_refusing_leads_to_the_partner(a_member, service, issuer):
    admin = a_member()
    admin.page.goto(service.link(issuer))
    admin.sign_in()
    admin.page.locator("#deny").click()
    assert_at_third_host(admin, service)
    assert service.received["error"] == "access_denied"


def test_a_viewer_who_cannot_authorise_returns_to_the_partner(a_member, service, issuer):
    owner = a_member()
    admin = a_member(school=owner.school, role="viewer")
    admin.page.goto(service.link(issuer))
    admin.sign_in(admin.email)
    admin.press("Back to Timetabler")
    assert_at_third_host(admin, service)


def test_a_sign_in_after_a_wrong_password_leads_to_the_partner(a_member, service, issuer):
    admin = a_member()
    admin.page.goto(service.link(issuer))
    admin.sign_in(password="not the password")
    admin.page.locator("#cancel").click()
    assert_at_third_host(admin, service)


def test_signing_out_leads_to_the_partner(a_member, service, issuer, transaction, provider):
    admin = a_member()
    admin.page.goto(service.link(issuer))
    admin.sign_in()
    admin.authorise()
    assert_at_third_host(admin, service)
    hint = an_id_token(provider.app, transaction, service.client_id, admin)
    signed_out_url = f"{service.hosts[0]}/signed-out"
    admin.open(
        "/oauth/logout?"
        + urlencode({"id_token_hint": hint, "post_logout_redirect_uri": signed_out_url, "state": "out"})
    )
    admin.page.locator("#confirm-logout").click()
    assert_at_third_host(admin, service)
    assert service.received == {"state": "out"}


def an_id_token(app, transaction, client_id, admin):
    """An ID token of another session than this browser's, so that the person has to confirm."""
    with transaction():
        person = people.by_name(admin.estab_id)
        now = int(clock.now().timestamp())
        claims = {
            "iss": runtime.for_app(app).settings.server.issuer, "aud": client_id, "sub": person.id, "sid": "another",
            "auth_time": now, "iat": now, "exp": now + 300,
        }  # fmt: skip
        return ring.sign(claims, alg="RS256", typ="JWT")


@pytest.mark.parametrize("uri", ["{first}/to-app", f"{APP}:/callback"])
def test_the_authorization_response_reaches_an_app_with_a_uri_scheme_of_its_own(a_member, service, issuer, uri):
    """No app is installed here, so the page stays, but the browser has tried to open it."""
    admin, opened = a_member(), []
    admin.page.on("request", lambda request: opened.append(request.url) if request.url.startswith(APP) else None)
    admin.page.goto(service.link(issuer, redirect_uri=uri.format(first=service.hosts[0])))
    admin.sign_in()
    with admin.page.expect_event("requestfailed", lambda request: request.url.startswith(APP)):
        admin.authorise()
    parameters = (
        service.received
        if "first" in uri
        else {name: values[0] for name, values in parse_qs(urlsplit(opened[-1]).query).items()}
    )
    assert "code" in parameters


def test_the_authorization_response_reaches_a_partner_that_opened_a_window(a_member, service, issuer):
    """`window.opener` survives every page of ours on the way (Cross-Origin-Opener-Policy)."""
    admin = a_member()
    service.popup_url = service.link(issuer, redirect_uri=f"{service.hosts[0]}/report")
    opener_page = admin.page
    opener_page.goto(f"{service.hosts[0]}/popup")
    with opener_page.expect_popup() as popup:
        admin.press("Sign in")
    admin = admin.at(popup.value)
    admin.sign_in()
    admin.authorise()
    expect(opener_page.get_by_role("heading", level=1)).to_have_text("Signed in: yes")
