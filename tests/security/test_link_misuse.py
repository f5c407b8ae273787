"""security.md S28: the link of a registration replayed, expired, superseded, for another purpose, or fetched by a
scanner.
"""

from datetime import timedelta

import pytest

from idp.estabs.models import Estab
from idp.onboarding.models import EmailVerification, Registration
from tests.factories import a_school
from tests.onboarding.visitor import Visitor

DETAILS = {"name": "Jo Bloggs", "email": "office@oakhill.example", "mobile": "07700 900123", "declaration": "y"}


@pytest.fixture
def office(web):
    return Visitor(web)


@pytest.fixture
def phone(new_browser):
    return Visitor(new_browser())


@pytest.fixture
def link(office, transaction, outbox, clock):
    """The link of a registration begun in the office's browser."""
    with transaction():
        school = a_school()
    office.open(f"/register/details?school={school.id}")
    office.press("sign-up", **DETAILS)
    return outbox.last("verify_email").links[0]


def is_verified(transaction):
    with transaction() as database:
        return database.query(Registration).one().is_verified


def test_a_scanner_that_fetches_the_link_does_not_use_it(link, new_browser, phone, transaction):
    for _ in range(5):
        scanner = new_browser()
        assert scanner.get(link).status_code == 200
        assert scanner.head(link).status_code == 200
        assert scanner.options(link).status_code == 200

    assert not is_verified(transaction)
    phone.open(link)
    phone.press("verify")
    assert is_verified(transaction)


def test_a_used_link_continues_in_the_same_browser(link, office):
    office.open(link)
    office.press("verify")

    assert office.open(link).title == "Sign up"


def test_a_used_link_in_another_browser_says_so_and_offers_a_new_one(link, office, phone, outbox, clock):
    office.open(link)
    office.press("verify")
    page = phone.open(link)

    assert (page.status, page.text_of("error-code")) == (410, "link_used")
    assert page.title == "This link has been used already"
    clock.move(timedelta(minutes=1))
    assert phone.press("new-link").title == "Check your e-mail"
    assert len(outbox.all("verify_email")) == 2


def test_a_link_replayed_after_signing_up_is_refused(link, office, phone, outbox, transaction):
    office.open(link)
    office.press("verify")
    office.press("sign-up")
    page = phone.open(link)

    assert page.text_of("error-code") == "link_used"
    phone.press("new-link")
    assert len(outbox.all("verify_email")) == 1, "there is nothing left to verify"
    with transaction() as database:
        assert database.query(Estab).count() == 1


def test_an_expired_link_says_so_and_offers_a_new_one_to_the_same_address(link, phone, outbox, clock):
    clock.move(timedelta(hours=1))
    page = phone.open(link)
    assert (page.status, page.text_of("error-code")) == (410, "link_expired")

    phone.press("new-link")
    message = outbox.last("verify_email")
    assert message.to == "office@oakhill.example"
    phone.open(message.links[0])
    assert phone.press("verify").title == "Where do you want to continue?"
    assert "password" not in phone.page.text, "a person who joins a school's account is shown no password"


def test_the_recipient_of_a_new_link_cannot_be_chosen(link, phone, outbox, clock):
    clock.move(timedelta(hours=1))
    phone.open(link)
    phone.press("new-link", email="evil@elsewhere.example", to="evil@elsewhere.example")

    assert {message.to for message in outbox.all()} == {"office@oakhill.example"}


def test_a_superseded_link_says_so(link, office, phone, clock):
    clock.move(timedelta(minutes=1))
    office.press("resend")

    page = phone.open(link)
    assert (page.status, page.text_of("error-code")) == (410, "link_superseded")


def test_a_link_to_an_address_that_was_corrected_verifies_neither(link, office, phone, transaction, clock):
    clock.move(timedelta(minutes=1))
    office.press("correct", email="right@oakhill.example")

    assert phone.open(link).text_of("error-code") == "link_superseded"
    assert not is_verified(transaction)


def test_a_link_for_another_purpose_is_unknown(link, phone, transaction):
    with transaction() as database:
        database.query(EmailVerification).one().purpose = "invite"

    page = phone.open(link)
    assert (page.status, page.text_of("error-code")) == (404, "link_unknown")


@pytest.mark.parametrize("secret", ["x", "A" * 43, "A" * 2000, "%00", "..%2f..", "\N{SNOWMAN}"])
def test_a_link_we_never_made_is_unknown(phone, app, secret):
    assert phone.open(f"/register/verify/{secret}").status == 404


def test_the_response_to_a_request_for_a_new_link_is_the_same_for_every_link(link, phone, outbox, clock):
    phone.open(link)
    token = phone.page.soup.find("input", {"name": "csrf_token"})["value"]
    clock.move(timedelta(minutes=1))

    responses = [
        phone.client.post(f"{url}/new", data={"csrf_token": token})
        for url in (link, link.rpartition("/")[0] + "/never-made")
    ]
    assert len({(response.status_code, response.location) for response in responses}) == 1


def test_verifying_needs_this_browsers_own_form(link, phone, transaction):
    phone.client.post(link)

    assert not is_verified(transaction)


def test_no_link_is_built_from_the_host_header(transaction, app, outbox, web):
    with transaction():
        school = a_school()
    response = web.get(f"/register/details?school={school.id}", base_url="http://evil.example")

    assert response.status_code == 400
