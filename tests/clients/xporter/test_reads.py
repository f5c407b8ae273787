"""Who read what is counted per school, client, area and day, and reported to the provider until it accepts it."""

import threading
import time

import pytest
from sqlalchemy import select

from clients.xporter.database import Database
from clients.xporter.provider import ProviderUnreachable
from clients.xporter.reads import MAX_ROWS, Reads, Reporter
from clients.xporter.tables import reads as table
from tests.clients.xporter.school_data import DATA_SCOPES
from tests.clients.xporter.support import RESOURCE

DAY = time.strftime("%Y-%m-%d", time.gmtime())


@pytest.fixture
def reads(app, stored):
    return app.extensions["xporter"].reads


def stored_counts(app):
    """The counts in the database: requests and records, by client and scope."""
    app.extensions["xporter"].reads.write()
    with app.extensions["xporter"].database.read() as connection:
        rows = connection.execute(select(table).order_by(table.c.scope))
        return {(row.client_id, row.scope): (row.requests, row.records) for row in rows}


def reports(provider):
    """The rows of each report that the provider received."""
    return [sent["reads"] for path, sent in provider.requests if path == "/api/reads"]


def test_every_response_with_records_is_counted_under_the_areas_that_it_shows(api, app, reads, granted):
    granted.grant("students", "students.sen", "staff")
    delta = api.get("/v1/students?limit=2").json["delta"]
    api.get("/v1/students/student-0001")
    api.get("/v1/students", headers={"Accept": "application/x-ndjson"}).get_data()
    api.get(delta.removeprefix(RESOURCE))
    assert stored_counts(app) == {("assembly", "students"): (4, 6), ("assembly", "students.sen"): (4, 6)}


def test_deleted_records_of_a_delta_count_too(api, app, stored, reads, granted):
    granted.grant("staff")
    delta = api.get("/v1/staff").json["delta"]
    stored.remove("staff", "staff-1")
    api.get(delta.removeprefix(RESOURCE))
    assert stored_counts(app) == {("assembly", "staff"): (2, 2)}


def test_responses_without_records_are_not_counted(api, app, reads, granted):
    etag = api.get("/v1/staff").headers["ETag"]
    api.get("/v1/staff", headers={"If-None-Match": etag})
    api.get("/v1/staff/never")
    api.get("/v1/schools/me")
    granted.grant("school")
    api.get("/v1/staff")
    assert stored_counts(app) == {("assembly", "staff"): (1, 1)}


def test_requests_are_counted_by_client(api, app, reads, granted):
    for client in ("one", "two", "two"):
        granted.grant(*DATA_SCOPES, client_id=client)
        api.get("/v1/houses")
    assert stored_counts(app) == {("one", "school"): (1, 1), ("two", "school"): (2, 2)}


def test_totals_are_reported_once_and_again_when_they_have_grown(api, app, reads, provider, granted):
    granted.grant("staff")
    api.get("/v1/staff")
    reads.write()
    reads.report()
    reads.report()
    [[reported]] = reports(provider)
    at = reported.pop("last_at")
    assert at.startswith(DAY)
    assert at.endswith("Z")
    assert reported == {
        "estab_id": "2135000", "client_id": "assembly", "scope": "staff", "day": DAY, "requests": 1, "records": 1,
    }  # fmt: skip
    api.get("/v1/staff")
    reads.write()
    reads.report()
    assert [row["requests"] for [row] in reports(provider)] == [1, 2]


def test_totals_are_reported_later_if_the_provider_is_unreachable(api, app, reads, provider, granted):
    granted.grant("staff")
    api.get("/v1/staff")
    reads.write()
    provider.introspection = None
    with pytest.raises(ProviderUnreachable):
        reads.report()
    provider.introspection = {}
    reads.report()
    assert [row["records"] for [row] in reports(provider)] == [1]


def test_requests_during_a_report_are_in_the_next_one(api, app, reads, provider, granted, monkeypatch):
    granted.grant("staff")
    api.get("/v1/staff")
    reads.write()
    send = provider.request

    def count_during_report(method, url, **options):
        if url.endswith("/api/reads") and not reports(provider):
            api.get("/v1/staff")
            reads.write()
        return send(method, url, **options)

    monkeypatch.setattr(provider, "request", count_during_report)
    reads.report()
    assert [row["requests"] for [row] in reports(provider)] == [1, 2]


def test_a_refused_row_does_not_delay_the_others(api, app, reads, provider, granted, monkeypatch, caplog):
    for client in ("one", "refused", "another"):
        reads.count("2135000", client, ["staff"], 1)
    reads.write()
    send, accepted = provider.request, []

    def refuse_one_client(method, url, **options):
        response = send(method, url, **options)
        if url.endswith("/api/reads"):
            clients = [row["client_id"] for row in options["json"]["reads"]]
            response.status_code = 422 if "refused" in clients else 204
            accepted.extend(clients if "refused" not in clients else [])
        return response

    monkeypatch.setattr(provider, "request", refuse_one_client)
    reads.report()
    assert sorted(accepted) == ["another", "one"]
    assert "refuses the report" in caplog.text
    reads.report()
    assert sorted(accepted) == ["another", "one"]


def test_many_rows_are_reported_in_several_requests(reads, provider):
    for number in range(MAX_ROWS + 1):
        reads.count("2135000", f"client-{number}", ["staff"], 1)
    reads.write()
    reads.report()
    assert [len(rows) for rows in reports(provider)] == [MAX_ROWS, 1]


def test_counts_that_could_not_be_written_are_written_later(app, reads, monkeypatch):
    database = app.extensions["xporter"].database
    reads.count("2135000", "assembly", ["staff"], 2)
    with monkeypatch.context() as patch:
        patch.setattr(database, "write", lambda: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            reads.write()
    reads.count("2135000", "assembly", ["staff"], 3)
    assert stored_counts(app) == {("assembly", "staff"): (2, 5)}


def test_closing_writes_the_counts(app, reads):
    reads.count("2135000", "assembly", ["staff"], 2)
    reads.close()
    with app.extensions["xporter"].database.read() as connection:
        assert connection.execute(select(table.c.records)).scalar_one() == 2


def test_processes_that_write_at_once_lose_no_count(app, settings, reads):
    databases = [Database(settings.database_url) for _ in range(2)]
    processes = [Reads(database, app.extensions["xporter"].provider) for database in databases]
    areas = ["staff", "school", "students"]

    def count(process, order):
        for _ in range(20):
            for scope in order:
                process.count("2135000", "assembly", [scope], 1)
            process.write()

    threads = [
        threading.Thread(target=count, args=arguments)
        for arguments in zip(processes, (areas, areas[::-1]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process, database in zip(processes, databases, strict=True):
        process.close()
        database.close()
    assert stored_counts(app) == {("assembly", scope): (40, 40) for scope in areas}


def test_a_stopped_reporter_runs_no_more_jobs(reads, monkeypatch):
    monkeypatch.setattr("clients.xporter.reads.WRITE_SECONDS", 0)
    began, done = threading.Event(), []

    def job():
        began.set()
        time.sleep(0.1)
        done.append("job")

    reporter = Reporter(reads, job)
    reporter.ensure_running()
    began.wait(5)
    reporter.stop()
    before = len(done)
    time.sleep(0.2)
    assert len(done) == before > 0
