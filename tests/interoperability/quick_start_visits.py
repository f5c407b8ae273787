"""A person at a quick start that runs: refusal, sign-in, refresh and logout."""

import json
from dataclasses import replace

import requests

from idp.developers import quick_starts
from idp.foundation import runtime
from idp.foundation.web import transactions
from idp.partners import registry
from tests.interoperability import quick_start_sites as sites

REFUSED = "the person chose not to continue"


def sign_in_refresh_and_logout(provider, browser, prepare_folder, quick_start_id, monkeypatch):
    """A person refuses, signs in, and signs out; tokens are renewed in between, where the quick start can do that."""
    quick_start = quick_starts.find(quick_start_id)
    folder = prepare_folder(quick_start)
    with sites.running(provider, quick_start_id, folder) as site:
        browser.open(f"{site.url}/")
        assert browser.page.text.startswith("Not signed in.")
        if quick_start.has_key:
            check_published_keys(provider, site, folder)

        begin_sign_in(browser, site)
        if browser.page.has("sign-in"):
            browser.sign_in()
        browser.press("deny")
        press_form_post_response(browser)
        assert REFUSED in browser.page.text, "the page shows why it was refused"

        begin_sign_in(browser, site)
        browser.visit_page()
        assert browser.page.text.startswith(f"Signed in as {provider.name}")

        if "/refresh" in site.text:
            browser.open(f"{site.url}/refresh")
            assert browser.page.text == "A new access token"

        if quick_start_id in {"openid-client", "openid-client-fapi2"}:
            browser.open(f"{site.url}/callback?code=x&state=y&iss={provider.issuer}")
            assert 'unexpected "state"' in browser.page.text, "the page shows why its own check failed"

        if quick_start.registration.get("profile") == "fapi2":
            require_nonces(provider, monkeypatch)
            browser.open(f"{site.url}/")
            assert browser.page.text == f"Signed in as {provider.name}"
            browser.open(f"{site.url}/refresh")
            assert browser.page.text == "A new access token"

        browser.open(f"{site.url}{quick_start.sign_out}")
        press_form_of_site(browser, site)
        browser.open(f"{site.url}/")
        assert browser.page.text.startswith("Not signed in.")
        begin_sign_in(browser, site)
        assert browser.page.has("sign-in") is not quick_start.stays_signed_in


def check_published_keys(provider, site, folder):
    """The site publishes its public key, and not its private key."""
    published = requests.get(f"{site.url}/jwks.json", timeout=20).json()
    with transactions.transaction(provider.app):
        assert published == registry.find(site.client_id).jwks
    private = json.loads((folder / "private-key.json").read_text("utf-8"))
    assert private["d"] not in json.dumps(published)
    assert (folder / "private-key.json").stat().st_mode & 0o077 == 0


def require_nonces(provider, monkeypatch):
    """Make the provider refuse each DPoP proof that has no nonce of ours (RFC 9449 section 8)."""
    current = runtime.for_app(provider.app)
    tokens = current.settings.tokens.model_copy(update={"dpop_nonces": True})
    settings = current.settings.model_copy(update={"tokens": tokens})
    monkeypatch.setitem(provider.app.extensions, runtime.EXTENSION_NAME, replace(current, settings=settings))
    assert "DPoP-Nonce" in requests.get(f"{provider.issuer}/oauth/userinfo", timeout=20).headers


def begin_sign_in(browser, site):
    """Open the page at which a sign-in begins, and press its button if there is one."""
    browser.open(f"{site.url}{site.quick_start.start}")
    press_form_of_site(browser, site)


def press_form_of_site(browser, site):
    """Press the button of the site's form that posts, if the page has one."""
    page = browser.page
    form = page.soup.find("form", method=lambda method: method and method.lower() == "post")
    if page.url.startswith(f"{site.url}/") and form is not None:
        browser.submit(form, form.find("button") or form.find("input", type="submit"))


def press_form_post_response(browser):
    """Press the button of the form by which a response is posted to the site."""
    if browser.page.has("response"):
        browser.press("continue")
