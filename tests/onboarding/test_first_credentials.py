"""The password is shown once; for a short time, the browser that signed up may replace it without signing in."""

from datetime import timedelta
from typing import NamedTuple

import pytest

from idp.estabs import credentials, people
from idp.estabs.models import Administrator
from idp.foundation import runtime
from idp.foundation.database import session
from idp.onboarding import first_credentials
from idp.onboarding.models import Registration
from tests.onboarding.registrations import OTHER_BROWSER, OWN_BROWSER, a_registration, complete, generated_password


@pytest.fixture
def registration(transaction, clock):
    with transaction():
        registration = a_registration()
        complete(registration)
        return registration


class RegistrationAndOwner(NamedTuple):
    """A registration, and the owner whose password a browser may replace; None if it may not."""

    registration: Registration
    owner: Administrator | None


@pytest.fixture
def find_with_owner(transaction, registration):
    """`find_with_owner(browser)` reads the registration and its owner, for this browser."""

    def find(browser):
        row = session().get_one(Registration, registration.id)
        return RegistrationAndOwner(row, first_credentials.replaceable_owner(row, browser))

    return find


def test_the_password_is_six_words_and_its_hash_is_stored(app):
    with app.app_context():
        first, second = first_credentials.generate(), first_credentials.generate()

        assert len(first.password.split("-")) >= 6
        assert first.password != second.password
        assert runtime.passwords().matches(first.hash, first.password)


def test_the_browser_that_signed_up_may_replace_the_password_for_15_minutes(transaction, find_with_owner, clock):
    with transaction():
        assert find_with_owner(OWN_BROWSER).owner is not None
    clock.move(timedelta(minutes=15))
    with transaction():
        registration, owner = find_with_owner(OWN_BROWSER)
        assert owner is None
        with pytest.raises(first_credentials.PasswordNotReplaceable):
            first_credentials.require_owner(registration, OWN_BROWSER)


@pytest.mark.parametrize("browser", [OTHER_BROWSER, None])
def test_no_other_browser_may_replace_the_password(transaction, find_with_owner, browser):
    with transaction():
        find_with_owner(OWN_BROWSER).registration.verified_in = OTHER_BROWSER
    with transaction():
        assert find_with_owner(browser).owner is None


def test_before_signing_up_there_is_no_password_to_replace(transaction, clock):
    with transaction():
        assert first_credentials.replaceable_owner(a_registration(), OWN_BROWSER) is None


def test_replacing_the_password_invalidates_the_former_one(transaction, find_with_owner):
    with transaction():
        registration, owner = find_with_owner(OWN_BROWSER)
        first_credentials.replace(
            registration, OWN_BROWSER, first_credentials.GeneratedPassword("other", "hash of other")
        )
        assert owner.password_hash == "hash of other"
    with transaction():
        assert find_with_owner(OWN_BROWSER).owner is not None, "it may have been lost again"


def test_a_password_chosen_by_the_person_is_not_replaced(transaction, find_with_owner):
    with transaction():
        registration, owner = find_with_owner(OWN_BROWSER)
        first_credentials.set_own(registration, OWN_BROWSER, "hash of their own")
        assert owner.password_hash == "hash of their own"
    with transaction():
        assert find_with_owner(OWN_BROWSER).owner is None


def test_a_password_changed_elsewhere_is_not_replaced(transaction, find_with_owner, clock):
    clock.move(timedelta(seconds=1))
    with transaction():
        _, owner = find_with_owner(OWN_BROWSER)
        credentials.set_hash(owner, "another hash", by=owner.id)
    with transaction():
        assert find_with_owner(OWN_BROWSER).owner is None


def test_a_removed_person_is_not_shown_a_password(transaction, find_with_owner, clock):
    with transaction():
        find_with_owner(OWN_BROWSER).owner.removed_at = clock.now()
    with transaction():
        assert find_with_owner(OWN_BROWSER).owner is None


def test_a_password_of_ones_own_is_not_the_schools_name(transaction, registration):
    with transaction():
        person = people.get(registration.administrator_id)
        assert person is not None

        assert first_credentials.rejection_reason(person, "oakhill-school-london")
        assert first_credentials.rejection_reason(person, "short")
        assert first_credentials.rejection_reason(person, generated_password().password + " of my own") is None
