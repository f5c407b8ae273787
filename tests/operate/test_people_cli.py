"""`idp people`: what our staff do for a person who cannot sign in."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from idp.cli import main
from idp.estabs.models import Estab
from idp.estabs.permissions import VIEWER
from idp.signin.models import BrowserSession
from tests.factories import an_administrator
from tests.signin.person import Person


@pytest.fixture
def idp(app, monkeypatch, clock):
    """`idp("people", …)` runs the command on the tests' application."""
    monkeypatch.setattr("idp.cli._create_app", lambda: app)

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture
def jo(clock, transaction):
    """The username of a person with an address of their own."""
    with transaction():
        return an_administrator(email="jo@oakhill.example").username


@pytest.mark.parametrize("spelling", ["jo@oakhill.example", " Jo@OakHill.example "])
def test_a_link_goes_to_the_verified_address_and_is_not_printed(idp, jo, outbox, spelling):
    printed = idp("people", "reset", spelling, "--note", "Called 020 7946 0123, spoke with Mrs Head.")

    assert outbox.last("reset_link").to == "jo@oakhill.example"
    assert outbox.last("reset_link").links[0] not in printed
    assert "jo@oakhill.example" in printed


def test_a_link_needs_a_note_of_the_call(idp, jo, outbox):
    idp("people", "reset", jo, code=2)

    assert outbox.all() == []


def test_an_unknown_person_is_reported(idp):
    assert "signs in with that username" in idp("people", "unlock", "2139999", "--reason", "x", code=1)


def test_a_locked_account_is_unlocked(idp, jo, web):
    browser = Person(web)
    for _ in range(11):
        browser.sign_in(jo, "wrong")
    assert browser.sign_in(jo).status_code == 429

    idp("people", "unlock", jo, "--reason", "The head asked.")
    assert browser.sign_in(jo).status_code == 303


def test_all_sessions_of_a_person_are_ended(idp, jo, web, transaction):
    Person(web).sign_in(jo)

    assert "1 session of Jo Bloggs ended." in idp("people", "end-sessions", jo)
    with transaction() as session:
        assert session.query(BrowserSession).one().why_ended == "operator"


def test_locked_accounts_are_listed_and_names_that_do_not_exist_are_counted(idp, jo, new_browser):
    assert idp("people", "locked") == "No account is locked.\n"
    for name in (jo, "E999999"):
        browser = Person(new_browser())
        for _ in range(11):
            browser.sign_in(name, "wrong")
    printed = idp("people", "locked")

    assert jo in printed
    assert "2026" in printed
    assert "Locks for names that do not exist, or for one browser of an account: 1." in printed
    assert [row["name"] for row in json.loads(idp("people", "locked", "--json"))] == [jo]
    idp("people", "unlock", jo, "--reason", "The head asked.")
    assert jo not in idp("people", "locked")


def test_a_lock_over_several_names_of_an_account_is_listed_too(idp, jo, new_browser, clock):
    """The account is locked, although neither of its names had ten guesses, so the sign-in page does not say so."""
    for name in [jo, "jo@oakhill.example"] * 5:
        Person(new_browser()).sign_in(name, "wrong")
    assert jo in idp("people", "locked")
    clock.move(timedelta(minutes=2))
    assert idp("people", "locked") == "No account is locked.\n"


def test_the_wait_for_a_lost_factor_is_started_with_a_note(idp, jo, outbox):
    idp("people", "recover-factor", jo, code=2)
    printed = idp("people", "recover-factor", jo, "--note", "Called 020 7946 0123, spoke with Mrs Head.")

    assert "can sign in with the password alone from 2026-03-03 09:30" in printed
    assert outbox.last("recovery_notice").to == "jo@oakhill.example"
    assert outbox.last("recovery_notice").links[0] not in printed
    again = idp("people", "recover-factor", jo, "--note", "Called again.", code=1)
    assert "started already" in again
    assert "3 March 2026 at 09:30" in again


def test_a_person_is_made_an_owner_and_the_one_who_left_is_removed(idp, jo, transaction, outbox):
    with transaction() as session:
        estab = session.query(Estab).one()
        number = estab.estab_id
        an_administrator(estab, name="Al", username="al", email="al@oakhill.example", role=VIEWER)
    note = ("--note", "Called the office.")

    assert "without an owner" in idp("people", "remove", jo, number, *note, code=1)
    assert "Al is owner of" in idp("people", "role", "al", number, "owner", *note)
    assert "has this role already" in idp("people", "role", "al", number, "owner", *note, code=1)
    assert "Jo Bloggs no longer acts for" in idp("people", "remove", jo, number, *note)
    assert {message.to for message in outbox.all("role_changed")} == {"al@oakhill.example", "jo@oakhill.example"}
    assert "our staff removed you" in outbox.all("person_removed")[0].text + outbox.all("person_removed")[1].text
    assert "signs in with that username" in idp("people", "remove", jo, number, *note, code=1)
    idp("people", "remove", "al", number, code=2)
