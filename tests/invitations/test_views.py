"""The page behind the link of a partner's invitation, as its readers see it."""

from datetime import timedelta
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from idp.estabs.models import Estab
from idp.foundation.database import session
from idp.invitations import answer, invite, mailing, states
from idp.invitations.models import InvitationLink
from idp.partners import registry
from idp.schools.models import School
from idp.sharing import authorise
from tests.factories import a_client, a_partner, a_school, an_administrator, an_estab
from tests.onboarding.visitor import Visitor

HEAD_NAME, HEAD_EMAIL = "Al Bloggs", "head@oakhill.example"
BO = {"name": "Bo Bloggs", "email": "bo@oakhill.example"}


class Ids(NamedTuple):
    """Ids of the partner's client, and of the school."""

    client: str
    school: int


@pytest.fixture
def ids(transaction, clock):
    with transaction():
        client = a_client(a_partner(name="Groupcall"), client_name="Assembly", tos_uri="https://assembly.example/terms")
        return Ids(client.id, a_school(name="Oakhill School").id)


@pytest.fixture
def send(ids, transaction, outbox):
    """`send()` invites the school, and returns the path of the link."""

    def send_invitation(client_id=ids.client, scopes=("school", "students", "students.sen")):
        with transaction():
            request = invite.InvitationRequest(
                session().get_one(School, ids.school), HEAD_NAME, HEAD_EMAIL, frozenset(scopes)
            )
            invite.invite(registry.client(client_id), request)
        return outbox.last("partner_invitation").path

    return send_invitation


@pytest.fixture
def reader(web):
    return Visitor(web)


@pytest.fixture
def other_browser(new_browser):
    return Visitor(new_browser())


def status(transaction, ids):
    with transaction():
        return states.list_for_client(ids.client)[-1]


def press(visitor, button, **fields):
    """Press a button; returns the response, without following a redirect."""
    data = visitor.page.fields(button) | fields
    return visitor.client.post(urlsplit(visitor.page.path).path, data=data)


def authorise_for_school(transaction, ids):
    with transaction():
        owner = an_administrator(an_estab(session().get_one(School, ids.school)), name="Secret Owner").memberships[0]
        client = registry.client(ids.client)
        authorise.give(
            client,
            frozenset({"openid", "students"}),
            by=owner,
            agreement_version="1",
            until=authorise.default_end(client),
        )


def test_the_page_says_who_asks_for_which_school_for_what_and_why(send, reader):
    page = reader.open(send())
    assert page.title == "Connect Oakhill School?"
    for text in (
        "Assembly, by Groupcall, asks to connect to your school.", "Oakhill School, London", "https://assembly.example",
        "Showing schools what their data says.", "Data it needs", "Data that your school can choose to share",
        "Specially protected", "version 2026-01", "Do you have authority to agree to this?",
    ):  # fmt: skip
        assert text in page.text
    for label, address in (("privacy notice", "privacy"), ("terms of service", "terms"), ("agreement", "agreement")):
        assert page.link(label) == f"https://assembly.example/{address}"
    assert HEAD_NAME not in page.text
    assert HEAD_EMAIL not in page.text


def test_opening_the_pages_changes_nothing(send, ids, transaction, new_browser):
    link = send()
    for path in (link, f"{link}/pass-on"):
        for request in (new_browser().get, new_browser().head, new_browser().options):
            assert request(path).status_code == 200
    assert status(transaction, ids).state == "sent"
    with transaction() as database:
        assert database.query(InvitationLink).one().used_at is None


def test_accepting_redirects_to_the_partner_with_iss_only(send, reader, ids, transaction):
    link = send()
    reader.open(link)
    response = press(reader, "yes")
    assert response.status_code == 303
    assert response.location.partition("?")[0] == "https://assembly.example/initiate"
    assert parse_qs(urlsplit(response.location).query) == {"iss": ["http://localhost:5000"]}
    assert status(transaction, ids).state == "opened"
    page = reader.open(link)
    assert (page.status, page.text_of("error-code"), page.title) == (410, "invitation_begun", "You have already begun")
    assert page.link("continue") == response.location


def test_the_form_may_lead_to_the_partner(send, reader):
    policy = reader.open(send()).response.headers["Content-Security-Policy"]
    assert "form-action" not in policy


def test_without_initiate_login_uri_a_page_links_to_the_partners_site(send, reader, transaction):
    with transaction():
        client_id = a_client(initiate_login_uri=None, client_uri="https://app.example").id
    reader.open(send(client_id))
    page = reader.press("yes")
    assert "Please continue at Assembly" in page.text
    assert page.link("continue") == "https://app.example"


def test_accepting_twice_redirects_to_the_partner_again(send, reader, ids, transaction):
    reader.open(send())
    first = press(reader, "yes")
    page = reader.press("yes")
    assert (page.title, page.link("continue")) == ("You have already begun", first.location)


def test_passing_an_invitation_on_tells_the_partner_its_state_only(
    send, reader, other_browser, ids, transaction, outbox
):
    link = send()
    reader.open(link)
    reader.open(reader.page.link("someone-else"))
    assert reader.page.title == "Who decides this at Oakhill School?"
    page = reader.press("pass-on", name="Bo", email="not an address")
    assert page.status == 422
    assert "Enter an e-mail address in the right form" in page.text
    assert page.soup.find(id="name")["value"] == "Bo"
    assert reader.press("pass-on", **BO).title == "We have written to your colleague"

    current = status(transaction, ids)
    assert current.state == "forwarded"
    assert (current.invitation.disclosed_name, current.invitation.disclosed_email) == (None, None)
    assert (current.invitation.contact_name, current.invitation.contact_email) == (HEAD_NAME, HEAD_EMAIL)
    message = outbox.last("partner_invitation_forwarded")
    assert message.to == BO["email"]
    for part in (message.subject, message.text, message.html):
        for word in ("Al Bloggs", "Bo Bloggs", "head@"):
            assert word not in part
    assert "A colleague" in message.html
    assert reader.open(link).text_of("error-code") == "invitation_forwarded"
    assert other_browser.open(message.path).title == "Connect Oakhill School?"
    assert press(other_browser, "yes").location.startswith("https://assembly.example/initiate")
    assert status(transaction, ids).state == "opened"


def test_the_partner_sees_the_new_person_only_if_the_box_is_ticked(send, reader, ids, transaction):
    reader.open(f"{send()}/pass-on")
    assert "Tell Assembly who it is" in reader.page.text
    reader.press("pass-on", **BO, disclose="y")
    current = status(transaction, ids).invitation
    assert (current.disclosed_name, current.disclosed_email) == ("Bo Bloggs", "bo@oakhill.example")


def test_a_disclosed_name_is_removed_when_the_invitation_is_passed_on_without_the_box(
    send, reader, other_browser, ids, transaction, outbox
):
    reader.open(f"{send()}/pass-on")
    reader.press("pass-on", **BO, disclose="y")
    other_browser.open(f"{outbox.last('partner_invitation_forwarded').path}/pass-on")
    other_browser.press("pass-on", name="Di Bloggs", email="di@oakhill.example")
    assert status(transaction, ids).invitation.disclosed_name is None


@pytest.mark.parametrize("name", ["Your refund is waiting", "evil.example", "call 0900 123", "<b>Bo</b>"])
def test_a_name_that_contains_a_message_is_refused(name, send, reader, outbox):
    reader.open(f"{send()}/pass-on")
    assert reader.press("pass-on", name=name, email=BO["email"]).status == 422
    assert outbox.all("partner_invitation_forwarded") == []


def test_an_invitation_is_passed_on_to_another_address_and_at_most_three_times(
    send, reader, outbox, ids, transaction, clock
):
    reader.open(f"{send()}/pass-on")
    page = reader.press("pass-on", name="Al", email=HEAD_EMAIL.upper())
    assert page.status == 422
    assert "this is the one that we wrote to" in page.text
    for number in range(answer.MAX_FORWARDS):
        clock.move(timedelta(minutes=1))
        reader.press("pass-on", name="Bo", email=f"bo{number}@oakhill.example")
        assert reader.page.title == "We have written to your colleague"
        reader.open(f"{outbox.last('partner_invitation_forwarded').path}/pass-on")
    page = reader.press("pass-on", name="Bo", email="last@oakhill.example")
    assert page.status == 422
    assert "has been passed on several times" in page.text
    assert len(outbox.all("partner_invitation_forwarded")) == answer.MAX_FORWARDS
    reader.open(outbox.last("partner_invitation_forwarded").path)
    assert press(reader, "yes").status_code == 303  # refused attempts do not use the link up


def test_an_address_that_got_too_many_mails_today_is_refused_in_the_form(send, reader, ids, transaction, monkeypatch):
    link = send()
    monkeypatch.setattr(mailing, "MAX_MAILS_TO_ADDRESS", 0)
    reader.open(f"{link}/pass-on")
    page = reader.press("pass-on", **BO)
    assert page.status == 429
    assert "several invitations to this e-mail address today" in page.text
    assert status(transaction, ids).state == "sent"


def test_a_reader_declines_the_invitation(send, reader, ids, transaction):
    link = send()
    reader.open(link)
    assert reader.press("not-for-us").title == "Thank you for telling us"
    assert status(transaction, ids).state == "declined"
    page = reader.open(link)
    assert (page.status, page.text_of("error-code")) == (410, "invitation_declined")
    assert "ask the service to invite your school again" in page.text


def test_each_unusable_link_shows_an_error_code_and_what_to_do(send, reader, ids, transaction, clock):
    link = send()
    clock.move(timedelta(days=14))
    assert "ask the service to send it again" in reader.open(link).text
    assert reader.page.text_of("error-code") == "link_expired"
    with transaction():
        invite.resend(registry.client(ids.client), status_id(ids))
    assert reader.open(link).text_of("error-code") == "link_superseded"
    with transaction():
        invite.cancel(ids.client, status_id(ids))
    assert reader.open(link).text_of("error-code") == "invitation_cancelled"
    assert reader.open(f"{link}/pass-on").text_of("error-code") == "invitation_cancelled"
    page = reader.open("/invitations/unknown")
    assert (page.status, page.text_of("error-code")) == (404, "link_unknown")


def status_id(ids):
    return states.list_for_client(ids.client)[-1].invitation.id


def test_the_page_of_a_connected_school_says_so_and_nothing_about_its_account(
    send, reader, ids, transaction, other_browser
):
    link = send()
    other_browser.open(link)
    authorise_for_school(transaction, ids)
    page = reader.open(link)
    assert page.title == "Oakhill School is already connected"
    assert page.link("continue").startswith("https://assembly.example/initiate?iss=")
    assert page.soup.find("main").find("form") is None
    assert "Secret Owner" not in page.response.text
    assert "students" not in page.text.casefold()
    assert reader.open(f"{link}/pass-on").title == "Oakhill School is already connected"
    # The page was opened before the school connected.
    assert other_browser.press("not-for-us").title == "Oakhill School is already connected"
    assert status(transaction, ids).state == "accepted"


@pytest.mark.parametrize("account", ["unverified", "suspended", "rejected"])
def test_an_account_that_is_not_active_and_verified_does_not_affect_the_invitation(
    account, send, reader, ids, transaction
):
    link = send()
    authorise_for_school(transaction, ids)
    with transaction() as database:
        database.query(Estab).one().state = account
    assert reader.open(link).title == "Connect Oakhill School?"
    assert reader.press("not-for-us").title == "Thank you for telling us"
    assert status(transaction, ids).state == "declined"


def test_the_page_is_the_same_for_a_school_with_an_account_that_is_not_connected(send, reader, ids, transaction):
    def page_of_new_link():
        page = reader.open(send()).response
        return page.status_code, Visitor(reader.client).open(page.request.path).text

    before = page_of_new_link()
    with transaction():
        an_administrator(an_estab(session().get_one(School, ids.school)), email=HEAD_EMAIL)
    assert page_of_new_link() == before


def test_a_form_without_an_answer_is_refused(send, reader, ids, transaction):
    reader.open(send())
    assert reader.press("yes", answer="maybe").status == 400
    assert status(transaction, ids).state == "sent"


def registration_page(reader, client_id):
    """The page on which a school is found, reached from a request of this client."""
    return reader.open(f"/register?next=/oauth/authorize?client_id%3D{client_id}%26request_uri%3Durn:x")


def test_the_invited_school_is_found_at_once_when_the_partner_asks_to_register_it(reader, other_browser, send, ids):
    reader.open(send())
    press(reader, "yes")
    registration_page(reader, ids.client)
    assert reader.page.soup.select_one("input[name=school]:checked")["value"] == str(ids.school)
    registration_page(other_browser, ids.client)
    assert other_browser.page.soup.select_one("input[name=school]") is None


def test_the_invited_school_is_not_offered_for_the_request_of_another_partner(reader, send, transaction):
    with transaction():
        another = a_client(client_name="Timetabler").id
    reader.open(send())
    press(reader, "yes")
    registration_page(reader, another)
    assert reader.page.soup.select_one("input[name=school]") is None
    reader.open("/register")
    assert reader.page.soup.select_one("input[name=school]") is None


def test_another_school_can_be_searched_for_in_place_of_the_invited_one(reader, send, ids, transaction):
    with transaction():
        school = a_school(name="Ash Lane School")
        other, number = school.id, school.register_id
    reader.open(send())
    press(reader, "yes")
    reader.open(f"/register?next=/oauth/authorize?client_id%3D{ids.client}&q={number}")
    assert reader.page.soup.select_one("input[name=school]:checked")["value"] == str(other)
