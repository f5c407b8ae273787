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
    office.signs_in()
    office.authorises("attendance")

    assert office.url == f"{office.assembly}/connector"
    assert "Grace Okafor" in office.reads()
    assert office.estab_id in office.reads()
    assert "School not verified yet" in office.reads()

    with transaction():
        review.verify(office.estab_id, by="cli")
    office.sends("Check again")

    assert "New: your school now shares School details, Pupils, Attendance with us." in office.reads()
    assert "Verified school" in office.reads()


def test_the_second_sign_in_goes_straight_through(office):
    office.signs_in()
    office.authorises()
    office.browser.cookies.clear()

    office.signs_in()

    assert office.url == f"{office.assembly}/connector"


def test_a_school_that_does_not_share_is_told_so_at_the_partner(office):
    office.signs_in()
    office.sends("Do not share")

    assert office.url.startswith(f"{office.assembly}/callback")
    assert "Nothing was shared" in office.reads()


def test_once_sharing_is_stopped_the_partner_gets_nothing_more(office, transaction):
    office.signs_in()
    office.authorises()
    with transaction():
        estab = accounts.find(office.estab_id)
        authorise.withdraw(estab.id, "assembly", by=people.list_for_estab(estab.id)[0])

    office.sends("Check again")

    assert "Your school no longer shares with us" in office.reads()


def test_signing_out_ends_both_sessions(office):
    office.signs_in()
    office.authorises()

    office.sends("Sign out")

    assert "of the school sign-in service in this browser" in office.reads()
    office.opens(f"{office.assembly}/school-account")
    assert "Estab ID or e-mail address" in office.reads()
