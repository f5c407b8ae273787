"""Signing in with a password and a code in a real browser, as our staff and partners' developers do."""

import pyotp
from playwright.sync_api import Page

from idp.foundation import clock
from tests.code_accounts import PASSWORD


def sign_in(page: Page, url: str, email: str, seed: str) -> None:
    """Open a page for people who sign in with a code, and sign in on the way."""
    page.goto(url)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Code").fill(pyotp.TOTP(seed).at(clock.timestamp()))
    page.locator("#sign-in").click()
    page.locator("main").wait_for()
