"""The pages of a partner's people, in a real browser."""

import pyotp

from idp.foundation import clock, runtime
from idp.partners import journal, registry
from idp.signin import developers
from idp.signin.code_accounts import DEVELOPERS
from tests import factories

EMAIL, PASSWORD = "sam@groupcall.example", "wobbly kettle sings at dusk"
DIFFERENCE = {
    "sent": "https://assembly.example/callback/", "registered": "https://assembly.example/callback",
    "differs_in": ["path"],
}  # fmt: skip


def an_owner_with_an_application():
    """The seed of the owner's app."""
    factories.a_client(factories.a_partner(name="Groupcall"), id="groupcall-app", client_name="Assembly")
    failure = journal.Failure(
        "GET /oauth/authorize", "invalid_request", "redirect_uri", "is not registered", (DIFFERENCE,)
    )
    journal.record("groupcall-app", failure)
    company, seed = registry.partner("Groupcall"), pyotp.random_base32(32)
    developers.invite(company, "Bo Ray", "bo@groupcall.example", is_owner=False, by="cli")
    owner = developers.invite(company, "Sam Lee", EMAIL, is_owner=True, by="cli")
    owner.password_hash, owner.set_up_at = runtime.passwords().hash(PASSWORD), clock.now()
    owner.totp_sealed = runtime.sealer().seal(seed.encode(), where=DEVELOPERS._seed_context(owner.id))
    return seed


def test_a_developer_looks_after_an_application(a_window, issuer, work, looks_right):
    with work():
        seed = an_owner_with_an_application()
    page = a_window("desk")
    page.goto(f"{issuer}/developers/applications")
    looks_right(page, "developer-sign-in")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Code").fill(pyotp.TOTP(seed).at(clock.timestamp()))
    page.locator("#sign-in").click()
    page.get_by_role("link", name="Assembly").wait_for()
    looks_right(page, "developer-applications")
    page.get_by_role("link", name="Assembly").click()
    looks_right(page, "developer-application")
    page.locator("#change-addresses").click()
    looks_right(page, "developer-addresses")
    page.get_by_role("link", name="People").first.click()
    page.locator("#invite").wait_for()
    looks_right(page, "developer-people")
    page.goto(f"{issuer}/developers/applications/groupcall-app")
    page.locator("#new-secret").click()
    page.locator("#client-secret").wait_for()
    looks_right(page, "developer-secret")
