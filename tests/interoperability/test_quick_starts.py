"""Each quick start, taken from its page and run unchanged: sign-in, refresh and logout."""

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
    and quick_start.id not in sites.SLOW_TO_COMPILE
]
"""All quick starts that are websites, also those that their pages describe as not run by our tests: they are skipped
where a program is missing.
"""


@pytest.mark.parametrize("quick_start_id", WEBSITES)
def test_a_quick_start_signs_in_refreshes_and_logs_out(provider, browser, prepare_folder, quick_start_id, monkeypatch):
    visits.sign_in_refresh_and_logout(provider, browser, prepare_folder, quick_start_id, monkeypatch)


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
APACHE_MODULES = Path("/usr/lib/apache2/modules")


@pytest.mark.skipif(not (APACHE_MODULES / "mod_auth_openidc.so").exists(), reason="left out: no mod_auth_openidc")
def test_apache_signs_people_in_and_shows_a_refusal(provider, browser, tmp_path):
    quick_start = quick_starts.find("mod-auth-openidc")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("<main id=main>Behind Apache</main>", "utf-8")

    def command(port):
        conf = APACHE.format(host="127.0.0.1", port=port, folder=tmp_path, modules=APACHE_MODULES, trust=provider.trust)
        (tmp_path / "apache.conf").write_text(conf, "utf-8")
        return f"apache2 -X -f {tmp_path}/apache.conf"

    with sites.running(provider, quick_start.id, tmp_path, command=command) as site:
        visits.begin_sign_in(browser, site)
        browser.sign_in()
        assert browser.press("deny") is None, "no redirect to the site, but a page of ours whose form posts to it"
        visits.press_form_post_response(browser)
        assert "access_denied" in browser.page.text, (
            "the error, which comes with iss, is shown, and does not start another sign-in"
        )

        visits.begin_sign_in(browser, site)
        browser.visit_page()
        assert browser.page.text == "Behind Apache"
