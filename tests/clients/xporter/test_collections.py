"""Reading a school's records: pages, changes, single records, lines; and what is refused."""

import base64
import json
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain

import pytest
from sqlalchemy import delete, update

from clients.xporter import storage, tables
from clients.xporter.collection_views import COLLECTION_ALIASES
from clients.xporter.snapshots import MAX_SNAPSHOTS
from clients.xporter.tables import collections, records
from tests.clients.xporter.school_data import DATA_SCOPES, PUBLISHED, SCOPE_OF, Stored, a_school, expected
from tests.clients.xporter.support import RESOURCE, call, token


def read(api, url, **headers):
    """The document at this URL, which has to be served."""
    response = api.get(url.removeprefix(RESOURCE), headers=headers)
    assert response.status_code == 200, response.text
    return response.json


def test_the_school_of_the_token_is_described_by_what_is_granted(api, stored, granted):
    granted.grant("students", "classes", "openid")
    assert read(api, "/v1/schools/me") == {
        "estab_id": "2135000",
        "estab_status": "verified",
        "scopes": ["classes", "students"],
        "endpoint": {"last_extract_at": "2026-09-21T14:15:00Z"},
        "collections": {
            "students": {"total": 3, "changed_at": "2026-09-21T14:13:27Z"},
            "classes": {"total": 1, "changed_at": "2026-09-21T14:13:30Z"},
        },
    }


def test_the_token_of_an_unverified_school_shows_its_state_and_no_data(api, stored, granted):
    granted.grant("students", estab_status="unverified")
    described = read(api, "/v1/schools/me")
    assert (described["estab_status"], described["collections"]) == ("unverified", {})
    refused = api.get("/v1/students")
    assert (refused.status_code, refused.json["code"]) == (403, "school_unverified")


@pytest.mark.parametrize("collection", sorted({name.partition(".")[0] for name in SCOPE_OF}))
def test_each_collection_is_served(api, stored, collection):
    page = read(api, f"/v1/{collection}")
    records = stored.data[collection]
    assert page[collection] == [expected(collection, key, record, DATA_SCOPES) for key, record in records.items()]
    assert (page["total"], page["next"]) == (len(records), None)


@pytest.mark.parametrize(("area", "collection"), COLLECTION_ALIASES.items())
def test_the_name_of_a_data_area_leads_to_its_collection(api, stored, area, collection):
    page = read(api, f"/v1/{area}?limit=1")
    assert page == read(api, f"/v1/{collection}?limit=1")
    [record] = page[collection]
    assert read(api, f"/v1/{area}/{record['id']}") == record


def test_pages_have_each_record_once(api, app, granted):
    Stored(app, a_school(pupils=7))
    url, pages = "/v1/students?limit=3", []
    while url:
        page = read(api, url)
        assert page["total"] == 7
        pages.append([record["id"] for record in page["students"]])
        url = page["next"]
    assert [len(ids) for ids in pages] == [3, 3, 1]
    assert list(chain(*pages)) == [f"student-{n:04}" for n in range(7)]


def test_a_delta_has_what_was_changed_and_deleted_while_pages_were_read(api, stored):
    first = read(api, "/v1/students?limit=2")
    stored.put({"students": {"student-0000": {"upn": "new"}, "student-0009": {"upn": "added"}}})
    stored.remove("students", "student-0001")
    last = read(api, first["next"])
    assert last["delta"] == first["delta"]

    changes = read(api, first["delta"].replace("&limit=2", ""))
    assert changes["students"] == [{"id": "student-0000", "upn": "new"}, {"id": "student-0009", "upn": "added"}]
    assert changes["deleted"] == ["student-0001"]
    assert (changes["total"], changes["next"]) == (3, None)

    unchanged = read(api, changes["delta"])
    assert (unchanged["students"], unchanged["deleted"]) == ([], [])
    stored.remove("students", "student-0009")
    assert read(api, unchanged["delta"])["deleted"] == ["student-0009"]


def test_a_long_delta_has_several_pages(api, stored):
    delta = read(api, "/v1/students?limit=2")["delta"]
    stored.put({"students": {f"new-{n}": {"upn": str(n)} for n in range(5)}})
    stored.remove("students", "student-0000")
    changed, deleted, url, pages = [], [], delta, 0
    while url:
        page = read(api, url)
        pages += 1
        changed += [record["id"] for record in page["students"]]
        deleted += page["deleted"]
        url = page["next"]
    assert (changed, deleted, pages) == ([f"new-{n}" for n in range(5)], ["student-0000"], 3)
    assert read(api, page["delta"])["students"] == []


def test_a_change_of_another_collection_is_not_in_the_delta(api, stored):
    delta = read(api, "/v1/students")["delta"]
    stored.put({"staff": {"staff-2": {"name": "N"}}})
    assert read(api, delta)["students"] == []


@pytest.mark.parametrize(
    "overrides",
    [
        {"scopes": frozenset({"students"})},
        {"scopes": frozenset(DATA_SCOPES) - {"staff"}},
        {"client_id": "another"},
    ],
)
def test_a_cursor_of_another_client_or_other_scopes_has_expired(api, stored, granted, overrides):
    page = read(api, "/v1/students?limit=1")
    granted.access = replace(granted.access, **overrides)
    for url in (page["next"], page["delta"]):
        refused = api.get(url.removeprefix(RESOURCE))
        assert (refused.status_code, refused.json["code"]) == (410, "cursor_expired")


def test_a_cursor_of_another_school_has_expired(api, app, stored, granted):
    page = read(api, "/v1/students?limit=1")
    Stored(app, a_school(), estab="2135001", school_id=2)
    granted.grant(*DATA_SCOPES, estab_id="2135001")
    assert api.get(page["next"].removeprefix(RESOURCE)).json["code"] == "cursor_expired"


def test_a_cursor_of_another_collection_has_expired(api, stored):
    page = read(api, "/v1/students?limit=1")
    moved = page["next"].replace("/students?", "/contacts?").removeprefix(RESOURCE)
    assert api.get(moved).json["code"] == "cursor_expired"


def test_a_cursor_from_before_forgotten_deletions_has_expired(api, stored):
    page = read(api, "/v1/students?limit=1")
    stored.remove("students", "student-0002")
    stored.forget_deletions()
    refused = api.get(page["delta"].removeprefix(RESOURCE))
    assert (refused.status_code, refused.json["code"]) == (410, "cursor_expired")


@pytest.mark.parametrize("cursor", ["x", "é", "A" * 2000, "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "{}"])
def test_an_invalid_cursor_is_refused(api, stored, cursor):
    refused = api.get("/v1/students", query_string={"cursor": cursor})
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "ten", "1.5", "²", "99999999999999999999"])
def test_an_invalid_limit_is_refused(api, stored, limit):
    refused = api.get("/v1/students", query_string={"limit": limit})
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")


def test_one_record_is_read_by_its_id(api, stored, granted):
    granted.grant("students.sen")
    record = expected("students", "student-0001", stored.data["students"]["student-0001"], {"students.sen"})
    assert read(api, "/v1/students/student-0001") == record
    assert set(record) == {"id", "sen_status", "sen_needs", "has_ehc_plan"}
    stored.remove("students", "student-0001")
    for gone in ("student-0001", "never"):
        refused = api.get(f"/v1/students/{gone}")
        assert (refused.status_code, refused.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("url", ["/v1/students", "/v1/students/student-0001", "/v1/schools/me"])
def test_an_unchanged_response_is_304_for_its_etag(api, stored, granted, url):
    etag = api.get(url).headers["ETag"]
    second = api.get(url, headers={"If-None-Match": etag})
    assert (second.status_code, second.data) == (304, b"")
    granted.grant("students")
    assert api.get(url, headers={"If-None-Match": etag}).status_code == 200
    granted.grant(*DATA_SCOPES)
    stored.put({"students": {"student-0001": {"upn": "new"}}})
    assert api.get(url, headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize("url", ["/v1/students", "/v1/students/student-0001", "/v1/schools/me"])
def test_a_condition_that_fails_is_answered_by_412(api, stored, url):
    """RFC 9110 §13.1.1 and §13.2.2: `If-Match` is evaluated before `If-None-Match`, and by strong comparison."""
    etag = api.get(url).headers["ETag"]
    for unmet in ('"other"', f"W/{etag}"):
        refused = api.get(url, headers={"If-Match": unmet, "If-None-Match": etag})
        assert (refused.status_code, refused.json["code"]) == (412, "precondition_failed"), unmet
    for met in (etag, "*", f'"other", {etag}'):
        assert api.get(url, headers={"If-Match": met}).status_code == 200, met


def test_the_entity_tag_of_one_page_is_not_that_of_another(api, stored):
    assert len({api.get(f"/v1/students{query}").headers["ETag"] for query in ("", "?limit=1", "?limit=2")}) == 3


def lines(response):
    return [json.loads(line) for line in response.text.splitlines()]


def test_all_records_are_sent_as_lines_of_json(api, stored, monkeypatch):
    monkeypatch.setattr("clients.xporter.storage.FETCH_SIZE", 2)
    response = api.get("/v1/students", headers={"Accept": "application/x-ndjson"})
    assert response.mimetype == "application/x-ndjson"
    *sent, last = lines(response)
    students = stored.data["students"]
    assert sent == [expected("students", key, record, DATA_SCOPES) for key, record in students.items()]
    assert last["total"] == 3
    stored.remove("students", "student-0002")
    assert read(api, last["delta"])["deleted"] == ["student-0002"]


def test_attendance_is_filtered_by_day_and_pupil(api, stored):
    def ids(query):
        return [record["id"] for record in read(api, f"/v1/attendance?{query}")["attendance"]]

    assert ids("from=2026-11-02") == ["mark-0001", "mark-0002"]
    assert ids("from=2026-11-02&to=2026-11-02") == ["mark-0001"]
    assert ids("student=student-0002") == ["mark-0002"]
    assert read(api, "/v1/attendance?student=student-0002")["delta"] is None
    first = read(api, "/v1/attendance?from=2026-11-02&limit=1")
    assert [record["id"] for record in read(api, first["next"])["attendance"]] == ["mark-0002"]
    streamed = lines(api.get("/v1/attendance?to=2026-11-01", headers={"Accept": "application/x-ndjson"}))
    assert [line.get("id") for line in streamed] == ["mark-0000", None]


@pytest.mark.parametrize(
    "url", ["attendance?from=monday", "attendance?to=2026-13-01", "students?student=x", "houses?from=2026-01-01"]
)
def test_filters_that_are_invalid_or_of_another_collection_are_refused(api, stored, url):
    refused = api.get(f"/v1/{url}")
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "place",
    [
        '{"collection":"students","kind":"listing","version":1,"after":"a\\u0000"}',
        '{"collection":"students","kind":"changes","version":9223372036854775808}',
        '{"collection":"students","kind":"changes","version":-1}',
    ],
)
def test_a_cursor_with_values_that_no_database_can_have_is_refused(api, stored, place):
    cursor = base64.urlsafe_b64encode(bytes(16) + place.encode()).decode().rstrip("=")
    refused = api.get("/v1/students", query_string={"cursor": cursor})
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")


def test_a_cursor_with_another_epoch_has_expired(api, stored):
    place = '{"collection":"students","kind":"changes","version":0}'
    cursor = base64.urlsafe_b64encode(bytes(16) + place.encode()).decode().rstrip("=")
    assert api.get("/v1/students", query_string={"cursor": cursor}).json["code"] == "cursor_expired"


def test_a_page_is_refused_with_retry_after_while_all_connections_are_in_use(api, app, stored, monkeypatch):
    monkeypatch.setattr("clients.xporter.snapshots.MAX_WAIT_SECONDS", 0)
    database = app.extensions["xporter"].database
    with ExitStack() as reading:
        for _ in range(MAX_SNAPSHOTS):
            reading.enter_context(database.snapshot())
        refused = api.get("/v1/students")
        assert (refused.status_code, refused.json["code"]) == (503, "temporarily_unavailable")
        assert refused.headers["Retry-After"]
    assert api.get("/v1/students").status_code == 200


def test_a_filter_beside_a_cursor_is_refused(api, stored):
    first = read(api, "/v1/attendance?from=2026-11-02&limit=1")
    refused = api.get(first["next"].removeprefix(RESOURCE) + "&from=2026-01-01")
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")


def test_a_collection_of_which_nothing_is_granted_names_the_scopes(api, stored, granted):
    granted.grant("staff")
    for url in ("/v1/students", "/v1/students/student-0001"):
        refused = api.get(url)
        assert (refused.status_code, refused.json["code"]) == (403, "insufficient_scope")
        assert "students students.demographics students.medical students.sen" in refused.headers["WWW-Authenticate"]


def test_unknown_paths_are_not_found(api, stored):
    for url in ("/v1/teachers", "/v1/extracts/x/y", "/v1/schools"):
        assert api.get(url).status_code == 404


def test_a_school_that_sent_no_extract_is_refused_with_the_reason(api, granted):
    refused = api.get("/v1/students")
    assert (refused.status_code, refused.json["code"]) == (409, "endpoint_not_registered")
    assert read(api, "/v1/schools/me")["endpoint"] == {"last_extract_at": None}


def test_a_collection_that_was_never_sent_is_empty(api, stored):
    stored.data.pop("houses")
    with stored.database.write() as connection:
        for table in (collections, records):
            connection.execute(delete(table).where(table.c.collection == "houses"))
    assert read(api, "/v1/houses") | {"delta": None} == {"houses": [], "total": 0, "next": None, "delta": None}


def test_another_schools_records_are_not_found(api, app, stored, granted):
    Stored(app, {"students": {"elsewhere": {"upn": "secret"}}}, estab="2135001", school_id=2)
    assert api.get("/v1/students/elsewhere").status_code == 404
    assert "secret" not in api.get("/v1/students").text


@pytest.mark.parametrize(
    ("stopped", "status", "code"),
    [
        ({"active": False, "authorisation_status": "paused"}, 403, "authorisation_paused"),
        ({"active": False, "authorisation_status": "withdrawn"}, 403, "authorisation_ended"),
        ({"active": False}, 401, "invalid_token"),
        ({"scope": "staff"}, 403, "insufficient_scope"),
    ],
)
def test_requests_are_refused_a_second_after_sharing_ended_or_changed(
    api, app, provider, monkeypatch, stopped, status, code
):
    provider.documents["/api/scopes"] = PUBLISHED
    provider.introspection = {"scope": "students"}
    Stored(app, a_school())
    now, access_token = [1000.0], token(client_id="assembly")
    monkeypatch.setattr("clients.xporter.tokens.time.monotonic", lambda: now[0])
    assert call(api, path="/v1/students", access_token=access_token).status_code == 200
    provider.introspection = stopped
    now[0] += 1.0
    for path in ("/v1/students", "/v1/students/student-0001", "/ims/oneroster/rostering/v1p2/students"):
        refused = call(api, path=path, access_token=access_token)
        assert refused.status_code == status
        assert code in refused.text
        assert "WWW-Authenticate" in refused.headers


def test_a_stream_is_sent_while_it_is_read_and_counts_what_was_sent(api, app, granted, monkeypatch):
    Stored(app, {"students": {f"p{number}": {"upn": str(number)} for number in range(9)}})
    monkeypatch.setattr("clients.xporter.storage.FETCH_SIZE", 2)
    fetched, page = [], storage.page

    def record_call(*arguments, **options):
        fetched.append(page(*arguments, **options))
        return fetched[-1]

    monkeypatch.setattr(storage, "page", record_call)
    response = api.get("/v1/students", headers={"Accept": "application/x-ndjson"}, buffered=False)
    sent = [next(response.response) for _ in range(2)]
    assert sum(part.count(b"\n") for part in sent) == 4
    assert sum(len(rows.ids) for rows in fetched) < 9
    response.close()  # the reader went away
    [(scopes, counted)] = [(key[2], count) for key, count in app.extensions["xporter"].reads._counts.items()]
    assert "students" in scopes
    assert counted.records == 4


@pytest.mark.parametrize("url", ["/v1/students/a%00", "/v1/attendance?student=a%00", "/v1/students?cursor=%00"])
def test_a_nul_character_in_a_url_is_refused(api, stored, url):
    refused = api.get(url)
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")


def test_a_page_whose_cursors_have_expired_is_sent_again(api, stored):
    first = api.get("/v1/houses")
    with stored.database.write() as connection:
        connection.execute(update(tables.schools).values(version=100, forgotten_version=100))
    assert api.get(first.json["delta"]).json["code"] == "cursor_expired"
    again = api.get("/v1/houses", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, api.get(again.json["delta"]).status_code) == (200, 200)
