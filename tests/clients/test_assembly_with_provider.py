"""Assembly and our own provider, both served over HTTP, without a browser."""

from contextlib import contextmanager

import pytest

from idp.estabs import accounts, people
from idp.foundation import database, runtime
from idp.foundation.web import transactions
from idp.onboarding import review
from idp.sharing import authorise
from tests.browser.assembly import serve_partner
from tests.clients.office import Office
from tests.factories import an_administrator, an_estab
from tests.serving import a_provider


@pytest.fixture(scope="module")
def provider(databases):
    with a_provider(databases) as (app, _issuer):
        yield app


@pytest.fixture(scope="module")
def transaction(provider):
    @contextmanager
    def open_transaction():
        with transactions.transaction(provider):
            yield database.session()

    return open_transaction


@pytest.fixture(scope="module")
def assembly(provider, transaction, tmp_path_factory):
    issuer = runtime.for_app(provider).settings.server.issuer
    with serve_partner(issuer, transaction, tmp_path_factory.mktemp("assembly")) as url:
        yield url


@pytest.fixture
def office(transaction, assembly):
    """The person of a school that has registered and is not verified yet."""
    with transaction():
        estab = an_estab(state="unverified")
        review.open_for(estab)
        an_administrator(estab, name="Grace Okafor")
        return Office(assembly, estab.estab_id)


def test_a_school_signs_in_authorises_and_is_verified_without_being_asked_again(office, transaction):
    office.sign_in()
    office.authorise("attendance")

    assert office.url == f"{office.assembly}/connector"
    assert "Grace Okafor" in office.page_text
    assert office.estab_id in office.page_text
    assert "School not verified yet" in office.page_text

    with transaction():
        review.verify(office.estab_id, by="cli")
    office.press("Check again")

    assert "New: your school now shares School details, Pupils, Attendance with us." in office.page_text
    assert "Verified school" in office.page_text


def test_the_second_sign_in_needs_no_consent(office):
    office.sign_in()
    office.authorise()
    office.browser.cookies.clear()

    office.sign_in()

    assert office.url == f"{office.assembly}/connector"


def test_a_person_who_refuses_is_told_at_the_partner_that_nothing_was_shared(office):
    office.sign_in()
    office.press("Do not share")

    assert office.url.startswith(f"{office.assembly}/callback")
    assert "Nothing was shared" in office.page_text


def test_the_partner_shows_that_sharing_was_stopped(office, transaction):
    office.sign_in()
    office.authorise()
    with transaction():
        estab = accounts.find(office.estab_id)
        authorise.withdraw(estab.id, "assembly", by=people.list_for_estab(estab.id)[0])

    office.press("Check again")

    assert "Your school no longer shares with us" in office.page_text


def test_signing_out_ends_both_sessions(office):
    office.sign_in()
    office.authorise()

    office.press("Sign out")

    assert "of the school sign-in service in this browser" in office.page_text
    office.open(f"{office.assembly}/school-account")
    assert "Estab ID or e-mail address" in office.page_text
