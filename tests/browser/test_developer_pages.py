"""The pages of a partner's people, in a real browser."""

import pyotp

from idp.foundation import clock, runtime
from idp.partners import failure_log, registry
from idp.signin import developers
from idp.signin.code_accounts import DEVELOPERS
from tests import factories
from tests.browser.code_accounts import sign_in
from tests.code_accounts import PASSWORD, a_developer, an_operator

EMAIL = "sam@groupcall.example"
REQUEST_FIELDS = {
    "Name of the application": "Assembly Connector", "What it uses the data for": "Showing who is absent today.",
    "Page about the application": "https://assembly.example", "Privacy notice": "https://assembly.example/privacy",
    "Data sharing agreement": "https://assembly.example/agreement", "Version of the agreement": "2026-11",
    "Contact e-mail": "help@assembly.example", "Redirect URIs": "https://assembly.example/callback",
}  # fmt: skip
BELLRINGER_EMAIL = "sam@bellringer.example"
REDIRECT_URI_DIFFERENCE = {
    "sent": "https://assembly.example/callback/", "registered": "https://assembly.example/callback",
    "differs_in": ["path"],
}  # fmt: skip


def add_owner_with_application():
    """Add a partner with an application and an owner; returns the seed of the owner's authenticator app."""
    factories.a_client(factories.a_partner(name="Groupcall"), id="groupcall-app", client_name="Assembly")
    failure = failure_log.Failure(
        "GET /oauth/authorize", "invalid_request", "redirect_uri", "is not registered", (REDIRECT_URI_DIFFERENCE,)
    )
    failure_log.record("groupcall-app", failure)
    company, seed = registry.partner("Groupcall"), pyotp.random_base32(32)
    developers.invite(company, "Bo Ray", "bo@groupcall.example", is_owner=False, by="cli")
    owner = developers.invite(company, "Sam Lee", EMAIL, is_owner=True, by="cli")
    owner.password_hash, owner.set_up_at = runtime.passwords().hash(PASSWORD), clock.now()
    owner.totp_sealed = runtime.sealer().seal(seed.encode(), context=DEVELOPERS._seed_context(owner.id))
    return seed


def test_a_developer_reads_the_log_and_makes_a_new_secret(new_window, issuer, transaction, check_page):
    with transaction():
        seed = add_owner_with_application()
    page = new_window("desktop")
    page.goto(f"{issuer}/developers/applications")
    check_page(page, "developer-sign-in")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Code").fill(pyotp.TOTP(seed).at(clock.timestamp()))
    page.locator("#sign-in").click()
    page.get_by_role("link", name="Assembly").wait_for()
    check_page(page, "developer-applications")
    page.get_by_role("link", name="Assembly").click()
    check_page(page, "developer-application")
    page.goto(f"{issuer}/developers/failed-requests?client_id=groupcall-app")
    page.get_by_text("differs in path").wait_for()
    check_page(page, "developer-failed-requests")
    page.goto(f"{issuer}/developers/applications/groupcall-app")
    page.locator("#change-addresses").click()
    check_page(page, "developer-addresses")
    page.get_by_role("link", name="People").first.click()
    page.locator("#invite").wait_for()
    check_page(page, "developer-people")
    page.goto(f"{issuer}/developers/applications/groupcall-app")
    page.locator("#new-secret").click()
    page.locator("#client-secret").wait_for()
    check_page(page, "developer-secret")


def test_an_application_is_made_tried_and_goes_live(new_window, issuer, transaction, check_page):
    with transaction():
        company = factories.a_partner(name="Bellringer")
        _, seed = a_developer(company, BELLRINGER_EMAIL)
        _, operators_seed = an_operator()
    page = new_window("desktop")
    sign_in(page, f"{issuer}/developers/sandbox", BELLRINGER_EMAIL, seed)
    client_id = make_application(page, issuer, check_page)
    page.goto(f"{issuer}/developers/sandbox")
    page.locator("#make-school").click()
    username, password = page.locator("#estab-id").inner_text(), page.locator("#password").inner_text()
    check_page(page, "developer-sandbox-school")
    page.get_by_role("link", name="Back to the sandbox").click()
    check_page(page, "developer-sandbox")
    page.locator(f"#remove-{username}").focus()
    page.keyboard.press("Enter")
    page.get_by_text("It has authorised no application").wait_for()
    check_page(page, "developer-sandbox-remove-school")
    page.get_by_role("link", name="Back", exact=True).press("Enter")
    page.locator(f"#remove-{username}").wait_for()

    page.goto(f"{issuer}/developers/applications/{client_id}/request")
    for label, text in REQUEST_FIELDS.items():
        page.get_by_label(label, exact=True).fill(text)
    check_page(page, "developer-ask")
    page.locator("#ask").click()
    page.locator("#withdraw").wait_for()
    check_page(page, "developer-request")

    page.goto(f"{issuer}/developers/applications/{client_id}/try-it")
    check_page(page, "developer-try-it")
    page.locator("#start").click()
    page.get_by_text("please do not sign in").wait_for()
    check_page(page, "sandbox-sign-in")
    page.get_by_label("Estab ID or e-mail address").fill(username)
    page.get_by_label("Password", exact=True).fill(password)
    page.locator("#sign-in").click()
    page.get_by_label("I have authority").check()
    page.locator("#allow").click()
    page.get_by_text("Everything went well").wait_for()
    check_page(page, "developer-try-it-steps")

    sign_in(page, f"{issuer}/operate/sign-in", "ops@idaas.example", operators_seed)
    page.get_by_role("link", name="Requests from partners").click()
    page.get_by_role("link", name="Bellringer: Assembly Connector").click()
    check_page(page, "operator-request")
    page.locator("#approve").click()
    page.get_by_text("This request is approved.").wait_for()
    page.goto(f"{issuer}/operate/partners")
    check_page(page, "operator-partners")
    page.get_by_role("link", name="Bellringer").click()
    check_page(page, "operator-partner")


def make_application(page, issuer, check_page):
    """Make a sandbox application, look at its pages, and return its client id."""
    page.locator("#make-application").click()
    page.get_by_label("Name").fill("Trial")
    page.get_by_label("Software").select_option("authlib")
    check_page(page, "developer-sandbox-new")
    page.locator("#make").click()
    client_id = page.locator("#client-id").inner_text()
    check_page(page, "developer-sandbox-made")
    page.get_by_role("link", name="The quick start").click()
    page.get_by_text("Already done").wait_for()
    check_page(page, "developer-quick-start-registered")
    page.goto(f"{issuer}/developers")
    page.locator("#step-address .badge.success").wait_for()
    check_page(page, "developer-progress")
    page.goto(f"{issuer}/developers/sandbox/applications/{client_id}/remove")
    check_page(page, "developer-sandbox-remove")
    return client_id
