"""`POST /api/reads`: who read what, reported by the protected API, and shown to the school."""

import csv
import io
from datetime import timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import select

from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.xporter import reads
from idp.xporter.models import Read
from tests.factories import a_client, an_administrator
from tests.oidc.support import Partner
from tests.xporter.agents import register_api_client


class SchoolIds(NamedTuple):
    """A school's Estab ID and internal id, and the id of its owner."""

    estab_id: str
    internal_id: str
    owner_id: str


@pytest.fixture
def school(transaction):
    with transaction():
        person = an_administrator()
        return SchoolIds(person.memberships[0].estab.estab_id, person.memberships[0].estab_id, person.id)


@pytest.fixture
def partner_id(transaction):
    with transaction():
        return a_client(client_name="=Timetabler").id


@pytest.fixture
def api(transaction, web, clock):
    """`api(rows)` sends a report as the protected API."""
    with transaction():
        client = Partner(register_api_client())
    form = {"grant_type": "client_credentials", "scope": "reads.report"}
    token = client.post(web, "/oauth/token", form).json["access_token"]

    def report(*rows, status=204):
        response = web.post("/api/reads", json={"reads": rows}, headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == status, response.text
        return response

    return report


@pytest.fixture
def row(school, partner_id, clock):
    """`row()` is a total of a report, about data of the school that the partner read."""

    def make(**overrides):
        now = clock.now()
        default = {
            "estab_id": school.estab_id, "client_id": partner_id, "scope": "students", "day": f"{now:%Y-%m-%d}",
            "requests": 3, "records": 300, "last_at": now.isoformat(),
        }  # fmt: skip
        return default | overrides

    return make


def stored_totals(transaction):
    with transaction() as session:
        return [(read.scope, read.requests, read.records) for read in session.scalars(select(Read))]


def test_a_total_is_stored_once_and_an_older_total_does_not_replace_it(api, row, transaction):
    for _ in range(2):
        assert api(row()).data == b""
    assert stored_totals(transaction) == [("students", 3, 300)]
    api(row(requests=5, records=400), row(scope="attendance"))
    api(row(requests=4, records=350))
    assert sorted(stored_totals(transaction)) == [("attendance", 3, 300), ("students", 5, 400)], (
        "an older total changes nothing"
    )


def test_of_two_totals_for_the_same_row_in_one_report_the_larger_is_stored(api, row, transaction):
    api(row(requests=9, records=900), row())
    assert stored_totals(transaction) == [("students", 9, 900)]
    api()


@pytest.mark.parametrize(
    ("overrides", "member"),
    [
        ({"estab_id": "9999999"}, "reads[1].estab_id"),
        ({"client_id": "unknown"}, "reads[1].client_id"),
        ({"scope": "staff"}, "reads[1].scope"),
        ({"scope": "endpoint"}, "reads[1].scope"),
        ({"scope": "openid"}, "reads[1].scope"),
        ({"day": "2020-01-01"}, "reads[1].day"),
        ({"day": "9999-01-01"}, "reads[1].day"),
        ({"requests": -1}, "reads"),
        ({"requests": True}, "reads"),
        ({"records": 10**13}, "reads"),
        ({"day": "today"}, "reads"),
        ({"last_at": "0001-01-01T00:00:00+10:00"}, "last_at"),
        ({"estab_id": "a\0"}, "reads"),
    ],
)
def test_a_report_with_an_invalid_row_is_refused_with_its_name_and_nothing_is_stored(
    api, row, transaction, overrides, member
):
    refused = api(row(), row(**overrides), status=400).json
    assert (refused["code"], member in refused["detail"]) == ("invalid_request", True), refused["detail"]
    assert stored_totals(transaction) == []


def test_a_report_has_a_thousand_rows_at_most(api, row, transaction):
    rows = [row(day=f"{clocks.now() - timedelta(days=n % 30):%Y-%m-%d}", requests=n) for n in range(1001)]
    api(*rows, status=400)
    api(*rows[:1000])
    assert len(stored_totals(transaction)) == 30


def test_only_xporter_on_demand_reports_reads(web, transaction, row, clients, new_agent):
    with transaction():
        grants = frozenset({"client_credentials"})
        other = Partner(a_client(client_scopes=frozenset({"schools.list"}), grant_types=grants).id)
        without_api = Partner(a_client(client_scopes=frozenset({"reads.report"}), grant_types=grants).id)
    headers = {}
    for partner, scope in ((other, "schools.list"), (without_api, "reads.report")):
        form = {"grant_type": "client_credentials", "scope": scope}
        token = partner.post(web, "/oauth/token", form).json["access_token"]
        headers[scope] = {"Authorization": f"Bearer {token}"}
    assert web.post("/api/reads", json={"reads": []}).status_code == 401
    assert web.post("/api/reads", json={"reads": [row()]}, headers=headers["schools.list"]).status_code == 403
    assert web.post("/api/reads", json={"reads": [row()]}, headers=headers["reads.report"]).status_code == 400
    agent = new_agent()
    proof = agent.proof("POST", "/api/reads", agent.token)
    own = {"Authorization": f"DPoP {agent.token}", "DPoP": proof}
    assert web.post("/api/reads", json={"reads": [row()]}, headers=own).status_code == 403
    assert stored_totals(transaction) == []


def test_two_reports_at_once_leave_the_larger_total(transaction, school, partner_id, run_concurrently, clock):
    numbers = iter(range(1, 9))

    def report():
        number = next(numbers)
        total = reads.Total(school.estab_id, partner_id, "students", clock.now().date(), number, number, clock.now())
        reads.record([total], served=frozenset({"students"}))

    assert run_concurrently(8, report) == [None] * 8
    assert stored_totals(transaction) == [("students", 8, 8)]


def test_the_csv_for_the_school_names_service_and_category_and_escapes_formulas(api, row, transaction, school):
    api(row())
    with transaction():
        (line,) = csv.DictReader(io.StringIO(reads.as_csv(school.internal_id)))
    assert (line["Service"], line["Category of data"], line["Records"]) == ("'=Timetabler", "Pupils", "300")
    assert set(line) == set(reads.COLUMNS)


def test_another_school_sees_none_of_the_reads(api, row, transaction):
    api(row())
    with transaction() as session:
        other = an_administrator()
        assert reads.recent(session.get_one(Administrator, other.id).memberships[0].estab_id) == []
