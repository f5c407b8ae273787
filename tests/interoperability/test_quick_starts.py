"""Each quick start, taken from its page and run as it stands: sign-in, refresh and logout."""

from pathlib import Path

import pytest

from idp.developers import quick_starts
from tests.interoperability import quick_start_sites as sites, quick_start_visits as visits

WEBSITES = [
    quick_start.id
    for quick_start in quick_starts.catalogue().values()
    if quick_start.language != "Proxies"
    and quick_start.environment
    and quick_start.start
    and quick_start.id not in sites.BUILT
]
"""Also those of which the pages say that our tests do not run them; skipped where a program is missing."""


@pytest.mark.parametrize("quick_start_id", WEBSITES)
def test_sign_in_refresh_and_logout(scene, browser, prepared, quick_start_id, monkeypatch):
    visits.sign_in_refresh_and_logout(scene, browser, prepared, quick_start_id, monkeypatch)


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
        visits.begin_sign_in(browser, site)
        browser.sign_in()
        refused_at = browser.press("deny")
        assert refused_at is None
        visits.press_form_post_response(browser)
        assert "access_denied" in browser.page.text, "an error with iss is shown, and leads nowhere again"

        visits.begin_sign_in(browser, site)
        browser.visit_page()
        assert browser.page.text == "Behind Apache"
