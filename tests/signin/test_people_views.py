"""The first password of someone who was added to a school."""

from datetime import timedelta
from typing import NamedTuple

import pytest

from idp.estabs import links, people
from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.signin import first_password
from tests.factories import a_partner, an_administrator

OWN_PASSWORD = "wobbly kettle sings at dusk"


class ColleagueLink(NamedTuple):
    """A colleague without a password, and the path of their link."""

    person_id: str
    username: str
    path: str


@pytest.fixture
def colleague_link(transaction, clock):
    with transaction():
        owner = an_administrator()
        person = people.add(
            owner.memberships[0].estab, name="Al", email="al@oakhill.example", mobile="+447700900124", role="admin"
        )
        return ColleagueLink(
            person.id, person.username, links.issue_welcome_url(person).removeprefix("http://localhost:5000")
        )


def test_a_person_chooses_a_password_and_signs_in_with_it(jo, colleague_link, outbox):
    _, username, link = colleague_link
    jo.submit(link, password=OWN_PASSWORD)
    assert jo.response.location == "/sign-in"
    assert not jo.cookie("session")  # a link proves an address; it does not sign in

    jo.open("/sign-in")
    assert "Your password is set" in jo.page_text
    assert jo.sign_in(username, OWN_PASSWORD).status_code == 303
    assert outbox.all("password_changed") == []  # there was no password before


def test_a_password_is_made_for_a_person_shown_once_and_works(jo, colleague_link):
    _, username, link = colleague_link
    jo.submit(link, generate="yes")
    password = jo.page.find(id="password").text

    assert jo.response.status_code == 200
    assert jo.response.headers["Cache-Control"] == "no-store"
    assert jo.page.find(id="username").text == username
    assert jo.open(link).status_code == 410
    assert password not in jo.page_text
    assert jo.sign_in(username, password).status_code == 303


class LinkAndPassword(NamedTuple):
    """The path of a link, and the passphrase that was made on its page."""

    path: str
    password: str


@pytest.fixture
def link_and_password(jo, colleague_link):
    """The link, and the passphrase that was made and shown in Jo's browser."""
    jo.submit(colleague_link.path, generate="yes")
    return LinkAndPassword(colleague_link.path, jo.page.find(id="password").text)


def test_a_person_who_reloads_before_signing_in_is_shown_a_new_password(
    jo, colleague_link, link_and_password, transaction
):
    link, first = link_and_password
    jo.submit("/sign-in")  # whatever the browser has open meanwhile
    jo.post(link, generate="yes")  # a reload of the page that showed it
    second = jo.page.find(id="password").text
    assert second != first
    assert "no longer works" in jo.page_text
    jo.open(link)  # or going back to it
    assert "Did you not see the password?" in jo.page_text
    jo.post(link, generate="yes")
    third = jo.page.find(id="password").text

    assert jo.sign_in(colleague_link.username, first).status_code == 422
    assert jo.sign_in(colleague_link.username, second).status_code == 422
    assert jo.sign_in(colleague_link.username, third).status_code == 303


def test_another_browser_is_not_shown_the_password(stranger, link_and_password):
    stranger.open("/sign-in")
    stranger.post(link_and_password.path, generate="yes")

    assert stranger.page.find(id="error-code").text == "link_used"


def test_the_password_is_not_shown_after_a_sign_in_with_it(jo, stranger, colleague_link, link_and_password):
    stranger.sign_in(colleague_link.username, link_and_password.password)
    jo.open(link_and_password.path)
    assert jo.page.find(id="error-code").text == "link_used"

    assert jo.post_directly(link_and_password.path, generate="yes").status_code == 410
    stranger.submit("/sign-out")
    assert stranger.sign_in(colleague_link.username, link_and_password.password).status_code == 303


def test_the_password_is_not_shown_after_a_quarter_of_an_hour_or_a_change_of_it(
    jo, colleague_link, link_and_password, transaction, clock
):
    with transaction() as session:
        changed = session.get_one(Administrator, colleague_link.person_id)
        before = changed.password_changed_at
        changed.password_changed_at = before + timedelta(seconds=1)
    assert jo.open(link_and_password.path).status_code == 410
    assert jo.page.find(id="error-code").text == "link_used"
    with transaction() as session:
        session.get_one(Administrator, colleague_link.person_id).password_changed_at = before
    jo.open(link_and_password.path)
    assert "Did you not see" in jo.page_text
    clock.move(timedelta(minutes=15))
    jo.open(link_and_password.path)

    assert jo.page.find(id="error-code").text == "link_used"


def test_of_two_reloads_at_once_one_replaces_it(
    run_concurrently, colleague_link, link_and_password, transaction, clock
):
    with transaction():
        made_at = people.get(colleague_link.person_id).password_changed_at
    clock.move(timedelta(seconds=1))

    outcomes = run_concurrently(
        2, lambda: first_password.replace(people.get(colleague_link.person_id), made_at, "another hash")
    )

    assert [type(outcome) for outcome in outcomes if outcome] == [links.LinkUsed]


def test_a_weak_password_is_refused_with_the_reason_and_the_link_still_works(jo, colleague_link):
    _, _, link = colleague_link
    jo.submit(link, password="Oakhill School Al 1")
    assert jo.response.status_code == 422
    assert "easy to guess" in jo.page_text
    assert "Oakhill School Al 1" not in jo.response.text
    jo.submit(link, password="")
    assert "let us create one" in jo.page_text

    assert jo.submit(link, password=OWN_PASSWORD).status_code == 303


def test_a_partners_name_is_refused_as_a_password(jo, colleague_link, transaction):
    with transaction():
        a_partner(name="Timetabler")
    jo.submit(colleague_link.path, password="Timetabler 7 7 x")

    assert "easy to guess" in jo.page_text


def test_opening_the_link_does_not_use_it_up(jo, stranger, colleague_link):
    for browser in (jo, stranger, jo):
        assert browser.open(colleague_link.path).status_code == 200


@pytest.mark.parametrize(
    ("invalidate", "code"),
    [
        (links.issue_welcome_url, "link_superseded"),
        (lambda _person: clocks.move(timedelta(days=7)), "link_expired"),
        (lambda person: setattr(person, "removed_at", clocks.now()), "link_unknown"),
    ],
)
def test_a_link_that_cannot_be_used_says_why(jo, colleague_link, transaction, invalidate, code):
    person_id, _, link = colleague_link
    with transaction() as session:
        invalidate(session.get_one(Administrator, person_id))
    jo.open(link)

    assert jo.page.find(id="error-code").text == code


def test_of_two_browsers_with_the_form_open_the_first_sets_the_password(jo, stranger, colleague_link, transaction):
    _, username, link = colleague_link
    jo.open(link)
    stranger.open(link)
    jo.post(link, password=OWN_PASSWORD)
    stranger.post(link, password="another kettle at midnight")

    assert stranger.response.status_code == 410
    assert jo.sign_in(username, OWN_PASSWORD).status_code == 303


def test_a_person_who_had_a_password_is_told_and_signed_out_everywhere(jo, stranger, account, transaction, outbox):
    with transaction() as session:
        link = links.issue_welcome_url(session.get_one(Administrator, account.id)).removeprefix("http://localhost:5000")
    jo.sign_in(account.username)
    stranger.submit(link, password=OWN_PASSWORD)

    assert outbox.last("password_changed").to == account.email
    assert jo.open("/mobile/confirm").status_code == 303


def test_a_person_who_finds_their_link_expired_is_sent_a_new_one(jo, colleague_link, outbox, clock):
    _, username, link = colleague_link
    clock.move(timedelta(days=7))
    jo.open(link)
    jo.post(jo.page.find("form")["action"])
    jo.open(jo.response.location)
    assert "Check your e-mail" in jo.page_text

    sent = outbox.last("welcome_link")
    assert sent.to == "al@oakhill.example"
    jo.submit(sent.path, password=OWN_PASSWORD)
    assert jo.sign_in(username, OWN_PASSWORD).status_code == 303


def test_no_new_link_is_sent_for_a_person_with_a_password_or_for_an_unknown_link(jo, colleague_link, outbox):
    _, _, link = colleague_link
    jo.submit(link, password=OWN_PASSWORD)
    jo.open("/sign-in")
    for path in (f"{link}/again", "/welcome/never-was-one/again"):
        assert jo.web.post(path, data={"csrf_token": jo.token}).location == "/welcome/sent"

    assert outbox.all("welcome_link") == []


def test_new_links_are_limited(jo, colleague_link, outbox):
    jo.open("/sign-in")
    for _ in range(5):
        jo.web.post(f"{colleague_link.path}/again", data={"csrf_token": jo.token})

    assert len(outbox.all("welcome_link")) == 2  # and the first one of all
