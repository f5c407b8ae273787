"""Requests of schools' servers and of XporterOnDemand to us, and requests to XporterOnDemand, with valid tokens."""

import json
import uuid
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, strategies as st

from clients.xporter.app import create_app
from clients.xporter.database import Database
from clients.xporter.settings import Settings
from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from tests import factories
from tests.clients.xporter import school_data
from tests.clients.xporter.support import ISSUER, RESOURCE, Provider
from tests.conftest import a_browser
from tests.fuzz import responses
from tests.fuzz.hostile import Request, any_json, odd_text, tampered
from tests.fuzz.profiles import fuzz_settings
from tests.oidc.support import Partner
from tests.xporter import agents


@pytest.fixture(scope="module")
def server(session_app, settings, module_transaction):
    """A school's server, which reports to us."""
    with module_transaction():
        agent = agents.Agent(agents.register_agent_client(), secret="none", web=a_browser(session_app, settings))
        agent.person_id = factories.an_administrator().id
    agents.give_tokens(module_transaction, agent, agent.person_id)
    agent.report(last_extract=agents.EXTRACT)
    return agent


class Reporter(NamedTuple):
    """The headers of its requests, and a valid row of its report."""

    headers: dict[str, str]
    row: dict[str, Any]


@pytest.fixture(scope="module")
def reporter(server, module_transaction):
    """XporterOnDemand, which reports reads."""
    with module_transaction() as session:
        client = Partner(agents.register_api_client())
        estab = session.get_one(Administrator, server.person_id).memberships[0].estab.estab_id
        reader = factories.a_client().id
    form = {"grant_type": "client_credentials", "scope": "reads.report"}
    token = client.post(server.web, "/oauth/token", form).json["access_token"]
    row = {
        "estab_id": estab, "client_id": reader, "scope": "students", "day": f"{clocks.now():%Y-%m-%d}", "requests": 1,
        "records": 1, "last_at": clocks.now().isoformat(),
    }  # fmt: skip
    return Reporter({"Authorization": f"Bearer {token}"}, row)


def tampered_document(draw, document):
    """The document with members changed, added or removed."""
    document = dict(document)
    for name in draw(st.lists(st.sampled_from(sorted(document)), max_size=3)):
        document[name] = draw(any_json)
    for name in draw(st.lists(st.sampled_from(sorted(document)), max_size=2)):
        document.pop(name, None)
    return document | draw(st.dictionaries(odd_text, any_json, max_size=2))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@fuzz_settings(0.6)
@given(data=st.data())
def test_any_report_of_an_endpoint_gets_a_valid_response(server, method, data):
    error = {"code": "disk_full", "message": "Full.", "at": "2026-03-02T06:00:00Z"}
    report = agents.REPORT | {"last_extract": agents.EXTRACT, "last_error": error, "replaces": False}
    if method == "PUT":
        report = tampered_document(data.draw, report)
        for name in ("last_extract", "last_error"):
            if isinstance(report.get(name), dict) and report[name] and data.draw(st.booleans()):
                report[name] = tampered_document(data.draw, report[name])
    headers = {"Authorization": f"DPoP {server.token}", "DPoP": server.proof(method, agents.PATH, server.token)}
    valid = Request(
        method, agents.PATH, headers=headers, body=json.dumps(report).encode(), content_type="application/json"
    )  # fmt: skip
    # DELETE has no valid proof, so that it does not succeed: the other requests need the registration.
    sent = replace(valid, headers=headers | {"DPoP": data.draw(odd_text)}) if method == "DELETE" else valid
    responses.check(
        _send(sent, server.web) if data.draw(st.booleans()) else _send(data.draw(tampered(sent)), server.web)
    )


@fuzz_settings()
@given(data=st.data())
def test_any_report_of_reads_gets_a_valid_response(server, reporter, data):
    row = reporter.row
    rows = [tampered_document(data.draw, row) for _ in range(data.draw(st.integers(0, 3)))]
    document = data.draw(st.sampled_from([{"reads": rows}, {"reads": [row, row]}]) | any_json)
    body = json.dumps(document).encode()
    sent = Request("POST", "/api/reads", headers=reporter.headers, body=body, content_type="application/json")
    responses.check(_send(sent, server.web))
    responses.check(_send(data.draw(tampered(sent)), server.web))


def _send(sent, web):
    """As `Request.send`, without characters that HTTP forbids in headers."""
    encodable = {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in sent.headers.items()}
    headers = {name: value.replace("\r", "").replace("\n", "") for name, value in encodable.items()}
    return replace(sent, headers=headers).send(web)


class Api:
    """XporterOnDemand with a school's data, which accepts every token and grants it all scopes."""

    def __init__(self, folder):
        file = folder / "xporter.sqlite3"
        Database(f"sqlite:///{file}").close()
        provider = Provider()
        provider.documents |= {"/api/scopes": school_data.PUBLISHED, "/api/reads": None}
        settings = Settings(ISSUER, "xporter", RESOURCE, 5003, folder, f"sqlite:///{file}")
        self.app = create_app(settings, http=provider)
        self.granted = school_data.Granted()
        self.granted.grant(*school_data.DATA_SCOPES, "endpoint", jkt="a key")
        program = self.app.extensions["xporter"]
        program = replace(program, tokens=self.granted, reporter=school_data.IdleReporter())
        self.app.extensions["xporter"] = program
        self.stored = school_data.Stored(self.app, school_data.a_school())
        self.web = self.app.test_client()
        self.page = self.web.get("/v1/students?limit=2").json

    def valid(self, name):
        """The valid request of this name."""
        if name not in CURSORS:
            return VALID[name]
        return replace(VALID[name], query=tuple(parse_qsl(urlsplit(self.page[CURSORS[name]]).query)))


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    api = Api(tmp_path_factory.mktemp("xporter"))
    yield api
    api.app.extensions["xporter"].close()


ROSTER = "/ims/oneroster/rostering/v1p2"
VALID = {
    "pages": Request("GET", "/v1/students", query=(("limit", "2"),)),
    "narrowed": Request(
        "GET", "/v1/attendance",
        query=(("student", "student-0001"), ("from", "2026-11-01"), ("to", "2026-11-30")),
    ),
    "next page": Request("GET", "/v1/students"),
    "one": Request("GET", "/v1/students/student-0001", headers={"If-None-Match": '"x"'}),
    "changes": Request("GET", "/v1/students", headers={"Accept": "application/x-ndjson"}),
    "lines": Request("GET", "/v1/students", headers={"Accept": "application/x-ndjson"}),
    "school": Request("GET", "/v1/schools/me"),
    "roster": Request(
        "GET", f"{ROSTER}/users",
        query=(
            ("limit", "2"), ("offset", "1"), ("sort", "familyName"), ("orderBy", "desc"), ("fields", "sourcedId"),
            ("filter", "roles.role='student' AND givenName~'a'"),
        ),
    ),
    "roster of a class": Request("GET", f"{ROSTER}/classes/class-1/students", query=(("filter", "givenName!='x'"),)),
    "roster as csv": Request("GET", "/ims/oneroster/v1p2/csv"),
    "announce": Request(
        "POST", "/v1/extracts", content_type="application/json",
        body=json.dumps(
            {"id": str(uuid.UUID(int=1)), "mis": "sims", "bytes": 9, "sha256": "0" * 64,
             "made_at": "2026-01-01T06:00:00Z"}
        ).encode(),
    ),
    "piece": Request(
        "PATCH", f"/v1/extracts/{uuid.UUID(int=1)}", headers={"Upload-Offset": "0"}, body=b"123",
        content_type="application/octet-stream",
    ),
    "metadata": Request("GET", "/.well-known/oauth-protected-resource"),
    "problem": Request("GET", "/problems/not_found"),
}  # fmt: skip
"""A valid request to each endpoint of XporterOnDemand; `Api.valid` adds values that come from its responses."""
CURSORS = {"next page": "next", "changes": "delta"}
"""The member of a page whose URL has the query of these requests."""
MEDIA_TYPES = {"application/json", "application/problem+json", "application/x-ndjson", "application/zip", "text/html"}


def _check(response):
    assert response.status_code < 500, response.text
    assert not response.data or response.mimetype in MEDIA_TYPES, response.headers
    assert "X-Evil" not in response.headers
    if response.status_code >= 400 and response.data:
        assert json.loads(response.data), response.text
    response.close()


@pytest.mark.parametrize("name", VALID)
def test_valid_requests_are_accepted(api, name):
    if name == "piece":
        api.valid("announce").send(api.web)
    response = api.valid(name).send(api.web)
    assert response.status_code < 400, response.text
    response.close()


@pytest.mark.parametrize("name", VALID)
@fuzz_settings(0.6)
@given(data=st.data())
def test_any_request_to_the_xporter_api_gets_a_valid_response(api, name, data):
    valid = api.valid(name)
    if name == "announce":
        valid = replace(valid, body=json.dumps(tampered_document(data.draw, json.loads(valid.body))).encode())
    _check(_send(valid, api.web))
    _check(_send(data.draw(tampered(valid)), api.web))
