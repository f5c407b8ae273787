"""Each quick start, taken from its page and run as it stands: sign-in, refresh and logout."""

import pytest

from idp.developers import quick_starts
from tests.interoperability import quick_start_sites as sites

RUN = [one.id for one in quick_starts.catalogue().values() if not one.not_run]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder for each language, in which its packages are installed once."""
    folders = {}

    def folder_for(quick_start):
        language = quick_start.language
        if language not in folders:
            folders[language] = tmp_path_factory.mktemp(language)
            sites.PREPARATIONS[language](folders[language])
        if language == "Go":
            return folders[language]
        folder = folders[language] / quick_start.id
        folder.mkdir()
        return folder

    return folder_for


@pytest.mark.parametrize("quick_start_id", RUN)
def test_sign_in_refresh_and_logout(scene, browser, prepared, quick_start_id):
    quick_start = quick_starts.find(quick_start_id)
    with sites.running(scene, quick_start_id, prepared(quick_start)) as site:
        browser.opens(f"{site.address}/")
        assert browser.shown.text.startswith("Not signed in.")

        begins(browser, site)
        browser.arrives()
        assert browser.shown.text.startswith(f"Signed in as {scene.name}")

        if "/refresh" in site.text:
            browser.opens(f"{site.address}/refresh")
            assert browser.shown.text == "A new access token"

        browser.opens(f"{site.address}{quick_start.sign_out}")
        presses_its_form(browser, site)
        browser.opens(f"{site.address}/")
        assert browser.shown.text.startswith("Not signed in.")
        begins(browser, site)
        assert browser.shown.has("sign-in") is not quick_start.stays_signed_in


def begins(browser, site):
    """Go where a sign-in begins, and press the button there if the site asks first."""
    browser.opens(f"{site.address}{site.quick_start.start}")
    presses_its_form(browser, site)


def presses_its_form(browser, site):
    page = browser.shown
    form = page.soup.find("form", method=lambda method: method and method.lower() == "post")
    if page.url.startswith(f"{site.address}/") and form is not None:
        browser.sends(form, form.find("button") or form.find("input", type="submit"))
