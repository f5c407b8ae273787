"""A school registers once: begun in one browser, completed once, whichever browser presses first."""

from datetime import timedelta

import pytest

from idp.estabs import accounts, people
from idp.estabs.models import Administrator, Estab
from idp.onboarding import signup
from idp.onboarding.models import JoinRequest, Registration, Review
from tests.factories import a_client, a_membership, a_school, an_administrator, an_estab
from tests.onboarding.registrations import (
    OTHER_BROWSER,
    OWN_BROWSER,
    a_registration,
    complete,
    details,
    generated_password,
    verify_address,
)


def test_signing_up_again_makes_an_unverified_estab_its_owner_and_its_review(transaction, outbox, clock):
    with transaction() as database:
        registration = a_registration(a_school(dfe_number="3124567"))
        assert complete(registration) == "registered"

        estab, owner = database.query(Estab).one(), database.query(Administrator).one()
        assert (estab.estab_id, estab.state) == ("3124567", "unverified")
        assert (owner.username, owner.memberships[0].role, owner.email) == (
            "3124567",
            "owner",
            "office@oakhill.example",
        )
        assert owner.password_hash == generated_password().hash
        assert registration.administrator_id == owner.id
        assert database.query(Review).one().estab_id == estab.id

    mail = outbox.last("school_registered")
    assert "Wednesday 4 March 2026" in mail.text
    assert generated_password().password not in mail.text


def test_the_open_registration_of_a_browser_is_the_newest_that_can_be_completed(transaction, clock):
    with transaction():
        first, second = a_school(), a_school()
        older, newer = a_registration(first).id, None
    clock.move(timedelta(minutes=1))
    with transaction() as database:
        newer = a_registration(database.merge(second)).id
    with transaction() as database:
        first, second = database.merge(first), database.merge(second)
        assert signup.find_open(OWN_BROWSER).id == newer
        assert [signup.find_open(OWN_BROWSER, school).id for school in (first, second)] == [older, newer]
        assert signup.find_open(OTHER_BROWSER) is None

        database.get_one(Registration, newer).used_at = clock.now()
        assert signup.find_open(OWN_BROWSER).id == older
        database.get_one(Registration, older).expires_at = clock.now()
        assert signup.find_open(OWN_BROWSER) is None


def test_the_registration_of_a_member_is_the_one_by_which_they_registered_this_school(transaction):
    with transaction():
        registrations = [a_registration(email=f"office{number}@oakhill.example") for number in range(3)]
        for registration in registrations:
            complete(registration)

        for registration in registrations:
            person = people.get(registration.administrator_id)
            assert signup.find_by_member(person.memberships[0]) is registration
        assert signup.find_by_member(a_membership(person)) is None
        assert signup.find_by_member(an_administrator().memberships[0]) is None


def test_of_many_clicks_at_once_one_registers(transaction, run_concurrently):
    with transaction() as database:
        registration = a_registration()
        verify_address(registration)
        registration_id = registration.id

    def press():
        registration = signup.find_in_browser(registration_id, OWN_BROWSER)
        return signup.complete(registration, details(), generated_password(), browser=OWN_BROWSER)

    outcomes = run_concurrently(8, press)

    assert outcomes.count("registered") == 1
    assert sum(isinstance(outcome, signup.CompletedAlready) for outcome in outcomes) == 7
    with transaction() as database:
        assert database.query(Estab).count() == 1


def test_of_two_people_at_once_one_registers_and_the_other_asks_to_join(transaction, run_concurrently):
    with transaction():
        school, registrations = a_school(), []
        for browser, email in ((OWN_BROWSER, "jo@oakhill.example"), (OTHER_BROWSER, "sam@oakhill.example")):
            registration = signup.begin(school, details(email=email), browser=browser, return_to=None)
            verify_address(registration, browser)
            registrations.append((registration.id, browser))

    def press():
        registration_id, browser = registrations.pop()
        registration = signup.find_in_browser(registration_id, browser)
        return signup.complete(registration, details(email=registration.email), generated_password(), browser=browser)

    assert sorted(map(str, run_concurrently(2, press))) == ["joining", "registered"]
    with transaction() as database:
        assert database.query(Estab).count() == 1
        assert database.query(JoinRequest).count() == 1


def test_nothing_is_completed_before_the_address_is_verified(transaction):
    with transaction():
        registration_id = a_registration().id

    with pytest.raises(signup.NotVerifiedYet), transaction():
        signup.complete(
            signup.find_in_browser(registration_id, OWN_BROWSER), details(), generated_password(), browser=OWN_BROWSER
        )
    with transaction() as database:
        assert database.query(Registration).one().used_at is None
        assert database.query(Estab).count() == 0


def test_an_expired_registration_is_neither_continued_nor_completed(transaction, clock):
    with transaction():
        registration = a_registration()
        verify_address(registration)
        registration_id = registration.id
    clock.move(timedelta(days=7))

    with pytest.raises(signup.RegistrationExpired), transaction():
        signup.find_in_browser(registration_id, OWN_BROWSER)
    with pytest.raises(signup.RegistrationExpired), transaction() as database:
        signup.complete(
            database.get_one(Registration, registration_id), details(), generated_password(), browser=OWN_BROWSER
        )


def test_the_refusal_does_not_reveal_whether_a_registration_exists(transaction):
    with transaction():
        registration_id = a_registration().id

    messages = set()
    for requested_id, browser in (
        (registration_id, OTHER_BROWSER),
        (registration_id, None),
        ("reg_" + "a" * 26, OWN_BROWSER),
        ("reg_\x00", OWN_BROWSER),
    ):
        with pytest.raises(signup.NotInThisBrowser) as refused, transaction():
            signup.find_in_browser(requested_id, browser)
        messages.add((refused.value.message, refused.value.status))
    assert len(messages) == 1


def test_pressing_the_button_twice_makes_one_registration_and_one_mail(transaction, outbox):
    with transaction():
        school = a_school()
        assert a_registration(school).id == a_registration(school).id

    assert len(outbox.all("verify_email")) == 1


def test_registering_again_with_another_address_needs_that_address_to_be_verified(transaction, outbox, clock):
    with transaction():
        school = a_school()
        first = a_registration(school)
        verify_address(first)
        clock.move(timedelta(minutes=1))
        second = a_registration(school, email="right@oakhill.example", name="Jo B")

        assert second is first
        assert not second.is_verified
        assert second.name == "Jo B"
    assert outbox.last("verify_email").to == "right@oakhill.example"


def test_another_browser_begins_a_registration_of_its_own(transaction):
    with transaction():
        school = a_school()
        ours = a_registration(school)
        other_registration = signup.begin(school, details(), browser=OTHER_BROWSER, return_to=None)

        assert ours.id != other_registration.id


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"status_code": "2", "status_name": "Closed"}, "closed"),
        ({"status_code": "4", "status_name": "Proposed to open"}, "open"),
        ({"type_code": "47", "type_name": "Children's centre"}, "register"),
        ({"type_code": "29", "type_name": "Higher education institutions"}, "register"),
    ],
)
def test_the_error_for_a_school_that_cannot_register_says_why(transaction, overrides, message):
    with pytest.raises(signup.CannotRegister) as refused, transaction():
        signup.school_to_register(a_school(**overrides).id, None)
    assert message in refused.value.message
    assert refused.value.next_steps == (("Find another school", "/register"),)


def test_a_school_about_to_close_may_still_register(transaction):
    with transaction():
        school = a_school(status_code="3", status_name="Open, but proposed to close")

        assert signup.school_to_register(school.id, None) is school


def test_a_school_that_closed_while_it_was_registering_is_not_registered(transaction):
    with transaction():
        registration = a_registration()
        verify_address(registration)
        registration.school.status_code = "2"
        registration_id = registration.id

    with pytest.raises(signup.CannotRegister), transaction() as database:
        signup.complete(
            database.get_one(Registration, registration_id), details(), generated_password(), browser=OWN_BROWSER
        )


def test_a_rejected_school_registers_again_under_another_estab_id(transaction):
    with transaction():
        school = a_school(dfe_number="3124567")
        an_estab(school, state="rejected")

        assert complete(a_registration(school)) == "registered"
        estab = accounts.find_by_school(school.id)
        assert estab is not None
        assert estab.estab_id != "3124567"


def test_someone_who_acts_for_another_school_signs_in_to_this_one_by_username(transaction):
    with transaction() as database:
        elsewhere = an_administrator(email="office@oakhill.example")
        registration = a_registration()
        complete(registration)

        owner = database.get_one(Administrator, registration.administrator_id)
        assert owner.sign_in_email is None
        assert elsewhere.sign_in_email == "office@oakhill.example"


def test_the_partner_behind_a_pending_request_is_remembered(transaction):
    with transaction():
        client = a_client()
        path = f"/oauth/authorize?client_id={client.id}&request_uri=urn:x"

        assert a_registration(return_to=path).client_id == client.id
        assert a_registration(return_to="/oauth/authorize?client_id=unknown").client_id is None
        assert a_registration(return_to="/oauth/authorize?client_id=%00&client_id=x").client_id is None
