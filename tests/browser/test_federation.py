"""Linking the school's own account and signing in with it, in a real browser.

Another instance of this product stands in for Microsoft: a real provider, with pages, sessions and keys of its own.
"""

from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from idp.foundation.web import transactions
from tests.browser.assembly import serve_partner
from tests.browser.test_keyboard import tab_to
from tests.factories import PASSWORD, a_client, an_administrator, an_estab, secret_of
from tests.serving import a_provider

ACCOUNT = "Microsoft 365 account"


@pytest.fixture(scope="module")
def other_provider(databases):
    """The provider that stands in for Microsoft, on another host than ours."""
    with a_provider(databases, host="127.0.0.1") as served:
        yield served


@pytest.fixture(scope="module")
def our_provider(databases, other_provider):
    """Our provider, at which accounts of the other one may be linked."""
    app, authority = other_provider
    registered = {"client_id": "school-sign-in", "authority": authority, "issuer": authority, "enabled": True}
    registered["client_secret"] = secret_of("school-sign-in")
    with a_provider(databases, federation={"enabled": True, "microsoft": registered}) as served:
        with transactions.transaction(app):
            a_client(
                id="school-sign-in", client_name="School sign-in", grant_types=frozenset({"authorization_code"}),
                redirect_uris=[f"{served.issuer}/sign-in/with/microsoft/return"], optional_scopes=frozenset(),
                required_scopes=frozenset({"openid", "profile"}), id_token_claims=frozenset({"name"}),
            )  # fmt: skip
        yield served


def make_person(app, **overrides):
    with transactions.transaction(app):
        return an_administrator(an_estab(), **overrides).username


@pytest.fixture
def username(our_provider):
    """The username at our provider of a person with an account at both."""
    return make_person(our_provider.app, name="Jo Bloggs")


@pytest.fixture
def other_username(other_provider):
    """Their username at the other provider, which is not known to ours."""
    return make_person(other_provider.app, name="Jo Bloggs")


def sign_in(page, username):
    page.fill("#username", username)
    page.fill("#password", PASSWORD)
    page.click("#sign-in")


def sign_in_and_agree(page, authority, username):
    """At the other provider, for the first time: sign in and agree."""
    page.wait_for_url(f"{authority}/**")
    sign_in(page, username)
    page.click("#allow")


def test_a_person_links_an_account_signs_in_by_it_and_unlinks_it(
    page, our_provider, other_provider, username, other_username, check_page
):
    issuer, authority = our_provider.issuer, other_provider.issuer
    page.goto(f"{issuer}/sign-in")
    expect(page.get_by_role("button", name="Sign in with Microsoft")).to_be_visible()
    check_page(page, "sign-in-with-microsoft")
    page.get_by_role("button", name="Sign in with Microsoft").click()
    sign_in_and_agree(page, authority, other_username)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"That {ACCOUNT} is not linked yet")
    check_page(page, "account-not-linked")

    page.click("#sign-in")
    sign_in(page, username)
    page.get_by_role("link", name="Security").click()
    check_page(page, "security-account-not-linked")
    page.get_by_role("button", name=f"Link your {ACCOUNT}").click()
    page.wait_for_url(f"{authority}/**")
    sign_in(page, other_username)
    page.wait_for_url(f"{issuer}/manage/security")
    expect(page.get_by_role("status").first).to_contain_text(f"Your {ACCOUNT} is now linked.")
    expect(page.locator("main")).to_contain_text("Jo Bloggs, since")
    check_page(page, "security-account-linked")

    page.goto(f"{issuer}/sign-out")
    page.click("#sign-out")
    page.goto(f"{issuer}/sign-in?next=/manage/security")
    page.get_by_role("button", name="Sign in with Microsoft").click()
    page.wait_for_url(f"{issuer}/manage/security")
    expect(page.get_by_role("link", name="Sign out")).to_be_visible()

    page.get_by_role("link", name=f"Unlink your {ACCOUNT}").click()
    expect(page.locator("main")).to_contain_text("sign in with your password before you change this")
    sign_in(page, username)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Unlink your {ACCOUNT}?")
    check_page(page, "unlink-account")
    page.click("#unlink")
    expect(page.get_by_role("status").first).to_contain_text(f"Your {ACCOUNT} has been unlinked.")
    expect(page.get_by_role("button", name=f"Link your {ACCOUNT}")).to_be_visible()


@contextmanager
def assembly(our_provider, folder):
    @contextmanager
    def transaction():
        with transactions.transaction(our_provider.app):
            yield

    with serve_partner(our_provider.issuer, transaction, folder) as url:
        yield url


def test_a_partners_sign_in_works_by_keyboard_without_scripts(
    new_window, our_provider, other_provider, username, other_username, tmp_path
):
    page = new_window("phone", java_script_enabled=False)
    page.goto(f"{our_provider.issuer}/sign-in?next=/manage/security")
    sign_in(page, username)
    page.get_by_role("button", name=f"Link your {ACCOUNT}").press("Enter")
    sign_in_and_agree(page, other_provider.issuer, other_username)
    page.wait_for_url(f"{our_provider.issuer}/manage/security")
    page.goto(f"{our_provider.issuer}/sign-out")
    page.click("#sign-out")

    with assembly(our_provider, tmp_path) as url:
        page.goto(url)
        page.get_by_role("link", name="Sign in with your school account").press("Enter")
        page.get_by_role("button", name="Sign in with Microsoft").press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Authorise sharing with Assembly")


def test_the_providers_button_can_be_reached_by_tab(page, our_provider):
    page.goto(f"{our_provider.issuer}/sign-in")
    tab_to(page, page.get_by_role("button", name="Sign in with Microsoft"))


def test_a_person_who_cancels_at_the_provider_returns_to_the_sign_in_page(page, our_provider, other_provider):
    page.goto(f"{our_provider.issuer}/sign-in")
    page.get_by_role("button", name="Sign in with Microsoft").click()
    page.wait_for_url(f"{other_provider.issuer}/**")
    page.click("#cancel")
    page.wait_for_url(f"{our_provider.issuer}/sign-in**")
    expect(page.locator("main")).to_contain_text(f"You did not continue with your {ACCOUNT}. Nothing was changed.")
