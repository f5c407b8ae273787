"""`idp estabs`, and commands about members: their arguments, and their entries in the audit log."""

import json
from dataclasses import replace
from datetime import date

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from idp.audit.models import Entry
from idp.cli import main
from idp.estabs.models import Estab
from idp.foundation import clock as clocks, runtime
from idp.onboarding import review
from idp.schools.models import SchoolLink
from idp.signin import operators
from idp.signin.models import BrowserSession, Operator
from tests.factories import a_school, an_administrator, an_estab
from tests.signin.person import Person


@pytest.fixture
def idp(app, monkeypatch, clock):
    """`idp("estabs", …, code=0)` runs the command on the tests' application; returns its result."""
    monkeypatch.setattr("idp.cli._create_app", lambda: app)

    def run(*arguments, code=0, env=None):
        result = CliRunner().invoke(main, arguments, env=env)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def oak_hill(transaction, clock):
    """A verified school, whose Estab ID is not its DfE number; the fixture is its owner's username."""
    with transaction():
        school = a_school(name="Oak Hill School", town="Norwich", dfe_number="3124567", register_id="900123")
        estab = an_estab(school, estab_id="E123456")
        review.open_for(estab).decision = "verified"
        return an_administrator(estab, name="Jo Bloggs", email="jo@oakhill.example").username


@pytest.fixture
def sam(transaction, clock):
    """The id of an operator who is set up."""
    with transaction() as session:
        operator, _ = operators.add("Sam", "sam@idaas.example")
        operator.set_up_at = clocks.now()
        session.flush()
        return operator.id


def state_of_estab(transaction):
    with transaction() as session:
        return session.scalars(select(Estab.state)).one()


def newest_entry(transaction, event):
    with transaction() as session:
        return session.scalars(select(Entry).where(Entry.event == event).order_by(Entry.id.desc())).first()


@pytest.mark.parametrize(
    "text", ["E123456", "e123456", "3124567", "312/4567", "900123", "oak hill", "Norwich", "jo@oakhill.example"]
)
def test_an_account_is_found_by_any_of_its_names(idp, oak_hill, text):
    assert [row["estab_id"] for row in json.loads(idp("estabs", "find", text, "--json").stdout)] == ["E123456"]


@pytest.mark.parametrize("text", ["E999999", "9999999", "elm grove", "sam@oakhill.example", "%", "_", " "])
def test_a_search_without_results_says_so(idp, oak_hill, text):
    assert "No school account matches." in idp("estabs", "find", text).stdout


@pytest.mark.parametrize("name", ["E123456", "3124567", "312/4567", "900123"])
def test_every_command_about_an_estab_accepts_any_of_its_names(idp, oak_hill, transaction, name):
    with transaction() as session:
        internal = session.scalars(select(Estab.id)).one()
    for typed in (name, internal):
        output = idp("estabs", "show", typed).stdout
        assert "Oak Hill School, Estab ID E123456: verified" in output
        assert "Jo Bloggs, jo@oakhill.example, owner" in output
        assert "E123456" in idp("onboarding", "show", typed).stdout
        idp("estabs", "end-sessions", typed)
        body = json.loads(idp("audit", "list", "--estab", typed, "--event", "sessions.ended", "--json").stdout)
        assert body[-1]["estab"] == internal


def test_of_two_accounts_of_one_school_the_active_one_is_found(idp, oak_hill, transaction):
    with transaction() as session:
        session.execute(update(Estab).values(state="rejected"))
        an_estab(session.scalars(select(Estab)).one().school, estab_id="E654321")
    assert "E654321" in idp("estabs", "show", "3124567").stdout
    assert "rejected" in idp("estabs", "show", "E123456").stdout


@pytest.mark.parametrize("command", [("show",), ("suspend", "--reason", "x"), ("restore",), ("end-sessions",)])
def test_an_unknown_account_is_reported_in_one_line(idp, clock, command):
    output = idp("estabs", *command, "E999999", code=1).stderr
    assert output.count("\n") == 1
    assert "No school is registered" in output


def test_suspending_ends_every_session_at_once_and_restoring_brings_the_school_back(idp, oak_hill, web, transaction):
    jo = Person(web)
    jo.sign_in(oak_hill)
    assert jo.open("/manage").status_code == 200

    assert "has been suspended" in idp("estabs", "suspend", "312/4567", "--reason", "asked to by the head").stdout
    assert jo.open("/manage").status_code == 303
    assert state_of_estab(transaction) == "suspended"
    with transaction() as session:
        assert session.scalars(select(BrowserSession.why_ended)).one() == "suspended"

    assert "is verified again" in idp("estabs", "restore", "E123456").stdout
    assert state_of_estab(transaction) == "verified"
    idp("estabs", "restore", "E123456", code=1)


def test_restoring_does_not_verify_an_unverified_account(idp, oak_hill, transaction):
    with transaction() as session:
        session.execute(update(Estab).values(state="unverified"))
        review.find_by_estab(session.scalars(select(Estab)).one()).decision = None
    idp("estabs", "suspend", "E123456", "--reason", "odd")
    assert "is unverified again" in idp("estabs", "restore", "E123456").stdout


def test_sessions_are_ended_and_counted(idp, oak_hill, web, new_browser, transaction):
    for browser in (web, new_browser()):
        Person(browser).sign_in(oak_hill)
    assert "2 sessions of Oak Hill School" in idp("estabs", "end-sessions", "E123456").stdout
    assert "0 sessions" in idp("estabs", "end-sessions", "E123456").stdout
    assert Person(web).open("/manage").status_code == 303


# Who acts


@pytest.mark.parametrize(
    ("options", "env"), [(("--as", "sam@idaas.example"), {}), ((), {"IDP_OPERATOR": "SAM@idaas.example"})]
)
def test_the_acting_operator_is_named_in_the_audit_log(idp, oak_hill, sam, transaction, options, env):
    idp(*options, "estabs", "suspend", "E123456", "--reason", "odd", env=env)
    assert newest_entry(transaction, "estab.state_changed").actor == sam
    listed = idp("audit", "list", "--actor", "sam@idaas.example").stdout
    assert "sam@idaas.example" in listed
    assert "estab.state_changed" in listed
    assert json.loads(idp("audit", "list", "--actor", "sam@idaas.example", "--json").stdout)[0]["actor"] == sam


def test_without_an_operators_name_the_command_is_recorded(idp, oak_hill, transaction):
    idp("estabs", "suspend", "E123456", "--reason", "odd")
    assert newest_entry(transaction, "estab.state_changed").actor == "cli"


@pytest.mark.parametrize("reason", ["unknown", "disabled", "not set up"])
def test_no_one_acts_as_an_operator_who_is_not_active(idp, oak_hill, sam, transaction, reason):
    with transaction() as session:
        if reason == "disabled":
            session.get_one(Operator, sam).disabled_at = clocks.now()
        if reason == "not set up":
            session.get_one(Operator, sam).set_up_at = None
    email = "unknown@idaas.example" if reason == "unknown" else "sam@idaas.example"
    idp("--as", email, "estabs", "suspend", "E123456", "--reason", "odd", code=1)
    assert state_of_estab(transaction) == "verified"


def test_in_production_an_operator_must_be_named_once_there_is_one(
    idp, app, oak_hill, transaction, monkeypatch, settings
):
    production = settings.model_copy(update={"environment": "production"})
    monkeypatch.setitem(app.extensions, runtime.EXTENSION_NAME, replace(runtime.for_app(app), settings=production))
    idp("estabs", "suspend", "E123456", "--reason", "not needed yet")
    with transaction():
        operator, _ = operators.add("Sam", "sam@idaas.example")
        operator.set_up_at = clocks.now()
    output = idp("estabs", "restore", "E123456", code=1).stderr
    assert "idp --as EMAIL" in output
    idp("estabs", "show", "E123456")  # commands that only read need no name
    idp("--as", "sam@idaas.example", "estabs", "restore", "E123456")
    assert newest_entry(transaction, "estab.state_changed").actor.startswith("opr_")


@pytest.mark.parametrize(
    "arguments",
    [
        ("partners", "add", "Elm", "--website", "https://elm.example", "--email", "d@elm.example"),
        ("keys", "rotate", "--now"),
        ("operators", "add", "Alex", "alex@idaas.example"),
        ("onboarding", "note", "E123456", "called"),
    ],
)
def test_commands_record_the_operator(idp, oak_hill, sam, transaction, arguments):
    with transaction() as session:
        before = len(session.scalars(select(Entry)).all())
    idp("--as", "sam@idaas.example", *arguments)
    with transaction() as session:
        entries = session.scalars(select(Entry).order_by(Entry.id)).all()[before:]
    assert entries
    assert {entry.actor for entry in entries} == {sam}


def test_schools_that_close_are_listed_and_released_where_no_one_is_left(idp, oak_hill, transaction):
    assert "No school with an open account is closing." in idp("estabs", "closing").output
    with transaction() as database:
        closed = database.scalars(select(Estab).where(Estab.estab_id == "E123456")).one()
        after = an_estab(a_school(name="Oak Hill Academy"), estab_id="E654321").school
        closed.school.status_code, closed.school.closed_on = "2", date(2026, 2, 28)
        link = SchoolLink(from_urn="900123", to_urn=after.register_id, kind="Successor", is_succession=True)
        link.name, link.since = after.name, date(2026, 3, 1)
        database.add(link)
    listed = idp("estabs", "closing").output
    assert "closed on 28 February 2026" in listed
    assert "Oak Hill Academy" in listed
    assert "Oak Hill Academy may continue what Oak Hill School" in idp("estabs", "release", "E123456", "E654321").output
    refused = idp("estabs", "release", "E654321", "E123456", code=1).output
    assert "The national register does not say" in refused
    with transaction() as database:
        assert database.scalars(select(Entry).where(Entry.event == "sharing.released")).one().actor == "cli"
