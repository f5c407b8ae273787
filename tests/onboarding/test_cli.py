"""`idp onboarding`: its arguments and its output."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from idp.cli import main
from idp.estabs import accounts
from idp.estabs.models import Administrator
from idp.onboarding.models import JoinRequest
from tests.factories import a_membership, a_school, an_administrator
from tests.onboarding.registrations import a_registration, complete


@pytest.fixture
def idp(app, monkeypatch):
    """`idp("onboarding", …)` runs the command on the tests' application."""
    monkeypatch.setattr("idp.cli._create_app", lambda: app)

    def run(*arguments):
        result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def estab_id(transaction, clock):
    """A school that has just registered."""
    with transaction():
        school = a_school(dfe_number="3124567", name="Oak Hill School", head_teacher="Ms A Head")
        complete(a_registration(school))
    return "3124567"


def test_an_empty_queue_says_so(idp, clock):
    assert "Nothing is waiting" in idp("onboarding", "queue").output
    assert json.loads(idp("onboarding", "queue", "--json").output) == []


def test_the_queue_shows_when_each_school_is_due_and_what_is_overdue(idp, estab_id, clock):
    line = idp("onboarding", "queue").output.splitlines()[1]
    assert "3124567" in line
    assert "2026-03-04 17:00" in line
    assert "OVERDUE" not in line

    clock.move(timedelta(days=3))
    assert "OVERDUE" in idp("onboarding", "queue").output
    assert json.loads(idp("onboarding", "queue", "--json").output)[0]["overdue"] is True


def test_a_request_to_join_is_not_overdue_as_soon_as_it_comes_to_us(idp, estab_id, transaction, clock):
    with transaction():
        complete(a_registration(accounts.find(estab_id).school, email="sam@oakhill.example"))
    requests = [row for row in json.loads(idp("onboarding", "queue", "--json").output) if row["kind"] == "join"]
    assert [(row["due"][:10], row["overdue"]) for row in requests] == [("2026-03-04", False)]

    clock.move(timedelta(days=3))
    rows = json.loads(idp("onboarding", "queue", "--json").output)
    assert [row["overdue"] for row in rows] == [True, True]


def test_a_case_shows_the_registers_telephone_and_what_was_typed(idp, estab_id, transaction):
    idp("onboarding", "note", estab_id, "No answer.")
    result = idp("onboarding", "show", "312/4567").output

    for fact in ("020 7946 0123", "Ms A Head", "office@oakhill.example", "07700 900123", "No answer.", "is the domain"):
        assert fact in result
    assert json.loads(idp("onboarding", "show", estab_id, "--json").output)["register"]["head_teacher"] == "Ms A Head"

    assert "also acts for" not in result
    with transaction() as database:
        other = a_membership(database.query(Administrator).one()).estab.name
    assert f"also acts for {other} (verified)" in idp("onboarding", "show", estab_id).output


@pytest.mark.parametrize(
    ("website", "host", "shown"),
    [
        ("www.oakhill.example/home", "www.oakhill.example", "http://www.oakhill.example"),
        ("https://oakhill.example/a", "oakhill.example", "https://oakhill.example/a"),
        ("to follow", "", "to follow"),
        ("", "", "none"),
    ],
)
def test_a_case_shows_the_website_as_a_link_to_follow(idp, transaction, clock, website, host, shown):
    with transaction():
        complete(a_registration(a_school(dfe_number="3124567", website=website, website_host=host)))

    assert f"  website       {shown}\n" in idp("onboarding", "show", "3124567").output


def test_a_school_is_decided_once(idp, estab_id, outbox):
    assert "has been verified" in idp("onboarding", "verify", estab_id).output
    second_decision = idp("onboarding", "reject", estab_id, "--reason", "Late.")

    assert second_decision.exit_code == 1
    assert "verified on" in second_decision.output
    assert outbox.last("school_verified")


def test_rejecting_needs_a_reason(idp, estab_id, outbox):
    assert idp("onboarding", "reject", estab_id).exit_code == 2
    assert idp("onboarding", "reject", estab_id, "--reason", " ").exit_code == 1
    assert idp("onboarding", "reject", estab_id, "--reason", "Nobody there knows you.").exit_code == 0
    assert "Nobody there knows you." in outbox.last("school_rejected").text
    assert "rejected" in idp("onboarding", "show", estab_id).output


def test_asking_mails_the_owners(idp, estab_id, outbox):
    assert "asked by e-mail" in idp("onboarding", "ask", estab_id, "Who is the head?").output
    assert "Who is the head?" in outbox.last("school_question").text


def test_an_unknown_estab_is_a_message_and_exit_code_1(idp, clock):
    result = idp("onboarding", "show", "9999999")

    assert result.exit_code == 1
    assert "No school is registered under that Estab ID" in result.output


def test_unanswered_requests_to_join_are_in_the_queue_and_can_be_decided(idp, transaction, clock, outbox):
    with transaction() as database:
        complete(a_registration(an_administrator().memberships[0].estab.school, email="sam@oakhill.example"))
        request_id = database.query(JoinRequest).one().id
    assert request_id not in idp("onboarding", "queue").output
    assert idp("onboarding", "join", "decline", request_id).exit_code == 1

    clock.move(timedelta(days=15))
    assert request_id in idp("onboarding", "queue").output
    assert "sam@oakhill.example" in idp("onboarding", "join", "show", request_id).output
    assert "has joined" in idp("onboarding", "join", "approve", request_id, "--role", "viewer").output
    assert outbox.last("join_approved").to == "sam@oakhill.example"
    assert "Nothing is waiting" in idp("onboarding", "queue").output


@pytest.mark.parametrize("command", ["queue", "show", "note", "ask", "verify", "reject", "join"])
def test_every_command_has_a_help_text_of_some_length(idp, command):
    assert len(idp("onboarding", command, "--help").output) > 150
