"""Each quick start, taken from its page and run as it stands: sign-in, refresh and logout."""

import json
import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session

from idp.developers import quick_starts
from idp.foundation import runtime
from idp.foundation.web.transactions import transaction
from idp.partners import registry
from tests.interoperability import quick_start_sites as sites

ORIGIN = "https://calls-an-api.example"
CALLBACK = f"{ORIGIN}/callback"
SLOW_AS_WELL = os.environ.get("QUICK_STARTS") == "all"
RUN = [one for one in quick_starts.catalogue().values() if SLOW_AS_WELL or not one.is_slow]
"""Quick starts whose pages say that our tests do not run them; skipped where a program is missing."""
REFUSED = "the person chose not to go on"
WEBSITES = [one.id for one in RUN if one.language != "Proxies" and one.environment and one.start]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder for each language, in which its packages are installed once."""
    folders = {}

    def folder_for(quick_start):
        language = quick_start.language
        if language not in folders:
            folders[language] = tmp_path_factory.mktemp(language)
            sites.prepare(quick_start, folders[language])
        if language == "Go":
            return folders[language]
        folder = folders[language] / quick_start.id
        folder.mkdir()
        return folder

    return folder_for


@pytest.mark.parametrize("quick_start_id", WEBSITES)
def test_sign_in_refresh_and_logout(scene, browser, prepared, quick_start_id, monkeypatch):
    quick_start = quick_starts.find(quick_start_id)
    folder = prepared(quick_start)
    with sites.running(scene, quick_start_id, folder) as site:
        browser.opens(f"{site.address}/")
        assert browser.shown.text.startswith("Not signed in.")
        if quick_start.has_key:
            publishes_what_is_registered(scene, site, folder)

        begins(browser, site)
        if browser.shown.has("sign-in"):
            browser.signs_in()
        browser.presses("deny")
        presses_what_comes_back(browser)
        assert REFUSED in browser.shown.text, "why it was refused is to be read"

        begins(browser, site)
        browser.arrives()
        assert browser.shown.text.startswith(f"Signed in as {scene.name}")

        if "/refresh" in site.text:
            browser.opens(f"{site.address}/refresh")
            assert browser.shown.text == "A new access token"

        if quick_start_id in {"openid-client", "openid-client-fapi2"}:
            browser.opens(f"{site.address}/callback?code=x&state=y&iss={scene.issuer}")
            assert 'unexpected "state"' in browser.shown.text, "why its own check failed is to be read"

        if quick_start.registration.get("profile") == "fapi2":
            demand_nonces(scene, monkeypatch)
            browser.opens(f"{site.address}/")
            assert browser.shown.text == f"Signed in as {scene.name}"
            browser.opens(f"{site.address}/refresh")
            assert browser.shown.text == "A new access token"

        browser.opens(f"{site.address}{quick_start.sign_out}")
        presses_its_form(browser, site)
        browser.opens(f"{site.address}/")
        assert browser.shown.text.startswith("Not signed in.")
        begins(browser, site)
        assert browser.shown.has("sign-in") is not quick_start.stays_signed_in


@pytest.mark.skipif(not SLOW_AS_WELL, reason="takes minutes to build: QUICK_STARTS=all")
def test_a_proxy_lets_a_person_through(scene, browser, prepared):
    quick_start = quick_starts.find("oauth2-proxy")
    with sites.running(scene, quick_start.id, prepared(quick_start)) as site:
        browser.opens(f"{site.address}/")
        assert browser.shown.status == 403
        begins(browser, site)
        browser.signs_in()
        browser.presses("deny")
        assert "access_denied" in browser.shown.text
        begins(browser, site)
        browser.arrives()
        assert browser.shown.status == 502, "it has let the person through, and nothing is behind it"
        browser.opens(f"{site.address}{quick_start.sign_out}")
        browser.opens(f"{site.address}/")
        assert browser.shown.status == 403


def publishes_what_is_registered(scene, site, folder):
    """The site publishes its public key, and not its private key."""
    published = requests.get(f"{site.address}/jwks.json", timeout=20).json()
    with transaction(scene.app):
        assert published == registry.find(site.client_id).jwks
    private = json.loads((folder / "private-key.json").read_text("utf-8"))
    assert private["d"] not in json.dumps(published)
    assert (folder / "private-key.json").stat().st_mode & 0o077 == 0


def demand_nonces(scene, monkeypatch):
    """From now on a DPoP proof without our nonce is refused (RFC 9449 section 8)."""
    built = runtime.for_app(scene.app)
    tokens = built.settings.tokens.model_copy(update={"dpop_nonces": True})
    settings = built.settings.model_copy(update={"tokens": tokens})
    monkeypatch.setitem(scene.app.extensions, runtime.NAME, replace(built, settings=settings))
    assert "DPoP-Nonce" in requests.get(f"{scene.issuer}/oauth/userinfo", timeout=20).headers


def begins(browser, site):
    """Open the page at which a sign-in begins, and press its button if there is one."""
    browser.opens(f"{site.address}{site.quick_start.start}")
    presses_its_form(browser, site)


def presses_its_form(browser, site):
    page = browser.shown
    form = page.soup.find("form", method=lambda method: method and method.lower() == "post")
    if page.url.startswith(f"{site.address}/") and form is not None:
        browser.sends(form, form.find("button") or form.find("input", type="submit"))


@pytest.mark.skipif(not SLOW_AS_WELL, reason="takes minutes to build: QUICK_STARTS=all")
def test_a_resource_server_takes_a_token_for_itself_alone(scene, visitor, prepared):
    quick_start = quick_starts.find("spring-resource-server")
    caller = scene.register(CALLBACK, also=frozenset({"school"}))
    with sites.running(scene, quick_start.id, prepared(quick_start)) as site:
        client = OAuth2Session(
            caller.client_id, caller.secret, scope="openid school", redirect_uri=CALLBACK, code_challenge_method="S256"
        )
        api, about = {"resource": f"{site.address}/"}, caller.metadata
        to, _ = client.create_authorization_url(about["authorization_endpoint"], code_verifier="v" * 48, **api)
        callback = visitor(ORIGIN).goes_to(to)
        response = f"{callback.address}?{urlencode(callback.query)}"
        tokens = client.fetch_token(
            about["token_endpoint"], code_verifier="v" * 48, authorization_response=response, **api
        )
        assert call(site, tokens["access_token"]).text == f"Called by {caller.client_id}"
        assert call(site, tokens["id_token"]).status_code == 401
        assert call(site, "nothing").status_code == 401


def call(site, token):
    return requests.get(f"{site.address}/", headers={"Authorization": f"Bearer {token}"}, timeout=20)


APACHE = """
ServerName 127.0.0.1
Listen {host}:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule env_module {modules}/mod_env.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so
TypesConfig /etc/mime.types
DocumentRoot {folder}/pages
OIDCSSLValidateServer On
OIDCCABundlePath {trust}
Include {folder}/idaas.conf
"""
MODULES = Path("/usr/lib/apache2/modules")


@pytest.mark.skipif(not (MODULES / "mod_auth_openidc.so").exists(), reason="left out: no mod_auth_openidc")
def test_apache_signs_people_in_and_shows_an_error_once(scene, browser, tmp_path):
    quick_start = quick_starts.find("mod-auth-openidc")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("<main id=main>Behind Apache</main>", "utf-8")

    def command(port):
        conf = APACHE.format(host="127.0.0.1", port=port, folder=tmp_path, modules=MODULES, trust=scene.trust)
        (tmp_path / "apache.conf").write_text(conf, "utf-8")
        return f"apache2 -X -f {tmp_path}/apache.conf"

    with sites.running(scene, quick_start.id, tmp_path, command=command) as site:
        begins(browser, site)
        browser.signs_in()
        refused_at = browser.presses("deny")
        assert refused_at is None
        presses_what_comes_back(browser)
        assert "access_denied" in browser.shown.text, "an error with iss is shown, and leads nowhere again"

        begins(browser, site)
        browser.arrives()
        assert browser.shown.text == "Behind Apache"


def presses_what_comes_back(browser):
    """Press the button of the form by which a response is posted to the site."""
    if browser.shown.has("response"):
        browser.presses("continue")
