"""What an automated browser needs (protocol.md §3.9): names of controls that do not change, and no JavaScript.

The conformance suite's browser, and others' tests of our pages, are configured with these names.
"""

import re
from urllib.parse import urljoin

import pytest

from idp.foundation.web import transactions
from tests import factories
from tests.conformance.browser import PartnerRequest
from tests.conformance.relying_party import RelyingParty
from tests.conformance.suite.prepare import Credentials

PLAN = "Promises to automated browsers"
MODULE = "{}"

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def documented(requirement):
    return pytest.mark.spec("protocol.md", "3.9", requirement=requirement)


@pytest.fixture
def data_client(a_fapi_client):
    """A client that asks for school data."""
    return a_fapi_client("conf-plain-1", scope="school")


@pytest.fixture
def device_client(served, provider):
    with transactions.transaction(served.app):
        client = factories.a_client(grant_types=frozenset({DEVICE}), redirect_uris=[])
        return RelyingParty(provider, Credentials(client.id, factories.secret_of(client.id), None), "")


def has_control(browser, name, *, button):
    """A control of this `id`, and of this `name` where it is a field."""
    control = browser.page.soup.find(id=name)
    assert control is not None, name
    assert control.name == ("button" if button else "input")
    assert button or control["name"] == name
    return True


def controls(browser, *, fields=(), buttons=()):
    return all(has_control(browser, name, button=False) for name in fields) and all(
        has_control(browser, name, button=True) for name in buttons
    )


@documented("Sign-in page: username, password; sign-in, cancel")
def test_the_sign_in_page(client, browser):
    browser.open(client.authorization_url())
    assert controls(browser, fields=("username", "password"), buttons=("sign-in", "cancel"))
    client.assert_refused(browser.press("cancel"), "access_denied")


@documented("Page that asks for data: authority; allow, deny")
def test_the_page_that_asks_for_data(data_client, browser):
    browser.open(data_client.authorization_url(prompt="login consent"))
    browser.sign_in()
    assert controls(browser, fields=("authority",), buttons=("allow", "deny"))
    assert browser.press("allow") is None, "the declaration is needed"
    data_client.assert_refused(browser.press("deny"), "access_denied")


@documented("Page that asks for identity alone: no authority; allow, deny")
def test_the_page_that_asks_who_you_are(client, browser):
    browser.open(client.authorization_url(prompt="login consent"))
    browser.sign_in()
    assert controls(browser, buttons=("allow", "deny"))
    assert not browser.page.has("authority")
    client.get_code(browser.press("allow"))


@documented("Sign-out page: confirm-logout, stay; then signed-out")
def test_the_sign_out_page(client, browser, provider):
    client.sign_in(browser)
    url = provider.metadata["end_session_endpoint"]
    browser.open(url)
    assert controls(browser, buttons=("confirm-logout", "stay"))
    browser.press("stay")
    client.get_code(browser.open(client.authorization_url(prompt="none")))
    browser.open(url)
    browser.press("confirm-logout")
    assert browser.page.has("signed-out")


@documented("Error pages: error-code, and the parameter's name in words")
def test_error_pages(client, browser, provider):
    gone = f"{client.id}&request_uri=urn:ietf:params:oauth:request_uri:gone"
    for url, parameter in (
        (client.authorization_url(redirect_uri="https://evil.example/"), "redirect_uri"),
        (client.authorization_url(client_id="unknown"), "client_id"),
        (f"{provider.metadata['authorization_endpoint']}?client_id={gone}", "request_uri"),
        (f"{provider.metadata['end_session_endpoint']}?id_token_hint=x", "id_token_hint"),
    ):
        assert browser.open(url) is None
        assert browser.page.soup.find(id="error-code").text
        assert parameter in browser.page.text
        assert "no-store" in browser.page.headers["Cache-Control"]


@documented("Form post page: form response, button continue, and one script with a nonce that submits it")
def test_the_form_post_page(client, browser):
    assert browser.open(client.authorization_url(prompt="none", response_mode="form_post")) is None
    page = browser.page
    assert page.soup.find("form", id="response")["method"] == "post"
    (script,) = [element for element in page.soup.find_all("script") if not element.get("src")]
    assert "submit()" in script.text
    assert f"'nonce-{script['nonce']}'" in page.headers["Content-Security-Policy"]
    assert isinstance(browser.press("continue"), PartnerRequest)


@documented("Device page: user_code; continue, then allow, deny")
def test_the_device_page(device_client, browser):
    authorization = device_client.post("device_authorization", {"scope": "openid"}).json()
    browser.open(authorization["verification_uri"])
    browser.sign_in()
    assert controls(browser, fields=("user_code",), buttons=("continue",))
    browser.press("continue", user_code=authorization["user_code"])
    assert controls(browser, buttons=("allow", "deny"))
    browser.allow()
    tokens = device_client.post("token", {"grant_type": DEVICE, "device_code": authorization["device_code"]})
    assert tokens.status_code == 200, tokens.text


@documented("An authorization request needs no CSRF token; the form of every decision does")
def test_decisions_need_our_own_form(data_client, client, browser, provider):
    link = data_client.authorization_url(prompt="login consent")
    browser.open(link)
    send_form_without_token(browser, username=browser.username, password=browser.password)
    browser.open(link)
    assert browser.page.has("sign-in"), "not signed in yet"
    browser.sign_in()
    send_form_without_token(browser, deny="yes")
    assert browser.open(link) is None
    assert browser.page.has("allow"), "not refused yet"
    browser.open(provider.metadata["end_session_endpoint"])
    send_form_without_token(browser, confirm="yes")
    client.get_code(browser.open(client.authorization_url(prompt="none")))  # the person is still signed in


def send_form_without_token(browser, **fields):
    """Send the form of the page without its CSRF token, as another site would."""
    form = browser.page.soup.find("input", attrs={"name": "csrf_token"}).find_parent("form")
    target = urljoin(browser.page.url, form.get("action") or browser.page.url)
    browser.session.post(target, data=fields, allow_redirects=False, timeout=20)


@documented("No page needs JavaScript: scripts are files of ours, and no control depends on them")
def test_no_page_needs_javascript(client, browser, provider):
    browser.open(client.authorization_url(prompt="login consent"))
    pages = [browser.page]
    browser.sign_in()
    pages.append(browser.page)
    client.get_code(browser.press("allow"))
    browser.open(provider.metadata["end_session_endpoint"])
    pages.append(browser.page)
    for page in pages:
        assert page.soup.find("form")
        assert not page.soup.find_all("button", disabled=True)
        assert not page.soup.find_all("script", src=False)
        for script in page.soup.find_all("script"):
            assert re.match(r"/static/", script["src"])
        hidden = page.soup.find_all(attrs={"hidden": True}, name="form")
        assert all("/passkey" in form["action"] for form in hidden)  # which need the browser's WebAuthn
