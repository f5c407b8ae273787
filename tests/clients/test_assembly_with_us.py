"""Assembly and our own provider, both served: the whole conversation, without a browser's eyes."""

from contextlib import contextmanager
from urllib.parse import urljoin

import pytest
import requests

from idp.estabs import accounts, people
from idp.foundation import database, runtime
from idp.foundation.web.transactions import work as a_request
from idp.onboarding import review
from idp.sharing import authorise
from tests.browser.assembly import a_partner_served
from tests.factories import PASSWORD, an_administrator, an_estab
from tests.html import parse
from tests.serving import a_provider


@pytest.fixture(scope="module")
def provider(databases):
    with a_provider(databases) as (app, _issuer):
        yield app


@pytest.fixture(scope="module")
def work(provider):
    @contextmanager
    def one():
        with a_request(provider):
            yield database.session()

    return one


@pytest.fixture(scope="module")
def assembly(provider, work, tmp_path_factory):
    issuer = runtime.of(provider).settings.server.issuer
    with a_partner_served(issuer, work, tmp_path_factory.mktemp("assembly")) as url:
        yield url


class Office:
    """Somebody in a school office: follows links, fills in forms, remembers the page."""

    def __init__(self, assembly, estab_id):
        self.assembly, self.estab_id = assembly, estab_id
        self.browser = requests.Session()

    def opens(self, address):
        self._shows(self.browser.get(address, timeout=20))

    def sends(self, button, **typed):
        """The form with this button, as it stands on the page, with `typed` in it."""
        [pressed] = [each for each in self.page.select("button") if each.get_text(strip=True) == button]
        form = pressed.find_parent("form")
        assert form is not None
        sent = [
            (field["name"], field.get("value", ""))
            for field in form.select("input[name]")
            if field.get("type") != "checkbox" and field["name"] not in typed
        ]
        sent += [(pressed["name"], pressed.get("value", ""))] if pressed.get("name") else []
        address = urljoin(self.address, str(form.get("action") or self.address))
        self._shows(self.browser.post(address, data=[*sent, *typed.items()], timeout=20))

    def signs_in(self):
        self.opens(f"{self.assembly}/school-account")
        self.sends("Sign in", username=self.estab_id, password=PASSWORD)

    def authorises(self, *areas):
        self.sends("Authorise sharing", area=areas, authority="y")

    def reads(self):
        return self.page.get_text(" ", strip=True)

    def _shows(self, answer):
        self.address, self.page = answer.url, parse(answer.text)


@pytest.fixture
def office(work, assembly):
    """Of a school that has registered and waits to be verified."""
    with work():
        estab = an_estab(state="unverified")
        review.open_for(estab)
        an_administrator(estab, name="Grace Okafor")
        return Office(assembly, estab.estab_id)


def test_a_school_signs_in_authorises_and_is_verified_without_being_asked_again(office, work):
    office.signs_in()
    office.authorises("attendance")

    assert office.address == f"{office.assembly}/connector"
    assert "Grace Okafor" in office.reads()
    assert office.estab_id in office.reads()
    assert "School not verified yet" in office.reads()

    with work():
        review.verify(office.estab_id, by="cli")
    office.sends("Check again")

    assert "New: your school now shares School details, Pupils, Attendance with us." in office.reads()
    assert "Verified school" in office.reads()


def test_the_second_sign_in_goes_straight_through(office):
    office.signs_in()
    office.authorises()
    office.browser.cookies.clear()

    office.signs_in()

    assert office.address == f"{office.assembly}/connector"


def test_a_school_that_does_not_share_is_told_so_at_the_partner(office):
    office.signs_in()
    office.sends("Do not share")

    assert office.address.startswith(f"{office.assembly}/callback")
    assert "Your school chose not to share" in office.reads()


def test_once_sharing_is_stopped_the_partner_gets_nothing_more(office, work):
    office.signs_in()
    office.authorises()
    with work():
        estab = accounts.find(office.estab_id)
        authorise.withdraw(estab.id, "assembly", by=people.of_estab(estab.id)[0])

    office.sends("Check again")

    assert "Your school no longer shares with us" in office.reads()


def test_signing_out_ends_both_sessions(office):
    office.signs_in()
    office.authorises()

    office.sends("Sign out")

    assert "of the school sign-in service in this browser" in office.reads()
    office.opens(f"{office.assembly}/school-account")
    assert "Estab ID or e-mail address" in office.reads()
