"""The people in the tests of whole journeys, who click, type and read pages in a browser.

A `SchoolAdmin` uses a real browser, and does only what a person can do. A `Partner` is a partner's application that
is served; an `Operator` decides as the `idp` command does.
"""

import re
from dataclasses import dataclass, replace
from itertools import count
from typing import Self

from playwright.sync_api import Locator, Page, expect

from idp.estabs import accounts, people
from idp.foundation import runtime
from idp.onboarding import review
from idp.schools import search
from idp.schools.models import School
from tests.conftest import TransactionFactory
from tests.factories import PASSWORD
from tests.mail import Outbox, QueuedMessage

_people = count(1)
_names = ("Grace Okafor", "Tom Hughes", "Priya Raman", "Siân Davies", "Marek Nowak", "Aoife Byrne")


@dataclass(frozen=True)
class RegisterEntry:
    """A school of the national register."""

    id: int
    name: str
    urn: str
    dfe_number: str
    postcode: str
    host: str

    @classmethod
    def from_school(cls, school: School) -> Self:
        return cls(
            school.id, school.name, school.register_id, school.dfe_number or "", school.postcode, school.website_host
        )

    @property
    def typed(self) -> dict[str, str]:
        """The search terms that find the school, by form field."""
        return {"q": self.name, "postcode": self.postcode, "dfe_number": self.dfe_number, "urn": self.urn}


@dataclass(frozen=True)
class Partner:
    """An application that schools sign in to, and its address."""

    name: str
    url: str


@dataclass(frozen=True)
class Operator:
    """One of our staff, who checks new schools and decides, by the functions that the `idp` command calls."""

    transaction: TransactionFactory

    def verify(self, estab_id: str) -> None:
        with self.transaction():
            review.verify(estab_id, by="cli")

    def change_state(self, estab_id: str, state: str) -> None:
        with self.transaction():
            accounts.change_state(accounts.find(estab_id), state, by="cli", reason="as the test says")


@dataclass
class SchoolAdmin:
    """A person in a school's office, with a browser and a mailbox."""

    page: Page
    issuer: str
    outbox: Outbox
    school: RegisterEntry
    name: str = ""
    email: str = ""
    mobile: str = "07700 900123"
    estab_id: str = ""
    password: str = ""

    def __post_init__(self) -> None:
        number = next(_people)
        self.name = self.name or _names[number % len(_names)]
        self.email = self.email or f"office{number}@{self.school.host.removeprefix('www.') or 'school.example'}"

    def at(self, page: Page) -> "SchoolAdmin":
        """The same person, at another browser."""
        return replace(self, page=page)

    def create_account(self, *, state: str, role: str) -> None:
        """Create the person's account: as owner of their school where it has no account yet, else as `role`.

        Call it in a transaction of the provider. `state` is `verified` or `unverified`.
        """
        me = {"name": self.name, "email": self.email, "mobile": "+447700900123"}
        estab = accounts.find_by_school(self.school.id)
        if estab is None:
            estab, person = accounts.register(search.school(self.school.id), **me)
            review.open_for(estab)
            if state == "verified":
                review.verify(estab.estab_id, by="cli")
        else:
            person = people.add(estab, **me, role=role)
        person.password_hash = runtime.passwords().hash(PASSWORD)
        self.estab_id, self.password = estab.estab_id, PASSWORD

    # Reading

    def expect_heading(self, heading: str | re.Pattern[str]) -> None:
        """Wait for a page with this heading, and until its scripts have run."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)
        self.page.wait_for_load_state("domcontentloaded")

    def expect_text(self, *texts: str) -> None:
        """Wait until the main part of the page contains these texts."""
        for text in texts:
            expect(self.page.locator("main")).to_contain_text(text)

    def expect_errors(self, *errors: str) -> None:
        """Wait until the error summary contains these texts."""
        for error in errors:
            expect(self.page.locator("[data-error-summary]")).to_contain_text(error)

    def expect_error_code(self, code: str) -> None:
        """Wait until the page shows this error code, for the developer to look up."""
        expect(self.page.locator("#error-code")).to_have_text(code)

    def press(self, button: str, *, exact: bool = True) -> None:
        self.page.get_by_role("button", name=button, exact=exact).click()

    def follow_link(self, link: str) -> None:
        self.page.get_by_role("link", name=link, exact=True).click()

    def open(self, path: str) -> None:
        self.page.goto(self.issuer + path)

    def expire_form(self) -> None:
        """Replace the form's CSRF token by an invalid one, as after the page was open for a long time."""
        self.page.evaluate("for (const each of document.getElementsByName('csrf_token')) each.value = 'old'")

    # Signing in, from a partner or directly

    def start_sign_in_at(self, partner: Partner) -> None:
        """Open the partner's first page, and follow its link to our sign-in page."""
        self.page.goto(partner.url)
        self.page.get_by_role("link", name="Sign in with your school account").click()
        self.page.wait_for_load_state()

    def sign_in(self, username: str | None = None, password: str | None = None) -> None:
        """On the sign-in page: with Estab ID and password by default."""
        self.page.locator("#username").fill(username or self.estab_id)
        self.page.locator("#password").fill(password or self.password)
        self.page.locator("#sign-in").click()

    def sign_out(self) -> None:
        self.open("/sign-out")
        self.press("Sign out")
        self.expect_heading("You are signed out")

    # Registering

    def find_school(self, by: str = "q") -> None:
        """On the search page: search by the search box or a labelled field, and choose the school from the results."""
        field = self.page.locator(f"#{by}")
        if not field.is_visible():
            self.page.locator("details:has(#postcode) > summary").click()
        field.fill(self.school.typed[by])
        field.press("Enter")
        self.choose_school()

    def choose_school(self) -> None:
        self.page.locator(f"input[name=school][value='{self.school.id}']").check()
        self.press("Next")
        self.expect_heading("Your details")

    def open_details_page(self) -> None:
        """From the search page: open the school's details page directly, keeping the pending request in the URL."""
        _, _, pending = self.page.url.partition("?")
        self.open(f"/register/details?school={self.school.id}&{pending}")
        self.expect_heading("Your details")

    def fill_in_details(self) -> None:
        self.page.locator("#name").fill(self.name)
        self.page.locator("#email").fill(self.email)
        self.page.locator("#mobile").fill(self.mobile)
        self.page.locator("#declaration").check()
        self.page.locator("#sign-up").click()
        self.expect_heading("Check your e-mail")

    def newest_mail(self, name: str) -> QueuedMessage:
        """The newest mail made from this template to their address."""
        mine = [message for message in self.outbox.all(name) if message.to == self.email]
        assert mine, f"no {name} was written to {self.email}"
        return mine[-1]

    def open_verification_mail(self) -> None:
        """Follow the link in the mail that verifies their address."""
        self.page.goto(self.newest_mail("verify_email").links[0])

    def verify_address(self) -> None:
        self.open_verification_mail()
        self.page.locator("#verify").click()
        self.expect_heading("Sign up")

    def verify_address_elsewhere(self) -> str:
        """Verify the address in another browser than the one that began the registration; returns the code it shows."""
        self.open_verification_mail()
        self.page.locator("#verify").click()
        self.expect_heading("Where do you want to continue?")
        return self.page.locator("#code").inner_text()

    def continue_here(self) -> None:
        """Continue in this browser, instead of entering the code in the first one."""
        self.press("Continue here instead")
        self.expect_heading("Sign up")

    def enter_code(self, code: str) -> None:
        """In the first browser: enter the code that the other one shows."""
        self.expect_heading("Enter the code")
        self.page.locator("#code").fill(code)
        self.page.locator("#enter-code").click()

    def sign_up(self) -> None:
        """Sign up, after the address was verified; stores the username and password."""
        self.page.locator("#sign-up").click()
        self.expect_heading("Your username and password")
        self.note_credentials()

    def note_credentials(self) -> None:
        self.estab_id, self.password = self.page.locator("#credentials output").all_inner_texts()

    def register(self) -> None:
        """The whole registration, from the search page on."""
        self.open_details_page()
        self.fill_in_details()
        self.verify_address()
        self.sign_up()

    # Deciding

    def authorise(self, *areas: str) -> None:
        """On the authorisation page: allow, with these optional areas too."""
        for area in areas:
            self.page.get_by_role("checkbox", name=area, exact=True).check()
        self.page.locator("#authority").check()
        self.page.locator("#allow").click()

    def sharing_state(self, area: str) -> Locator:
        """On the partner's page: the state of this data area, in words."""
        heading = self.page.get_by_role("heading", name=area, exact=True)
        return self.page.locator(".areas li").filter(has=heading).locator(".chip")
