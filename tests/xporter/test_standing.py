"""The state of a school's endpoint, as partners and operators see it, and as the worker that notices a loss."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from idp import worker
from idp.estabs.models import Administrator
from idp.foundation.web import transactions
from idp.partner_events.models import PartnerEvent
from idp.partners import resources
from idp.partners.models import Client
from idp.sharing import authorise, notices
from idp.xporter import doctor, endpoints, lost_endpoints
from idp.xporter.endpoints import Agent as Identity, EndpointExists, Report
from idp.xporter.models import Endpoint
from tests.factories import a_client, a_school, an_estab
from tests.oidc.support import Partner
from tests.partner_api.conftest import Program
from tests.xporter.agents import EXTRACT

AGREED_SCOPES = frozenset({"openid", "school", "students"})


@pytest.fixture
def program(transaction, web, agent, clock):
    """A partner's program that the agent's school shares with, and that is told of endpoints."""
    with transaction() as session:
        client = a_client(
            client_scopes=frozenset({"schools.list"}), grant_types=frozenset({"client_credentials"}),
            events_method="urn:ietf:rfc:8936", events_types=frozenset({"endpoint-connected", "endpoint-lost"}),
        )  # fmt: skip
        by = session.get_one(Administrator, agent.person_id).memberships[0]
        authorise.give(
            client, AGREED_SCOPES, by=by, agreement_version="1", until=clock.now() + timedelta(days=365),
            second_step=True,
        )  # fmt: skip
        return Program(Partner(client.id), web).request_token()


def recorded_events(transaction, program):
    """The name of each event of the program's application, and the state of the endpoint in it."""
    with transaction() as session:
        rows = session.scalars(select(PartnerEvent).where(PartnerEvent.client_id == program.partner.id))
        return [(row.name, row.facts["endpoint"]) for row in sorted(rows, key=lambda row: row.number)]


def run_loss_job(app):
    worker.tell_lost_endpoints(partial(transactions.transaction, app))


def changed_since(program, moment):
    return program.schools(f"/api/schools?changed_since={moment.isoformat().replace('+', '%2B')}")


def listed_school(program):
    """The only school that the program's application lists."""
    (only,) = program.schools().values()
    return only


def test_the_api_shows_partners_the_state_of_the_endpoint(program, agent, clock):
    assert (listed_school(program)["connection"], listed_school(program)["endpoint"]) == (
        "awaiting_endpoint",
        {"state": "none"},
    )
    agent.report()
    assert (listed_school(program)["connection"], listed_school(program)["endpoint"]["state"]) == (
        "awaiting_endpoint",
        "registered",
    )
    agent.report(last_extract=EXTRACT)
    connected = listed_school(program)
    assert connected["connection"] == "connected"
    assert set(connected["endpoint"]) == {"state", "heard_at", "agent_version"}, "and nothing about data"
    single = program.get(f"/api/schools/{connected['estab_id']}").json
    assert single["endpoint"] == connected["endpoint"]
    clock.move(timedelta(hours=24))
    program.request_token()
    assert (listed_school(program)["connection"], listed_school(program)["endpoint"]["state"]) == (
        "awaiting_endpoint",
        "lost",
    )


@pytest.mark.parametrize(
    ("state", "connection"),
    [
        ("unverified", "awaiting_verification"), ("verified", "awaiting_endpoint"), ("suspended", "paused"),
        ("rejected", "closed"), ("closed", "closed"),
    ],
)  # fmt: skip
def test_the_connection_follows_the_state_of_the_schools_account_before_its_endpoint(
    program, transaction, agent, state, connection
):
    with transaction() as session:
        session.get_one(Administrator, agent.person_id).memberships[0].estab.state = state
    assert listed_school(program)["connection"] == connection


def test_events_are_sent_once_when_a_server_connects_is_lost_and_comes_back(program, agent, transaction, app, clock):
    agent.report()
    assert recorded_events(transaction, program) == []
    for _ in range(2):
        agent.report(last_extract=EXTRACT)
    connected, was_lost = ("endpoint-connected", "connected"), ("endpoint-lost", "lost")
    assert recorded_events(transaction, program) == [connected]
    clock.move(timedelta(hours=24) - timedelta(seconds=1))
    run_loss_job(app)
    assert recorded_events(transaction, program) == [connected]
    clock.move(timedelta(seconds=1))
    for _ in range(2):
        run_loss_job(app)
    assert recorded_events(transaction, program) == [connected, was_lost]
    agent.use_refresh_token()
    agent.report(last_extract=EXTRACT)
    assert recorded_events(transaction, program) == [connected, was_lost, connected]
    agent.unregister()
    assert recorded_events(transaction, program) == [connected, was_lost, connected, was_lost]


def test_changed_since_finds_each_change_of_the_endpoint(program, agent, new_agent, transaction, app, clock):
    def expect_found_as(expected, expected_connection):
        """Assert that the change of this moment is found, and that nothing changes later."""
        now = clock.now()
        assert (row := listed_school(program))["endpoint"]["state"] == expected
        assert row["connection"] == expected_connection
        assert row["changed_at"] == now.isoformat().replace("+00:00", "Z")
        assert set(changed_since(program, now)) == {row["estab_id"]}
        clock.move(timedelta(seconds=20))
        assert changed_since(program, now + timedelta(seconds=1)) == {}

    agent.report()
    expect_found_as("registered", "awaiting_endpoint")
    agent.report(last_extract=EXTRACT)
    expect_found_as("connected", "connected")
    before = clock.now()
    agent.report(last_extract=EXTRACT)
    assert changed_since(program, before) == {}, "a report that changes no state"
    clock.move(timedelta(hours=24))
    program.request_token()
    run_loss_job(app)
    expect_found_as("lost", "awaiting_endpoint")
    agent.use_refresh_token()
    agent.report(last_extract=EXTRACT)
    expect_found_as("connected", "connected")
    second = new_agent(agent.person_id)
    second.report(replaces=True)
    expect_found_as("registered", "awaiting_endpoint")
    second.unregister()
    expect_found_as("none", "awaiting_endpoint")


def test_changed_since_finds_a_server_that_came_back_before_its_loss_was_recorded(program, agent, clock):
    agent.report(last_extract=EXTRACT)
    clock.move(timedelta(hours=25))
    program.request_token()
    agent.use_refresh_token()
    agent.report(last_extract=EXTRACT)
    assert len(changed_since(program, clock.now())) == 1


def test_changed_since_does_not_find_a_change_at_another_school(program, agent, new_agent, clock):
    clock.move(timedelta(minutes=5))
    new_agent().report(last_extract=EXTRACT)
    assert changed_since(program, clock.now()) == {}


def test_events_are_sent_when_a_server_replaces_one_that_was_connected(program, agent, new_agent, transaction):
    connected, was_lost = ("endpoint-connected", "connected"), ("endpoint-lost", "lost")
    agent.report(last_extract=EXTRACT)
    second = new_agent(agent.person_id)
    second.report(replaces=True)
    assert recorded_events(transaction, program) == [connected, was_lost], "until it has sent an extract"
    second.report(last_extract=EXTRACT | {"id": "e2"})
    assert recorded_events(transaction, program) == [connected, was_lost, connected]
    third = new_agent(agent.person_id)
    third.report(replaces=True, last_extract=EXTRACT | {"id": "e3"})
    assert recorded_events(transaction, program) == [connected, was_lost, connected, connected], (
        "nothing was interrupted"
    )


def test_no_events_are_sent_when_a_server_without_extracts_is_replaced(program, agent, new_agent, transaction):
    agent.report()
    new_agent(agent.person_id).report(replaces=True)
    assert recorded_events(transaction, program) == []


def test_no_event_is_sent_of_the_loss_of_a_server_without_extracts(program, agent, transaction, app, clock):
    agent.report()
    clock.move(timedelta(days=2))
    run_loss_job(app)
    assert recorded_events(transaction, program) == []
    with transaction() as session:
        assert session.scalars(select(Endpoint.lost_at)).one() == clock.now()


def test_a_notice_that_fails_does_not_stop_others(new_agent, program, agent, transaction, app, clock, monkeypatch):
    others = [new_agent() for _ in range(3)]
    for server in (agent, *others):
        server.report(last_extract=EXTRACT)
    clock.move(timedelta(days=2))
    monkeypatch.setattr(lost_endpoints, "BATCH_SIZE", 2)
    with transaction() as session:
        failing = session.scalars(select(Endpoint.estab_id).order_by(Endpoint.estab_id)).first()
    record_endpoint = notices.record_endpoint

    def fail_once(estab_id, state):
        if estab_id == failing:
            raise RuntimeError("a bad row")
        record_endpoint(estab_id, state)

    monkeypatch.setattr(notices, "record_endpoint", fail_once)
    run_loss_job(app)
    with transaction() as session:
        unreported = session.scalars(select(Endpoint.estab_id).where(Endpoint.lost_at.is_(None))).all()
    assert unreported == [failing]


@pytest.fixture
def identities(transaction, clients, agent):
    """Eight servers of one school, as their tokens name them."""
    agent.report()
    with transaction() as session:
        row = session.scalars(select(Endpoint)).one()
        estab, client = row.estab_id, row.client_id
        session.delete(row)
    return [Identity(estab, client, f"key-{n}", f"lin_{n}", agent.person_id) for n in range(8)]


def report_of(number):
    return Report(f"SERVER-{number}", "sims", "1", "Linux", None, None)


def test_of_several_servers_that_register_at_once_one_succeeds(transaction, identities, run_concurrently):
    numbers = iter(range(8))
    outcomes = run_concurrently(
        8, lambda: endpoints.report(identities[n := next(numbers)], report_of(n), replaces=False)
    )
    assert sum(isinstance(outcome, EndpointExists) for outcome in outcomes) == 7
    with transaction() as session:
        assert len(session.scalars(select(Endpoint)).all()) == 1


def test_of_several_servers_that_replace_one_another_at_once_one_is_left(transaction, identities, run_concurrently):
    numbers = iter(range(8))
    outcomes = run_concurrently(
        8, lambda: endpoints.report(identities[n := next(numbers)], report_of(n), replaces=True)
    )
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    with transaction() as session:
        rows = session.scalars(select(Endpoint)).all()
        assert sorted(row.state for row in rows) == ["registered", *["replaced"] * 7]


def test_a_report_of_a_server_during_its_replacement_is_refused(transaction, identities, run_overlapping):
    first, second, *_ = identities
    with transaction():
        endpoints.report(first, report_of(0), replaces=False)
    outcome = run_overlapping(
        lambda: endpoints.report(second, report_of(1), replaces=True),
        lambda: endpoints.report(first, report_of(0), replaces=True),
    )
    assert isinstance(outcome, endpoints.EndpointEnded)


def test_doctor_counts_endpoints_and_warns_when_most_are_lost(transaction, clients, clock):
    with transaction() as session:
        for number in range(8):
            heard_at = clock.now() - timedelta(days=2 if number < 6 else 0)
            session.add(
                Endpoint(
                    id=f"end_{number}",
                    estab_id=an_estab(a_school()).id,
                    client_id=clients.agent,
                    key_thumbprint="k",
                    lineage="l",
                    registered_at=heard_at,
                    registered_by="adm",
                    heard_at=heard_at,
                    name="S",
                    mis="sims",
                    agent_version="1",
                    platform="Linux",
                )
            )
    with transaction():
        (finding,) = doctor.endpoints()
        assert (finding.level, finding.message) == ("warning", "8 registered, 6 of them lost")


def test_doctor_warns_if_no_api_for_extracts_is_registered(transaction, agent):
    agent.report()
    with transaction():
        assert [finding.level for finding in doctor.endpoints()] == ["ok"]
    with transaction() as session:
        for client in session.scalars(select(Client).where(Client.resource.is_not(None))):
            client.enabled = False
        resources.forget()
    with transaction():
        assert [finding.level for finding in doctor.endpoints()] == ["ok", "warning"]
