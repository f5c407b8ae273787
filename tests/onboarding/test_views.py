"""The pages of registering a school, from the details to the credentials."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from idp.estabs.models import Administrator, Estab
from idp.foundation import runtime
from idp.foundation.load_settings import load
from idp.onboarding.models import Registration
from tests.factories import PASSWORD, a_client, a_partner, a_school, an_administrator

ISSUER = load().server.issuer
JO = {"name": "Jo Bloggs", "email": "office@oakhill.example", "mobile": "07700 900123", "declaration": "y"}


def fill_in_details(visitor, school, pending=None, **overrides):
    visitor.open(f"/register/details?school={school.id}" + (f"&next={quote(pending)}" if pending else ""))
    return visitor.press("sign-up", **(JO | overrides))


def link(outbox):
    return outbox.last("verify_email").links[0]


def verify(visitor, outbox):
    visitor.open(link(outbox))
    return visitor.press("verify")


def register(visitor, school, outbox, pending=None):
    fill_in_details(visitor, school, pending)
    verify(visitor, outbox)
    return visitor.press("sign-up")


@pytest.mark.parametrize(
    "typed", ["/XodRegister/School", "/xodregister/school", "/XODREGISTER/SCHOOL/", "/XodRegister/School/"]
)
def test_the_former_url_redirects_to_registration(web, typed):
    response = web.get(typed)

    assert (response.status_code, response.location) == (301, "/register")


@pytest.mark.parametrize(
    "typed", ["/xodregister", "/xodregister/schools", "/x/xodregister/school", "/xodregister/school/x"]
)
def test_similar_urls_are_not_found(web, typed):
    assert web.get(typed).status_code == 404


def test_details_are_kept_and_each_error_leads_to_its_field(office, school):
    page = fill_in_details(office, school, name="", mobile="020 7946 0000", email="Office@Oakhill.example")

    assert page.status == 422
    assert page.soup.title.text.startswith("Error: ")
    assert {a["href"] for a in page.soup.select(".error-summary a")} == {"#name", "#mobile"}
    assert page.soup.find(id="email")["value"] == "Office@Oakhill.example"
    assert page.soup.find(id="mobile")["value"] == "020 7946 0000"


def test_typed_details_are_kept_when_the_school_is_changed(office, school, transaction):
    fill_in_details(office, school)
    with transaction():
        other = a_school()

    page = office.open(f"/register/details?school={other.id}")
    assert page.soup.find(id="email")["value"] == "office@oakhill.example"
    assert page.soup.find(id="mobile")["value"] == "07700 900123"


def test_signing_up_sends_a_link_and_the_page_waits_for_it(office, school, outbox):
    page = fill_in_details(office, school)

    assert page.title == "Check your e-mail"
    assert "office@oakhill.example" in page.text
    poll = page.poll_url
    assert office.client.get(poll).json["done"] is False
    verify(office, outbox)
    assert office.client.get(poll).json["done"] is True
    assert office.open(office.client.get(poll).json["next"]).title == "Sign up"


def test_after_verification_the_form_is_filled_in_and_says_that_the_address_is_verified(office, school, outbox):
    fill_in_details(office, school)
    page = verify(office, outbox)

    assert "Your e-mail address is verified" in page.text
    assert page.soup.find(id="name")["value"] == "Jo Bloggs"
    assert page.soup.find(id="mobile")["value"] == "07700 900123"
    assert page.soup.find(id="declaration").has_attr("checked")
    assert "office@oakhill.example" in page.text


def test_signing_up_again_shows_username_and_password_once_and_signs_in(office, school, outbox, transaction):
    page = register(office, school, outbox)

    assert page.text_of("estab-id") == "3124567"
    assert page.response.headers["Cache-Control"] == "no-store"
    with transaction() as database:
        owner = database.query(Administrator).one()
        assert runtime.passwords().matches(owner.password_hash, page.text_of("passphrase"))
    assert page.text_of("passphrase") not in "".join(message.text for message in outbox.all())
    assert office.open("/register/next-steps").title == "Next steps"


def test_details_corrected_on_the_second_form_are_the_ones_kept(office, school, outbox, transaction):
    fill_in_details(office, school)
    verify(office, outbox)
    office.press("sign-up", name="Joanna Bloggs", mobile="07911 123456")

    with transaction() as database:
        owner = database.query(Administrator).one()
        assert (owner.name, owner.mobile) == ("Joanna Bloggs", "+447911123456")


def test_a_password_of_ones_own_replaces_the_one_shown(office, school, outbox, transaction):
    page = register(office, school, outbox)
    shown = page.text_of("passphrase")
    _, form = page.button_and_form("own-password")
    username_field = form.find("input", {"type": "text", "autocomplete": "username"})  # a password manager keeps both
    assert username_field["value"] == page.text_of("estab-id")
    page = office.press("own-password", password="oak hill")
    assert page.status == 422
    assert "at least 12 characters" in page.text
    fresh = page.text_of("passphrase")  # after a refused password, the page shows a new one that works
    assert "The password that we showed you before no longer" in page.text
    with transaction() as database:
        stored = database.query(Administrator).one().password_hash
        assert runtime.passwords().matches(stored, fresh)
        assert not runtime.passwords().matches(stored, shown)

    with transaction():
        a_partner(name="Timetabler")
    # It contains the name of a partner, which is public.
    assert office.press("own-password", password="Timetabler4ever").status == 422

    page = office.press("own-password", password="purple otters juggle marmalade")
    assert page.title == "Next steps"
    assert "Your own password is set" in page.text
    with transaction() as database:
        stored = database.query(Administrator).one().password_hash
        assert runtime.passwords().matches(stored, "purple otters juggle marmalade")
        assert not runtime.passwords().matches(stored, shown)


def test_a_password_page_that_was_lost_can_be_requested_again_for_a_while(office, school, outbox, clock, transaction):
    fill_in_details(office, school)
    verify(office, outbox)
    form = office.page
    lost = office.press("sign-up").text_of("passphrase")

    office.page = form  # the back button, or the second of two clicks
    page = office.press("sign-up")
    assert page.title == "Your school is registered"
    assert lost not in page.text
    fresh = office.press("new-password").text_of("passphrase")
    with transaction() as database:
        assert database.query(Estab).count() == 1
        assert runtime.passwords().matches(database.query(Administrator).one().password_hash, fresh)

    clock.move(timedelta(minutes=16))
    page = office.open(f"/register/{only_registration(transaction).id}/done")
    assert "new-password" not in page.response.text


def only_registration(transaction):
    with transaction() as database:
        return database.query(Registration).one()


def test_the_last_page_shows_whether_the_person_is_signed_in(office, school, outbox, transaction):
    register(office, school, outbox)
    done = re.sub(r"/[^/]*$", "/done", office.page.path)

    page = office.open(done)
    assert "You are signed in, so you can continue straight away" in page.text
    assert page.soup.find(id="next-steps")["href"] == "/register/next-steps"
    assert page.soup.find(id="sign-in") is None

    office.open("/sign-out")
    office.press("Sign out")
    page = office.open(done)
    assert "You are signed in" not in page.text
    assert page.link("sign-in").startswith("/sign-in")

    with transaction():
        colleague = an_administrator().username
    office.open("/sign-in")
    office.press("sign-in", username=colleague, password=PASSWORD)
    page = office.open(done)
    assert "You are signed in" not in page.text, "another school's account is signed in here"
    assert page.link("sign-in").startswith("/sign-in")


def test_the_browser_that_began_goes_straight_on_to_the_partner(office, school, outbox, pending):
    page = register(office, school, outbox, pending)

    assert page.link("Continue to Assembly") == pending
    assert office.open("/register/next-steps").link("Continue to Assembly") == pending


def test_the_partner_is_named_on_every_page_of_its_request(office, school, pending):
    assert "Assembly" in office.open(f"/register?next={quote(pending)}").text
    assert "Assembly" in office.open(f"/register/details?school={school.id}&next={quote(pending)}").text
    assert "Assembly" not in office.open(f"/register/details?school={school.id}").text


def test_another_browser_may_sign_up_and_restarts_at_the_partner(office, phone, school, outbox, pending):
    waiting = fill_in_details(office, school, pending)
    assert "request_uri" not in verify(phone, outbox).response.text
    phone.press("continue-here")
    page = phone.press("sign-up")

    assert page.text_of("estab-id") == "3124567"
    back = urlsplit(page.link("Go back to Assembly"))
    assert back.netloc == "assembly.example"
    assert parse_qs(back.query) == {"iss": [ISSUER]}
    assert "request_uri" not in page.response.text
    assert phone.open("/register/next-steps").path.startswith("/sign-in"), "it is signed in there"

    page = office.open(waiting.path)
    assert page.title == "Enter the code"
    assert "3124567" not in page.text
    assert parse_qs(urlsplit(page.link("sign-in")).query)["next"] == [pending]


def test_without_a_place_to_restart_the_partner_is_named_and_linked_to(office, phone, school, outbox, transaction):
    with transaction():
        client = a_client(initiate_login_uri=None)
    fill_in_details(office, school, f"/oauth/authorize?client_id={client.id}")
    verify(phone, outbox)
    phone.press("continue-here")

    assert phone.press("sign-up").link("Go to the website of Assembly") == "https://assembly.example"


def test_an_application_without_a_website_is_linked_at_its_companys(office, phone, school, outbox, transaction):
    with transaction():
        company = a_partner(website="https://company.example")
        client = a_client(company, initiate_login_uri=None, client_uri="")
    fill_in_details(office, school, f"/oauth/authorize?client_id={client.id}")
    verify(phone, outbox)
    phone.press("continue-here")

    assert phone.press("sign-up").link("Go to the website of Assembly") == "https://company.example"


def test_without_a_url_of_the_partner_there_is_no_link_to_it(office, phone, school, outbox, transaction):
    with transaction():
        client = a_client(a_partner(website=""), initiate_login_uri=None, client_uri="")
    fill_in_details(office, school, f"/oauth/authorize?client_id={client.id}")
    verify(phone, outbox)
    phone.press("continue-here")
    page = phone.press("sign-up")

    assert page.text_of("passphrase")
    assert "Go to the website" not in page.text
    assert not page.soup.select("main a[href='']")


def test_after_the_link_is_pressed_elsewhere_the_code_lets_the_first_browser_continue_to_the_partner(
    office, phone, school, outbox, pending
):
    fill_in_details(office, school, pending)
    shown = verify(phone, outbox).text_of("code")
    page = office.open("/" + office.page.path.strip("/").removesuffix("/check-email"))
    assert page.title == "Enter the code"

    assert office.press("enter-code", code=shown).title == "Sign up"
    assert office.press("sign-up").link("Continue to Assembly") == pending


def test_a_request_that_must_have_expired_is_not_resumed(office, school, outbox, pending, clock):
    fill_in_details(office, school, pending)
    clock.move(timedelta(hours=2))
    office.press("resend")
    verify(office, outbox)

    assert office.press("sign-up").link("Go back to Assembly").startswith("https://assembly.example/initiate?iss=")


def test_the_link_can_be_sent_again_and_to_another_address(office, school, outbox, clock):
    fill_in_details(office, school)
    clock.move(timedelta(minutes=1))
    assert "We have sent another e-mail" in office.press("resend").text
    assert len(outbox.all("verify_email")) == 2
    assert "a moment ago, so we have not sent another" in office.press("resend").text
    assert len(outbox.all("verify_email")) == 2

    clock.move(timedelta(minutes=1))
    assert office.press("correct", email="no address").status == 422
    page = office.press("correct", email="right@oakhill.example")
    assert "right@oakhill.example" in page.text
    assert outbox.last("verify_email").to == "right@oakhill.example"


def test_too_many_mails_for_an_address_lose_nothing_that_was_typed(office, phone, school, outbox, clock, transaction):
    fill_in_details(office, school)
    for _ in range(4):
        clock.move(timedelta(minutes=1))
        office.press("resend")
    clock.move(timedelta(minutes=1))

    page = fill_in_details(phone, school, name="Sam Smith")
    assert page.status == 429
    assert "only the newest link works" in page.soup.select_one(".error-summary").text
    assert page.soup.find(id="name")["value"] == "Sam Smith"
    assert page.soup.find(id="email")["value"] == "office@oakhill.example"
    assert page.soup.find(id="declaration").has_attr("checked")
    only_registration(transaction)  # a registration that could not begin leaves nothing behind

    clock.move(timedelta(hours=1))
    assert "check-email" in phone.press("sign-up").path


def test_too_many_mails_for_a_corrected_address_change_nothing(office, school, outbox, clock, transaction):
    fill_in_details(office, school)
    for attempt in range(4):
        office.press("correct", email=f"office{attempt}@oakhill.example")

    page = office.press("correct", email="right@oakhill.example")
    assert page.status == 429
    assert "only the newest link works" in page.soup.select_one(".error-summary").text
    assert page.soup.find(id="email")["value"] == "right@oakhill.example"
    assert only_registration(transaction).email == "office3@oakhill.example"


def test_too_many_mails_shows_a_page_that_says_what_to_do(office, school, outbox, clock):
    fill_in_details(office, school)
    for _ in range(4):
        clock.move(timedelta(minutes=1))
        office.press("resend")
    clock.move(timedelta(minutes=1))

    page = office.press("resend")
    assert page.status == 429
    assert "only the newest link works" in page.text


def test_a_person_who_did_not_register_can_stop_the_registration_from_the_mail(office, phone, school, outbox):
    fill_in_details(office, school)
    waiting = office.page
    phone.open(link(outbox))

    assert phone.press("not-me").title == "Thank you for telling us"
    for visitor, path in ((office, waiting.path), (phone, link(outbox)), (office, link(outbox))):
        page = visitor.open(path)  # it stays stopped, and the page says so
        assert page.status == 410
        assert page.title == "This registration has been stopped"
        assert "new-link" not in page.response.text
    assert len(outbox.all("verify_email")) == 1


@pytest.mark.parametrize(
    "hostile", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_return_address_on_another_host_is_not_stored(office, school, outbox, hostile, transaction):
    fill_in_details(office, school, hostile)

    assert only_registration(transaction).return_to is None


@pytest.mark.parametrize("school_number", ["", "abc", "0", "-1", "99999999", "9" * 30, "1\x00"])
def test_an_invalid_school_number_is_not_a_server_error(office, school, school_number):
    assert office.open(f"/register/details?school={quote(school_number)}").status in {200, 404}


def test_the_page_of_a_closed_school_says_so_and_links_to_the_search(office, transaction):
    with transaction():
        closed = a_school(status_code="2", status_name="Closed")

    page = office.open(f"/register/details?school={closed.id}")
    assert page.status == 409
    assert "closed" in page.text
    assert page.link("Find another school") == "/register"
