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


def sign_in_refresh_and_logout(scene, browser, prepared, quick_start_id, monkeypatch):
    """A person refuses, signs in, and signs out; tokens are renewed in between, where the quick start does that."""
    quick_start = quick_starts.find(quick_start_id)
    folder = prepared(quick_start)
    with sites.running(scene, quick_start_id, folder) as site:
        browser.open(f"{site.address}/")
        assert browser.page.text.startswith("Not signed in.")
        if quick_start.has_key:
            check_published_keys(scene, site, folder)

        begin_sign_in(browser, site)
        if browser.page.has("sign-in"):
            browser.sign_in()
        browser.press("deny")
        press_form_post_response(browser)
        assert REFUSED in browser.page.text, "the page shows why it was refused"

        begin_sign_in(browser, site)
        browser.visit_page()
        assert browser.page.text.startswith(f"Signed in as {scene.name}")

        if "/refresh" in site.text:
            browser.open(f"{site.address}/refresh")
            assert browser.page.text == "A new access token"

        if quick_start_id in {"openid-client", "openid-client-fapi2"}:
            browser.open(f"{site.address}/callback?code=x&state=y&iss={scene.issuer}")
            assert 'unexpected "state"' in browser.page.text, "the page shows why its own check failed"

        if quick_start.registration.get("profile") == "fapi2":
            demand_nonces(scene, monkeypatch)
            browser.open(f"{site.address}/")
            assert browser.page.text == f"Signed in as {scene.name}"
            browser.open(f"{site.address}/refresh")
            assert browser.page.text == "A new access token"

        browser.open(f"{site.address}{quick_start.sign_out}")
        press_form_of_site(browser, site)
        browser.open(f"{site.address}/")
        assert browser.page.text.startswith("Not signed in.")
        begin_sign_in(browser, site)
        assert browser.page.has("sign-in") is not quick_start.stays_signed_in


def check_published_keys(scene, site, folder):
    """The site publishes its public key, and not its private key."""
    published = requests.get(f"{site.address}/jwks.json", timeout=20).json()
    with transactions.transaction(scene.app):
        assert published == registry.find(site.client_id).jwks
    private = json.loads((folder / "private-key.json").read_text("utf-8"))
    assert private["d"] not in json.dumps(published)
    assert (folder / "private-key.json").stat().st_mode & 0o077 == 0


def demand_nonces(scene, monkeypatch):
    """From now on a DPoP proof without our nonce is refused (RFC 9449 section 8)."""
    built = runtime.for_app(scene.app)
    tokens = built.settings.tokens.model_copy(update={"dpop_nonces": True})
    settings = built.settings.model_copy(update={"tokens": tokens})
    monkeypatch.setitem(scene.app.extensions, runtime.EXTENSION_NAME, replace(built, settings=settings))
    assert "DPoP-Nonce" in requests.get(f"{scene.issuer}/oauth/userinfo", timeout=20).headers


def begin_sign_in(browser, site):
    """Open the page at which a sign-in begins, and press its button if there is one."""
    browser.open(f"{site.address}{site.quick_start.start}")
    press_form_of_site(browser, site)


def press_form_of_site(browser, site):
    page = browser.page
    form = page.soup.find("form", method=lambda method: method and method.lower() == "post")
    if page.url.startswith(f"{site.address}/") and form is not None:
        browser.submit(form, form.find("button") or form.find("input", type="submit"))


def press_form_post_response(browser):
    """Press the button of the form by which a response is posted to the site."""
    if browser.page.has("response"):
        browser.press("continue")
