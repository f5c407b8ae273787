"""Asking a colleague to decide about sharing: the mail to them, and that pages do not reveal who has an account."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from idp.audit import events
from idp.audit.models import Entry
from idp.estabs.models import Administrator, Estab
from idp.foundation import clock as clocks
from idp.oidc.endpoints import ask_colleague
from idp.sharing.models import Authorisation, Decision
from idp.signin.models import BrowserSession
from tests import factories
from tests.oidc.devices import GRANTS, Device, enter
from tests.oidc.support import address, follow_redirects, page, press, sign_in
from tests.oidc.test_consent import consent_page

COLLEAGUE_EMAIL = "head@oakhill.sch.uk"


@pytest.fixture
def consent_response(web, world):
    """The page on which Jo Bloggs is asked."""
    return consent_page(web, world)


def hand_over(web, response, to=COLLEAGUE_EMAIL, **fields):
    return press(web, response, "hand-over", email=to, **fields)


def shown_messages(response):
    return " ".join(
        " ".join(element.get_text(" ").split())
        for element in page(response).select(".message.success, .message.problem")
    )


def test_the_colleague_gets_a_mail_of_ours_with_the_way_to_the_service(web, world, consent_response, outbox):
    response = hand_over(web, consent_response)

    assert response.status_code == 303
    assert response.location == address(consent_response)
    assert "We have written to h…@oakhill.sch.uk" in shown_messages(follow_redirects(web, response))
    mail = outbox.last("decide_sharing")
    assert mail.to == COLLEAGUE_EMAIL
    for words in ("Jo Bloggs", world.school, "Assembly"):
        assert words in mail.text
    assert mail.links == ["https://assembly.example/initiate?iss=http%3A%2F%2Flocalhost%3A5000"]


def test_ticks_are_kept_and_nothing_is_decided(web, world, consent_response):
    response = follow_redirects(web, hand_over(web, consent_response, area=["attendance"]))

    assert page(response).find(id="area-attendance").has_attr("checked")
    assert not page(response).find(id="area-students.sen").has_attr("checked")
    assert not page(response).find(id="email").get("value")
    assert "has not been sent yet" not in response.text
    with world.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Authorisation)) == 0
        assert session.scalar(select(func.count()).select_from(Decision)) == 0
    assert press(web, response, "deny").status_code == 303


def test_a_removed_tick_stays_removed(web, world, consent_response, clock):
    follow_redirects(web, press(web, consent_response, "allow", authority="y", area=["attendance"]))
    clock.move(timedelta(minutes=1))
    again = follow_redirects(
        web, web.get(world.partner.link(scope="openid school students attendance", prompt="consent"))
    )
    assert page(again).find(id="area-attendance").has_attr("checked")

    response = follow_redirects(web, hand_over(web, again, area=None))
    assert not page(response).find(id="area-attendance").has_attr("checked")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "Enter your colleague's e-mail address"),
        ("head at oakhill", "Enter an e-mail address in the right form"),
        ("a@b.example, c@d.example", "Enter an e-mail address in the right form"),
        ("head@gmial.com", "Did you mean head@gmail.com?"),
    ],
)
def test_a_wrong_address_is_explained_and_nothing_is_lost(web, consent_response, outbox, typed, message):
    response = hand_over(web, consent_response, typed, area=["attendance"], authority="y")

    assert response.status_code == 422
    assert message in page(response).find(class_="error-summary").text
    assert page(response).find("title").text.startswith("Error: ")
    soup = page(response).find(id="someone-else")
    assert soup.has_attr("open")
    assert soup.find(id="email")["value"] == typed
    assert page(response).find(id="area-attendance").has_attr("checked")
    assert page(response).find(id="authority").has_attr("checked")
    assert outbox.all("decide_sharing") == []


def test_an_address_that_looks_mistyped_is_accepted_the_second_time(web, consent_response, outbox):
    response = hand_over(web, consent_response, "head@gmial.com")
    assert hand_over(web, response, "head@gmial.com").status_code == 303
    assert outbox.last("decide_sharing").to == "head@gmial.com"


def test_enter_in_the_address_field_sends_the_mail_and_elsewhere_does_nothing(web, consent_response, outbox):
    first = page(consent_response).find(id="allow").find_parent("form").find("button")
    assert first["name"] == "hand_over"
    assert first["tabindex"] == "-1"
    data = {field["name"]: field.get("value", "") for field in page(consent_response).select("input[type=hidden]")}
    data[first["name"]] = first["value"]

    ignored = web.post(address(consent_response), data=data | {"email": "", "area": ["attendance"]})
    assert ignored.status_code == 303
    response = follow_redirects(web, ignored)
    assert page(response).find(id="area-attendance").has_attr("checked")
    assert shown_messages(response) == ""
    assert outbox.all("decide_sharing") == []

    assert web.post(address(consent_response), data=data | {"email": COLLEAGUE_EMAIL}).status_code == 303
    assert outbox.last("decide_sharing").to == COLLEAGUE_EMAIL


def test_an_unverified_school_is_told_what_to_do_and_sends_nothing(web, world, outbox):
    world.change(Estab, world.estab, state="unverified")
    consent_response = consent_page(web, world)
    soup = page(consent_response).find(id="someone-else")
    assert "ask your colleague to start from Assembly" in " ".join(soup.text.split())
    assert soup.find("input") is None
    assert soup.find("button") is None

    token = page(consent_response).find("input", {"name": "csrf_token"})["value"]
    forged = web.post(
        address(consent_response), data={"csrf_token": token, "hand_over": "yes", "email": COLLEAGUE_EMAIL}
    )
    assert forged.status_code == 303
    assert outbox.all("decide_sharing") == []


def test_a_viewer_cannot_send_a_mail_to_a_colleague(web, world, outbox):
    with world.transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="viewer", role="viewer")
    consent_response = consent_page(web, world, username="viewer")
    token = page(consent_response).find("input", {"name": "csrf_token"})["value"]
    web.post(address(consent_response), data={"csrf_token": token, "hand_over": "yes", "email": COLLEAGUE_EMAIL})
    assert outbox.all("decide_sharing") == []


def test_mails_to_colleagues_are_limited_per_hour(web, consent_response, outbox, clock):
    for number in range(ask_colleague.MAX_MAILS_AN_HOUR):
        consent_response = follow_redirects(web, hand_over(web, consent_response, f"head{number}@oakhill.sch.uk"))
    refused = hand_over(web, consent_response, area=["attendance"])

    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert "You have asked several colleagues" in page(refused).find(class_="error-summary").text
    assert page(refused).find(id="area-attendance").has_attr("checked")
    assert len(outbox.all("decide_sharing")) == ask_colleague.MAX_MAILS_AN_HOUR


def test_the_limit_is_counted_per_person(web, new_browser, world, consent_response, outbox):
    for number in range(ask_colleague.MAX_MAILS_AN_HOUR):
        consent_response = follow_redirects(web, hand_over(web, consent_response, f"head{number}@oakhill.sch.uk"))
    with world.transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="second", role="admin")
    browser = new_browser()
    assert hand_over(browser, consent_page(browser, world, username="second")).status_code == 303


def test_the_response_is_the_same_for_a_colleague_who_has_an_account(web, world, consent_response, outbox):
    with world.transaction() as session:
        address = session.get_one(Administrator, world.person).email
    responses = []
    for to in (address, f"un{address}"):
        response = hand_over(web, consent_response, to)
        responses.append((response.status_code, response.location, len(response.data)))
    assert responses[0] == responses[1]
    known_mail, unknown_mail = outbox.all("decide_sharing")
    assert (known_mail.subject, known_mail.text) == (unknown_mail.subject, unknown_mail.text)


def test_the_audit_entry_does_not_hold_the_address(web, world, consent_response):
    hand_over(web, consent_response)
    with world.transaction() as session:
        entry = session.scalars(select(Entry).where(Entry.event == events.SHARING_HANDED_OVER)).one()
        assert (entry.actor, entry.estab, entry.client) == (world.person, world.estab, world.partner.id)
        assert COLLEAGUE_EMAIL not in repr(vars(entry))


def test_an_address_typed_while_signed_out_is_kept_and_nothing_is_sent(web, consent_response, outbox, world):
    with world.transaction() as session:
        session.execute(update(BrowserSession).values(ended_at=clocks.now()))
    response = follow_redirects(
        web, sign_in(web, follow_redirects(web, hand_over(web, consent_response)), world.username)
    )
    assert outbox.all("decide_sharing") == []
    assert page(response).find(id="someone-else").has_attr("open")
    assert page(response).find(id="email")["value"] == COLLEAGUE_EMAIL
    assert "has not been sent yet" in response.text


def test_a_device_is_connected_by_the_colleague_with_a_code_of_its_own(new_browser, web, world, outbox):
    device = Device(new_browser(), world.new_partner(grant_types=GRANTS))
    device.request_codes()
    consent_response = enter(web, device.codes["user_code"], world.username)
    soup = page(consent_response).find(id="someone-else")
    assert "with a new code from it" in " ".join(soup.text.split())
    assert soup.find("input") is None
