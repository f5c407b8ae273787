"""security.md S29: registering does not show whether a school or an address is known, until the address is verified.

Known against unknown: equal pages, headers, mails, and number of hashes.
"""

import re
from datetime import timedelta
from typing import NamedTuple

import pytest

from idp.foundation import runtime
from idp.onboarding.models import Registration
from idp.schools.models import School
from tests.factories import a_school, an_administrator, an_estab
from tests.onboarding.visitor import Visitor

DETAILS = {"name": "Sam Smith", "mobile": "07700 900123", "declaration": "y"}


def without_varying_parts(text):
    """A page without what differs between any two: ids, secrets, tokens, nonces and references."""
    text = re.sub(r"reg_[a-z2-7]{26}|nonce-[\w-]+|(?<=value=\")[\w.-]{60,}|(?<=verify/)[\w-]{43}", "…", text)
    return re.sub(r"nonce=\"[\w-]+\"|<code>[0-9a-f]{16}</code>", "…", text)


class ObservedRegistration:
    """A registration, and all that a person can observe of it until they have verified their address."""

    def __init__(self, browser, school, email, outbox):
        self.visitor, self.school, self.email, self.outbox = Visitor(browser), school, email, outbox
        self.observations = []

    def record_page(self):
        page = self.visitor.page
        names = sorted(name for name, _ in page.response.headers)
        cookies = sorted(cookie.partition("=")[0] for cookie in page.response.headers.getlist("Set-Cookie"))
        self.observations.append((page.status, names, cookies, without_varying_parts(page.response.text)))

    def observe(self):
        visitor = self.visitor
        visitor.open(f"/register/details?school={self.school.id}")
        self.record_page()
        visitor.press("sign-in-first", email=self.email, **DETAILS)
        self.record_page()
        visitor.press("cancel")
        visitor.press("sign-up", email=self.email, **DETAILS)
        self.record_page()
        message = self.outbox.last("verify_email")
        assert message.to == self.email
        self.observations.append((message.subject, without_varying_parts(message.text)))
        self.observations.append(without_varying_parts(visitor.client.get(visitor.page.poll_url).text))
        visitor.open(message.links[0])
        self.record_page()
        visitor.press("verify")
        self.record_page()
        assert "Do you already act for another school here?" in visitor.page.text
        return self.observations


@pytest.fixture
def observe_registration(new_browser, outbox, clock):
    """`observe_registration(school, email)` is all that a person observes who registers this school by this address."""

    def observe(school, email):
        clock.move(timedelta(minutes=1))
        return ObservedRegistration(new_browser(), school, email, outbox).observe()

    return observe


def make_school(number):
    return a_school(id=number, name="Oak Hill School", dfe_number=None)


class EqualSchools(NamedTuple):
    """Two schools with equal details, of which one is registered."""

    registered: School
    unregistered: School


@pytest.fixture
def equal_schools(transaction, clock):
    with transaction():
        known, unknown = (make_school(number) for number in (700_001, 700_002))
        an_administrator(an_estab(known), email="owner@oakhill.example")
    return EqualSchools(known, unknown)


def without_ids(observations, school):
    return [str(response).replace(str(school.id), "…") for response in observations]


def test_a_registered_and_an_unregistered_school_get_the_same_responses(observe_registration, equal_schools):
    known, unknown = equal_schools
    first = observe_registration(known, "sam@oakhill.example")
    second = observe_registration(unknown, "sam@oakhill.example")

    assert without_ids(first, known) == without_ids(second, unknown)


def test_an_address_with_and_one_without_an_account_get_the_same_responses(
    observe_registration, transaction, equal_schools
):
    _, unknown = equal_schools
    with transaction():
        another_school = make_school(700_003)
    first = observe_registration(unknown, "owner@oakhill.example")
    second = observe_registration(another_school, "other@oakhill.example")

    assert [text.replace("owner@", "other@") for text in without_ids(first, unknown)] == without_ids(
        second, another_school
    )


def test_no_hash_is_made_before_the_address_is_verified_and_one_after_it(
    equal_schools, app, new_browser, outbox, clock
):
    counts = []
    for school in equal_schools:
        clock.move(timedelta(minutes=1))
        with app.app_context():
            before = runtime.passwords().hashed
        observed = ObservedRegistration(new_browser(), school, "sam@oakhill.example", outbox)
        observed.observe()
        with app.app_context():
            assert runtime.passwords().hashed == before
        observed.visitor.press("sign-up")
        with app.app_context():
            counts.append(runtime.passwords().hashed - before)

    assert counts == [1, 1]


def test_only_the_verified_address_shows_that_the_school_is_registered_and_never_by_whom(
    equal_schools, new_browser, outbox
):
    known, _ = equal_schools
    observed = ObservedRegistration(new_browser(), known, "sam@oakhill.example", outbox)
    observed.observe()
    page = observed.visitor.press("sign-up")

    assert page.title == "We have passed on your request"
    assert "owner@oakhill.example" not in page.response.text
    assert "Jo Bloggs" not in page.response.text
    assert outbox.last("join_request").to == "owner@oakhill.example"
    assert outbox.all("school_registered") == []


def test_an_existing_and_an_unknown_registration_get_the_same_response(
    observe_registration, equal_schools, new_browser, transaction
):
    observe_registration(equal_schools.unregistered, "sam@oakhill.example")
    with transaction() as database:
        exists = database.query(Registration).one().id
    stranger = new_browser()
    responses = [stranger.get(f"/register/{registration_id}") for registration_id in (exists, "reg_" + "a" * 26)]

    assert len({(response.status_code, without_varying_parts(response.text)) for response in responses}) == 1
