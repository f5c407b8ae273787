"""A link to choose a new password, which our staff send to a person without a confirmed number."""

from datetime import timedelta

import pytest

from idp.estabs import links
from idp.estabs.models import Administrator
from idp.signin import password, reset_links
from tests.factories import an_administrator

NEW_PASSWORD = "wobbly kettle sings at dusk"


@pytest.fixture
def sent_link_path(clock, account, transaction, outbox):
    """The path of a link that was sent to the account's person."""
    with transaction() as session:
        reset_links.send(session.get_one(Administrator, account.id), by="cli", note="Called the office.")
    message = outbox.last("reset_link")
    assert message.to == account.email
    return "/reset/link/" + message.secret


def test_a_reset_link_sets_a_new_password_and_leads_to_signing_in(jo, sent_link_path, account, stranger, outbox):
    stranger.sign_in(account.username)
    assert jo.submit(sent_link_path, password=NEW_PASSWORD).location == "/sign-in"
    assert jo.cookie("session") is None, "a reset signs no one in"
    assert stranger.open("/manage").location.startswith("/sign-in")
    assert outbox.last("password_changed").to == account.email
    assert outbox.last("password_reset")
    jo.sign_in(account.username, NEW_PASSWORD)
    assert jo.cookie("session")


def test_the_other_owners_are_mailed_how_the_password_was_reset(jo, sent_link_path, account, transaction, outbox):
    with transaction() as session:
        estab = session.get_one(Administrator, account.id).memberships[0].estab
        an_administrator(estab, email="head@oakhill.example", username="head")
    jo.submit(sent_link_path, password=NEW_PASSWORD)

    assert "by a link that was sent to their e-mail address" in outbox.last("colleague_reset_password").text


def test_opening_the_link_does_not_use_it_up(jo, stranger, sent_link_path):
    for _ in range(3):
        assert stranger.open(sent_link_path).status_code == 200
    assert stranger.web.head(sent_link_path).status_code == 200

    assert jo.submit(sent_link_path, password=NEW_PASSWORD).location == "/sign-in"


def test_a_guessable_password_is_refused_and_the_link_stays_good(jo, sent_link_path, account):
    assert jo.submit(sent_link_path, password=account.school).status_code == 422
    assert jo.submit(sent_link_path, password=NEW_PASSWORD).location == "/sign-in"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("used", "link_used"), ("expired", "link_expired"), ("newer", "link_superseded"), ("address", "link_unknown"),
        ("removed", "link_unknown"), ("suspended", "link_unknown"), ("password", "link_revoked"),
    ],
)  # fmt: skip
def test_an_unusable_link_says_why_and_changes_nothing(
    jo, stranger, sent_link_path, account, transaction, clock, outbox, reason, code
):
    stranger.open(sent_link_path)
    with transaction() as session:
        person = session.get_one(Administrator, account.id)
        if reason == "expired":
            clock.move(timedelta(hours=24))
        elif reason == "newer":
            reset_links.send(person, by="cli", note="Again.")
        elif reason == "address":
            person.email = person.email_folded = "new@oakhill.example"
        elif reason == "removed":
            person.removed_at = clock.now()
        elif reason == "suspended":
            person.memberships[0].estab.state = "suspended"
        elif reason == "password":
            links.supersede(person.id, links.RESET)
    if reason == "used":
        jo.submit(sent_link_path, password=NEW_PASSWORD)
    stranger.post(sent_link_path, password="another good one of many words")

    assert stranger.page.find(id="error-code").get_text() == code
    assert len(outbox.all("password_changed")) == (reason == "used")


def test_a_changed_password_revokes_the_link(jo, sent_link_path, account, transaction):
    with transaction() as session:
        password.change(session.get_one(Administrator, account.id), "a hash", by=account.id)

    assert jo.open(sent_link_path).status_code == 410


def test_of_two_clicks_at_once_one_sets_the_password(run_concurrently, sent_link_path):
    secret = sent_link_path.rpartition("/")[2]
    outcomes = run_concurrently(4, lambda: reset_links.complete(secret, "a hash", device=None))

    assert outcomes.count(None) == 1
    assert all(isinstance(outcome, links.LinkRefused) for outcome in outcomes if outcome is not None)


def test_no_link_is_sent_for_a_closed_account(transaction, account, outbox):
    with transaction() as session:
        person = session.get_one(Administrator, account.id)
        person.memberships[0].estab.state = "suspended"
        with pytest.raises(reset_links.AccountClosed):
            reset_links.send(person, by="cli", note="Called.")

    assert outbox.all("reset_link") == []


def test_a_link_for_another_purpose_is_refused(jo, account, transaction):
    with transaction():
        welcome = links.issue(account.id, links.WELCOME, timedelta(days=1), value=account.email)

    assert jo.open(f"/reset/link/{welcome}").status_code == 404
