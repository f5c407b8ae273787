"""`/api/endpoint`: a school's server registers, reports in, is replaced, and leaves."""

from datetime import timedelta

import pytest
from joserfc.jwk import ECKey
from sqlalchemy import select

from idp.estabs.models import Estab, Membership
from idp.xporter.models import Endpoint
from tests.factories import a_client
from tests.oidc.support import Partner
from tests.xporter.agents import EXTRACT, PATH, REPORT, XPORTER


def test_a_report_registers_the_server_and_repeating_it_changes_nothing(agent):
    assert agent.get_status()["state"] == "none"
    first = agent.report()
    assert first == {
        "estab_id": first["estab_id"], "estab_status": "verified", "state": "registered", "report_every_seconds": 900,
        "extract_wanted": False, "resource": XPORTER, "server_time": first["server_time"],
        "connected_until": "2027-03-02T09:30:00Z",
    }  # fmt: skip
    assert agent.report()["state"] == "registered"
    assert agent.get_status()["state"] == "registered"


def test_a_server_is_connected_after_its_first_extract_and_lost_after_a_day(agent, clock):
    agent.report()
    assert agent.report(last_extract=EXTRACT)["state"] == "connected"
    clock.move(timedelta(hours=24))
    agent.use_refresh_token()
    assert agent.get_status()["state"] == "lost"
    assert agent.report(last_extract=EXTRACT)["state"] == "connected"


def test_only_the_newest_report_is_stored(agent, transaction):
    error = {"code": "mis_unreachable", "message": "SIMS does not answer.", "at": "2026-09-01T07:00:00+01:00"}
    agent.report(last_error=error)
    agent.report(name="SERVER-2", mis="arbor", agent_version="2.0", last_error=error, last_extract=EXTRACT)
    with transaction() as session:
        row = session.scalars(select(Endpoint)).one()
        assert (row.name, row.mis, row.agent_version) == ("SERVER-2", "arbor", "2.0")
        assert row.last_error == error | {"at": "2026-09-01T06:00:00+00:00"}
        assert row.last_extract["records"] == {"students": 612, "staff": 70}
    agent.report()
    with transaction() as session:
        row = session.scalars(select(Endpoint)).one()
        assert (row.last_error, row.last_extract["id"]) == (None, "e1"), "an error that is over is forgotten"


def test_a_school_that_is_not_verified_can_connect_its_server(new_agent):
    assert new_agent(state="unverified").report()["estab_status"] == "unverified"


def test_an_endpoint_continues_after_the_person_who_connected_it_has_left(agent, transaction, clock):
    with transaction() as session:
        membership = session.scalars(select(Membership).where(Membership.person_id == agent.person_id)).one()
        membership.removed_at = clock.now()
    assert agent.report()["state"] == "registered"


def test_a_second_server_is_refused_and_the_error_names_the_first(agent, new_agent, clock):
    agent.report()
    second = new_agent(agent.person_id)
    refused = second.report(status=409, name="SERVER-2")
    assert (refused["code"], refused["endpoint"]["name"]) == ("endpoint_exists", "SERVER-1")
    assert refused["endpoint"]["heard_at"].startswith(f"{clock.now():%Y-%m-%d}")
    assert second.get_status()["state"] == "none"
    assert agent.report()["state"] == "registered"


def test_a_server_that_replaces_another_revokes_its_tokens(agent, new_agent, transaction):
    agent.report()
    second = new_agent(agent.person_id)
    assert second.report(name="SERVER-2", replaces=True)["state"] == "registered"
    assert agent.report(status=401)["code"] == "invalid_token"
    assert agent.use_refresh_token().json["error"] == "invalid_grant"
    with transaction() as session:
        ended = session.scalars(select(Endpoint).where(Endpoint.ended_at.is_not(None))).one()
        assert (ended.name, ended.state, ended.ended_by) == ("SERVER-1", "replaced", agent.person_id)
    second.report(replaces=True)
    with transaction() as session:
        assert len(session.scalars(select(Endpoint)).all()) == 2, "replacing itself is no replacement"


def test_an_unregistered_server_loses_its_tokens_and_another_can_register(agent, new_agent):
    agent.report()
    second = new_agent(agent.person_id)
    agent.unregister()
    agent.unregister(status=401)
    assert agent.use_refresh_token().json["error"] == "invalid_grant"
    assert second.report()["state"] == "registered"
    unregistered = new_agent()
    unregistered.unregister()
    unregistered.report(status=401)


def test_unregistering_a_server_does_not_end_the_tokens_of_another(agent, new_agent):
    agent.report()
    new_agent(agent.person_id).unregister()
    assert agent.report()["state"] == "registered"


def test_a_server_cannot_replace_or_unregister_that_of_another_school(agent, new_agent):
    agent.report()
    other = new_agent()
    assert other.get_status()["state"] == "none"
    other.report(replaces=True, name="OTHER")
    other.unregister()
    assert agent.report()["state"] == "registered"


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"scheme": "Bearer"}, "invalid_token"),
        ({"prove": False}, "invalid_dpop_proof"),
        ({"key": ECKey.generate_key("P-256")}, "invalid_dpop_proof"),
        ({"ath": None}, "invalid_dpop_proof"),
        ({"htm": "POST"}, "invalid_dpop_proof"),
    ],
    ids=["as a bearer token", "without a proof", "another key", "proof without the token", "proof of another method"],
)
def test_a_token_without_a_valid_proof_is_refused(agent, method, overrides, code):
    refused = agent.request(method, json=REPORT if method == "PUT" else None, **overrides)
    assert (refused.status_code, refused.json["code"]) == (401, code)
    assert refused.headers["WWW-Authenticate"].startswith("DPoP ")


def test_a_partners_own_token_is_refused(transaction, web, clients):
    with transaction():
        partner = Partner(a_client(client_scopes=frozenset({"schools.list"}), grant_types={"client_credentials"}).id)
    form = {"grant_type": "client_credentials", "scope": "schools.list"}
    token = partner.post(web, "/oauth/token", form).json["access_token"]
    for method in ("PUT", "GET", "DELETE"):
        refused = web.open(PATH, method=method, json=REPORT, headers={"Authorization": f"Bearer {token}"})
        assert (refused.status_code, refused.json["code"]) == (403, "insufficient_scope")
        assert 'scope="endpoint"' in refused.headers["WWW-Authenticate"]


def test_an_endpoints_token_reads_nothing_else_of_the_api(agent, web):
    headers = {"Authorization": f"DPoP {agent.token}", "DPoP": agent.proof("GET", "/oauth/userinfo", agent.token)}
    assert web.get("/oauth/userinfo", headers=headers).status_code == 403
    headers["DPoP"] = agent.proof("GET", "/api/schools", agent.token)
    schools = web.get("/api/schools", headers=headers).json["schools"]
    assert [school["scope"] for school in schools] == ["offline_access endpoint"], "only that it is connected"


@pytest.mark.parametrize(
    "body",
    [
        [], "x", {}, REPORT | {"name": ""}, REPORT | {"name": "x" * 101}, REPORT | {"name": "a\nb"},
        REPORT | {"name": "a\0"}, REPORT | {"name": "a\n"}, REPORT | {"name": "\ud800"}, REPORT | {"name": 5},
        REPORT | {"mis": "no-such-system"}, REPORT | {"mis": "SIMS"}, REPORT | {"replaces": "yes"},
        REPORT | {"last_extract": EXTRACT | {"records": {"students": -1}}},
        REPORT | {"last_extract": EXTRACT | {"records": {"students": "612"}}},
        REPORT | {"last_extract": EXTRACT | {"records": {f"c{n}": 1 for n in range(51)}}},
        REPORT | {"last_extract": EXTRACT | {"sent_at": "yesterday"}},
        REPORT | {"last_extract": EXTRACT | {"sent_at": "2026-09-01T06:00:00"}},
        REPORT | {"last_extract": EXTRACT | {"sent_at": "0001-01-01T00:00:00+10:00"}},
        REPORT | {"last_error": {"code": "c", "message": "x" * 301, "at": EXTRACT["sent_at"]}},
    ],
)  # fmt: skip
def test_an_invalid_report_is_refused_and_changes_nothing(agent, body):
    refused = agent.request("PUT", json=body)
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request"), refused.text
    assert agent.get_status()["state"] == "none"


def test_a_report_that_is_too_large_is_refused(agent):
    assert agent.request("PUT", json=REPORT | {"padding": "x" * 70_000}).status_code == 413


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_that_is_too_large_is_refused_without_being_read(agent, content_type):
    headers = {"Authorization": f"DPoP {agent.token}", "DPoP": agent.proof("PUT", PATH, agent.token)}
    response = agent.web.put(PATH, headers=headers, data="x=" + "x" * 70_000, content_type=content_type)
    assert (response.status_code, response.json["detail"]) == (400, "Content-Type: must be application/json")


def test_a_suspended_schools_server_is_refused(agent, transaction):
    agent.report()
    with transaction() as session:
        session.scalars(select(Estab)).one().state = "suspended"
    assert agent.report(status=401)["code"] == "invalid_token"
