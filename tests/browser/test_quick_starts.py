"""The pages of quick starts, and the quick start that runs in the browser, taken from its page."""

from playwright.sync_api import expect

from idp.developers import quick_starts
from tests.interoperability import quick_start_sites as sites
from tests.interoperability.conftest import RunningProvider


def test_a_developer_chooses_software_and_fills_in_a_client_id(new_window, issuer, check_page):
    page = new_window("desktop")
    page.goto(f"{issuer}/developers")
    check_page(page, "developers")
    page.get_by_role("link", name="Quick starts").click()
    check_page(page, "quick-starts")
    page.get_by_role("link", name="openid-client", exact=True).click()
    page.get_by_label("Client id").fill("assembly")
    page.get_by_label("URL of your application").fill("https://assembly.example")
    page.get_by_role("button", name="Fill in").click()
    assert "'assembly'" in page.locator("#file-1").inner_text()
    check_page(page, "quick-start")
    page.get_by_label("URL of your application").fill("https://assembly.example/callback")
    page.get_by_role("button", name="Fill in").click()
    assert "must end after the host" in page.locator(".error-summary").inner_text()
    check_page(page, "quick-start-refused")
    page.goto(f"{issuer}/developers/quick-starts/authlib-key")
    check_page(page, "quick-start-with-a-key")
    page.goto(f"{issuer}/developers/quick-starts/openid-client-fapi2")
    check_page(page, "quick-start-fapi2")


def test_the_partner_guide_is_accessible_on_a_computer_and_on_a_phone(new_window, issuer, check_page):
    page = new_window("phone")
    page.goto(f"{issuer}/developers/guide")
    check_page(page, "partner-guide")


def test_an_application_in_the_browser_alone_signs_in_and_out(provider, a_member, tmp_path):
    person = a_member()
    running = RunningProvider(provider.app, provider.issuer, None, "", person.estab_id, person.name)
    sites.prepare(quick_starts.find("oidc-client-ts"), tmp_path)
    (tmp_path / "site").mkdir()
    with sites.running(running, "oidc-client-ts", tmp_path / "site") as site:
        page = person.page
        page.goto(f"{site.url}/")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Estab ID or e-mail address").fill(running.username)
        page.get_by_label("Password", exact=True).fill(person.password)
        page.locator("#sign-in").click()
        page.locator("#deny").click()
        expect(page.get_by_text("Refused: access_denied, the person chose not to continue")).to_be_visible()
        page.get_by_role("button", name="Sign in").click()
        page.locator("#allow").click()
        expect(page.get_by_text(f"Signed in as {running.name}")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("Not signed in.")).to_be_visible()
