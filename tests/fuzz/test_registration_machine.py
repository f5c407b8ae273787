"""Registering a school: any steps in any order, in two browsers, with the back button, repeated, with odd texts typed.

No step leads to an internal error, and a school gets one estab, in whichever browser it is completed (S27).
"""

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from idp.estabs.models import FINAL_STATES, Estab
from idp.outbox import post
from idp.outbox.models import Message
from tests.conftest import a_browser
from tests.factories import PASSWORD, a_school
from tests.fuzz.hostile import odd_text
from tests.fuzz.profiles import fuzz_settings
from tests.fuzz.responses import check
from tests.onboarding.visitor import Page

VALID_FIELDS = {"name": "Jo Bloggs", "mobile": "07700 900123", "declaration": "y", "password": PASSWORD}
MAIN_BUTTONS = {
    "Your details": "sign-up",
    "Sign up": "sign-up",
    "Check your e-mail": "resend",
    "Verify your e-mail": "verify",
}
"""The main button of each page, by the page's heading."""
odd_fields = st.dictionaries(st.sampled_from([*VALID_FIELDS, "email", "q", "csrf_token"]), odd_text, max_size=2)
ODD_PATHS = (
    "/register", "/register/details", "/register/details?school=0", "/register/details?school=99999999999999999999",
    "/register/reg_x", "/register/%00", "/register/verify/x", "/register/verify/%ff%00", "/register/link-sent",
    "/register/stopped", "/sign-in", "/", "/XodRegister/School", "/register?q=%00%ed%a0%80", "/register?school=x",
)  # fmt: skip


class Registering(RuleBasedStateMachine):
    """Two browsers, and a new school for each run."""

    app: Any = None
    settings: Any = None
    transaction: Any = None

    @initialize()
    def begin(self):
        with self.transaction():
            self.school = a_school().id
        self.emails = [f"{name}{self.school}@oakhill.example" for name in ("office", "head")]
        self.browsers = [a_browser(self.app, self.settings) for _ in range(2)]
        self.pages: list[list[Page]] = [[], []]
        self.start = f"/register/details?school={self.school}"
        for browser in range(2):
            self._open(browser, self.start)

    def _open(self, browser, url):
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._record_page(browser, self.browsers[browser].get(path, follow_redirects=True))

    def _record_page(self, browser, response):
        check(response)
        if response.mimetype == "text/html":
            self.pages[browser].append(Page(response))

    def _press(self, browser, page, button, typed):
        form = button.find_parent("form")
        if form is None:
            return
        sent = {}
        for field in form.find_all("input"):
            if field.get("name"):
                sent[field["name"]] = typed.get(field["name"], field.get("value", ""))
        if button.get("name"):
            sent[button["name"]] = button.get("value", "")
        path = urljoin(page.path, str(form.get("action") or page.path))
        sent = {name: value.encode("utf-8", "replace").decode() for name, value in sent.items()}
        if str(form.get("method", "get")).lower() == "post":
            response = self.browsers[browser].post(path, data=sent, follow_redirects=True)
        else:
            response = self.browsers[browser].get(path, query_string=sent, follow_redirects=True)
        self._record_page(browser, response)

    @rule(browser=st.integers(0, 1), email=st.integers(0, 1))
    def fill_in_and_continue(self, browser, email):
        """Fill in the page and press its main button."""
        page = self.pages[browser][-1]
        button = page.soup.find("button", id=MAIN_BUTTONS.get(page.title, "sign-up")) or page.soup.select_one(
            "main button"
        )
        if button is not None:
            self._press(browser, page, button, VALID_FIELDS | {"email": self.emails[email]})

    @rule(browser=st.integers(0, 1), back=st.integers(0, 4), number=st.integers(0, 6), fields=odd_fields)
    def press_any_button(self, browser, back, number, fields):
        """Press any button of this page, or of an earlier one, as after the back button of the browser."""
        page = self.pages[browser][-1 - back % len(self.pages[browser])]
        buttons = page.soup.select("main button")
        if buttons:
            self._press(
                browser, page, buttons[number % len(buttons)], VALID_FIELDS | {"email": self.emails[0]} | fields
            )

    @rule(browser=st.integers(0, 1), number=st.integers(0, 40), of_other_browser=st.booleans())
    def open_any_page(self, browser, number, of_other_browser):
        """Open a page that was opened in either browser, or an odd path."""
        paths = [page.path for page in self.pages[1 - browser if of_other_browser else browser]] + [
            *ODD_PATHS,
            self.start,
        ]
        self._open(browser, paths[number % len(paths)])

    @rule(browser=st.integers(0, 1), number=st.integers(0, 5))
    def open_mail(self, browser, number):
        """Open a link from the mails of this run."""
        if links := self._links():
            self._open(browser, links[-1 - number % len(links)])

    def _links(self):
        """The links in the mails of this run."""
        with self.transaction() as session:
            mails = session.query(Message).filter(Message.recipient.in_(self.emails), Message.name == "verify_email")
            texts = [post.unseal(row).text for row in mails.order_by(Message.created_at, Message.id)]
        return [link for text in texts for link in re.findall(r"https?://\S+", text)]

    @invariant()
    def a_school_has_one_estab(self):
        with self.transaction() as session:
            estabs_of_school = (
                session.query(Estab).filter(Estab.school_id == self.school, Estab.state.not_in(FINAL_STATES)).count()
            )
        assert estabs_of_school <= 1


def test_any_order_of_registration_steps_makes_one_estab_per_school(module_transaction, session_app, settings):
    class Machine(Registering):
        pass

    Machine.app, Machine.settings, Machine.transaction = session_app, settings, staticmethod(module_transaction)
    run_state_machine_as_test(Machine, settings=fuzz_settings(0.25))
