"""`idp endpoints`: what our staff see of schools' servers, and removing one."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from idp.audit import events
from idp.cli import main
from idp.estabs.models import Administrator
from tests.audit_entries import recorded
from tests.xporter.agents import EXTRACT

ERROR = {"code": "disk_full", "message": "The disk with /srv is full.", "at": "2026-09-01T06:00:00Z"}


@pytest.fixture
def idp(app, monkeypatch, clock):
    """`idp("endpoints", …)` runs the command on the tests' application."""
    monkeypatch.setattr("idp.cli._create_app", lambda: app)

    def run(*words, code=0):
        result = CliRunner().invoke(main, ("endpoints", *words))
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture
def estab_id(transaction, agent):
    with transaction() as session:
        return session.get_one(Administrator, agent.person_id).memberships[0].estab.estab_id


def test_endpoints_are_listed_and_can_be_filtered_to_lost_ones(idp, agent, new_agent, clock):
    assert (idp("list"), idp("list", "--lost")) == ("No server is connected.\n", "No server is lost.\n")
    agent.report(name="OLD-SERVER", last_extract=EXTRACT, last_error=ERROR)
    clock.move(timedelta(hours=24))
    new_agent().report(name="NEW-SERVER")
    rows = json.loads(idp("list", "--json"))
    assert [(row["server"], row["state"], row["error"]) for row in rows] == [
        ("OLD-SERVER", "lost", "disk_full"), ("NEW-SERVER", "registered", None),
    ]  # fmt: skip
    assert [row["server"] for row in json.loads(idp("list", "--lost", "--json"))] == ["OLD-SERVER"]
    assert "NEW-SERVER" not in idp("list", "--limit", "1")


def test_an_endpoint_is_shown_with_its_last_error_and_without_data(idp, agent, estab_id):
    agent.report(last_extract=EXTRACT, last_error=ERROR)
    printed = idp("show", estab_id)
    for part in ("SERVER-1, connected", "1.2.0, on Windows Server 2022", "disk_full", "The disk with /srv is full."):
        assert part in printed
    for text in (printed, idp("show", estab_id, "--json")):
        assert "612" not in text


def test_an_endpoint_is_removed_and_the_audit_log_has_who_and_why(idp, agent, estab_id, transaction):
    agent.report(last_extract=EXTRACT)
    idp("remove", estab_id, code=2)
    assert "SERVER-1 of" in idp("remove", estab_id, "--reason", "The school asked by telephone.")
    agent.get_status(status=401)
    with transaction():
        ((actor, *_, details),) = recorded(events.ENDPOINT_REMOVED)
    assert (actor, details) == ("cli", {"reason": "The school asked by telephone."})
    for words in (("show", estab_id), ("remove", estab_id, "--reason", "x")):
        assert "No server of this school is connected." in idp(*words, code=1)
