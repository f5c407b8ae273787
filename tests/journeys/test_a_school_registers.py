"""A school registers: directly, from a partner, across two browsers, a second time, and until it is verified."""

from datetime import timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from idp.onboarding import review
from idp.schools import files, refresh
from idp.schools.models import School
from tests.factories import a_client
from tests.onboarding.visitor import Visitor

JO = {"name": "Jo Bloggs", "email": "office@willowbank.example", "mobile": "07700 900123", "declaration": "y"}
pytestmark = pytest.mark.usefixtures("register_of_schools")

SAM = JO | {"name": "Sam Smith", "email": "sam@willowbank.example"}


@pytest.fixture
def register_of_schools(transaction, settings):
    """Import the fictional register, which has Willow Bank Primary School, 312/4567."""
    with transaction(), files.open_sources(settings.schools.sample, settings.schools.sample_links) as sample:
        refresh.run(sample)


@pytest.fixture
def pending(transaction):
    """The path and query of a partner's pending request."""
    with transaction():
        return f"/oauth/authorize?client_id={a_client().id}&request_uri=urn:ietf:params:oauth:request_uri:abc"


@pytest.fixture
def office(web):
    """A person at the school's computer."""
    return Visitor(web)


@pytest.fixture
def phone(new_browser):
    """The browser of another device, or of another person."""
    return Visitor(new_browser())


def find(visitor, **fields):
    """Search for a school, and choose the only result; returns the page of details."""
    visitor.press("search" if "q" in fields else "search-by-number", **fields)
    page = visitor.page
    choice = page.soup.find("input", {"name": "school"})
    assert choice is not None, page.text
    return visitor.press("next", school=choice["value"])


def open_mail(visitor, outbox, to):
    """Open the link in the newest mail, which has to be to this person, and confirm the e-mail address."""
    message = outbox.last("verify_email")
    assert message.to == to
    visitor.open(message.links[0])
    return visitor.press("verify")


@pytest.mark.parametrize(
    "fields",
    [{"q": "willow bank"}, {"q": "312/4567"}, {"postcode": "ub8 1wb"}, {"dfe_number": "3124567"}, {"urn": "900001"}],
)
def test_a_school_registers_directly_however_it_was_found(office, outbox, clock, fields):
    # the URL of the previous product, which still works
    assert office.open("/XodRegister/School").title == "Find your school"
    assert find(office, **fields).title == "Your details"
    assert "Willow Bank Primary School" in office.page.text
    assert office.press("sign-up", **JO).title == "Check your e-mail"
    assert open_mail(office, outbox, "office@willowbank.example").title == "Sign up"

    page = office.press("sign-up")
    assert page.text_of("estab-id") == "3124567"
    password = page.text_of("passphrase")
    page = office.open(page.link("next-steps"))
    assert "Wednesday 4 March 2026" in page.text
    assert outbox.last("school_registered").to == "office@willowbank.example"

    other_browser = Visitor(office.client.application.test_client())
    other_browser.open("/sign-in")
    other_browser.press("sign-in", username="312/4567", password=password)
    assert "Willow Bank Primary School" in other_browser.page.text


def test_continuing_without_choosing_a_school_is_an_error(office):
    office.open("/register")
    office.press("search", q="willow bank")

    page = office.press("next", school=None)
    assert page.title == "Find your school"
    assert "Select your school" in page.text


def test_a_school_registers_from_a_partner_and_returns_in_the_same_browser(office, outbox, pending):
    page = office.open(f"/register?next={quote(pending)}")
    assert "Assembly" in page.text
    assert find(office, q="312/4567").title == "Your details"
    office.press("sign-up", **JO)
    open_mail(office, outbox, "office@willowbank.example")

    assert office.press("sign-up").link("Continue to Assembly") == pending
    assert office.open("/register/next-steps").link("Continue to Assembly") == pending


def test_a_link_opened_on_a_telephone_continues_on_the_computer(office, phone, outbox, pending):
    office.open(f"/register?next={quote(pending)}")
    find(office, q="312/4567")
    check_mail_page = office.press("sign-up", **JO)
    open_mail(phone, outbox, "office@willowbank.example")

    status = office.client.get(check_mail_page.poll_url).json
    assert status["done"] is True
    office.open(status["next"])
    assert "Someone opened the link" in office.page.text
    assert office.press("enter-code", code=phone.page.text_of("code")).title == "Sign up"
    assert office.press("sign-up").link("Continue to Assembly") == pending
    assert phone.open("/").title == "Sign in", "the telephone verified the e-mail address, and is not signed in"


def test_a_link_opened_on_a_telephone_completes_the_registration_there(office, phone, outbox, pending):
    office.open(f"/register?next={quote(pending)}")
    find(office, q="312/4567")
    check_mail_page = office.press("sign-up", **JO)
    open_mail(phone, outbox, "office@willowbank.example")
    phone.press("continue-here")
    page = phone.press("sign-up")

    restart = urlsplit(page.link("Go back to Assembly"))
    assert (restart.netloc, list(parse_qs(restart.query))) == ("assembly.example", ["iss"])
    office.open(office.client.get(check_mail_page.poll_url).json["next"])
    sign_in_query = parse_qs(urlsplit(office.page.link("sign-in")).query)
    assert sign_in_query["next"] == [pending], "after signing in on the computer, the request continues"


def test_a_second_person_registers_the_school_and_the_owner_approves(office, phone, outbox, clock, transaction):
    office.open("/register")
    find(office, q="312/4567")
    office.press("sign-up", **JO)
    open_mail(office, outbox, "office@willowbank.example")
    office.press("sign-up")
    with transaction():
        review.verify("3124567", by="cli")

    clock.move(timedelta(minutes=1))
    phone.open("/register")
    find(phone, q="312/4567")
    phone.press("sign-up", **SAM)
    open_mail(phone, outbox, "sam@willowbank.example")
    page = phone.press("sign-up")
    assert page.title == "We have passed on your request"
    assert "Jo Bloggs" not in page.text

    message = outbox.last("join_request")
    assert message.to == "office@willowbank.example"
    office.open(message.links[0])
    office.press("approve", role="admin")
    welcome = outbox.last("join_approved")
    assert welcome.to == "sam@willowbank.example"
    assert phone.open(welcome.links[0]).status == 200


def test_a_school_is_notified_when_our_staff_have_verified_it(office, outbox, transaction, clock):
    office.open("/register")
    find(office, q="312/4567")
    office.press("sign-up", **JO)
    open_mail(office, outbox, "office@willowbank.example")
    office.press("sign-up")
    assert "not yet verified" in office.open("/register/next-steps").text

    with transaction():
        (case,) = review.queue()
        review.verify(case.estab.estab_id, by="cli")
    assert outbox.last("school_verified").to == "office@willowbank.example"
    assert "not yet verified" not in office.open("/register/next-steps").text


def test_the_page_of_a_closed_school_leads_to_registering_its_successor(office, transaction):
    office.open("/register?q=birch+green+primary+school")
    assert "Closed" in office.page.text
    with transaction() as database:
        closed = database.query(School).filter_by(register_id="900109").one().id

    page = office.open(f"/register/details?school={closed}")
    assert (page.status, "closed" in page.text) == (409, True)
    page = office.open(page.link("Register Birch Green Academy"))
    assert page.title == "Your details"
    assert "Birch Green Academy" in page.text


def test_every_link_on_the_page_of_a_closed_school_keeps_the_partners_request(office, transaction, pending):
    with transaction() as database:
        closed = database.query(School).filter_by(register_id="900109").one().id
    page = office.open(f"/register/details?school={closed}&next={quote(pending)}")

    links = [anchor["href"] for anchor in page.soup.select("main a") if anchor["href"].startswith("/register")]
    assert len(links) >= 2
    for link in links:
        assert parse_qs(urlsplit(link).query)["next"] == [pending]
    assert "Assembly" in office.open(links[0]).text
