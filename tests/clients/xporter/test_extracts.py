"""Extracts: announced, sent in pieces, resumed, checked, and applied whole or not at all."""

import gzip
import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from clients.xporter import extracts, storage, tables
from clients.xporter.problems import Problem
from tests.clients.xporter.support import ESTAB, build_announcement, build_extract, call, line, student
from tests.processes import eventually

VALID_LINES = (
    line("year_groups", "7", name="Year 7"),
    student("1", "Ada", year_group="7", birth_date="2014-05-01", free_school_meals=True, allergies=["nuts"]),
    student("2", "Ben", year_group="7"),
    line("contacts", "c1", name="Grace Moss", students=[{"student": "1", "relationship": "Mother", "priority": 1}]),
    line("attendance", "a1", student="1", date="2026-11-27", session="AM", mark="/"),
)


def count(app, table):
    with app.extensions["xporter"].database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_an_extract_is_announced_sent_and_applied(app, endpoint):
    content = build_extract(*VALID_LINES, complete=["students"])
    document = build_announcement(content)
    response = endpoint.announce(document)
    assert (response.status_code, response.json) == (
        201, {"id": document["id"], "state": "receiving", "offset": 0, "max_piece_bytes": 4 << 20},
    )  # fmt: skip
    half = len(content) // 2
    first = endpoint.send_piece(document["id"], 0, content[:half])
    assert (first.status_code, first.json) == (200, {"state": "receiving", "offset": half})
    assert endpoint.status_of(document["id"])["offset"] == half
    last = endpoint.send_piece(document["id"], half, content[half:])
    assert (last.status_code, last.json) == (202, {"state": "checking", "offset": len(content)})
    endpoint.run_worker()

    state = endpoint.status_of(document["id"])
    assert (state["state"], state["problems"]) == ("applied", [])
    assert state["counts"]["students"] == {"added": 2, "changed": 0, "removed": 0, "total": 2}
    assert state["applied_at"].endswith("Z")
    assert count(app, tables.pieces) == 0, "the file is not kept"


def test_references_are_stored_as_ids_of_ours_and_not_as_keys_of_the_mis(endpoint):
    endpoint.deliver(*reversed(VALID_LINES))
    ids = endpoint.ids("students")
    [contact] = endpoint.stored("contacts").values()
    assert contact["students"] == [{"student": ids["Ada"], "relationship": "Mother", "priority": 1}]
    [year_group] = endpoint.stored("year_groups")
    assert endpoint.stored("students")[ids["Ada"]] == {
        "legal_given_name": "Ada", "legal_family_name": "Moss", "year_group": year_group, "birth_date": "2014-05-01",
        "free_school_meals": True, "allergies": ["nuts"],
    }  # fmt: skip
    assert not {"1", "2", "7", "c1", "a1"} & {*ids.values(), year_group, *endpoint.stored("contacts")}


def test_a_person_who_is_listed_twice_is_stored_once(endpoint):
    """An MIS lists a pupil twice in a group whom it has moved out and in again."""
    link = {"student": "1", "relationship": "Mother"}
    endpoint.deliver(
        *VALID_LINES[:3],
        line("contacts", "c1", name="Grace Moss", students=[link, link, link | {"relationship": "Guardian"}]),
        line("classes", "7a", name="7A", students=["2", "1", "2"]),
    )
    ids = endpoint.ids("students")
    [school_class] = endpoint.stored("classes").values()
    assert school_class["students"] == [ids["Ben"], ids["Ada"]]
    [contact] = endpoint.stored("contacts").values()
    stored = {"student": ids["Ada"], "relationship": "Mother"}
    assert contact["students"] == [stored, stored | {"relationship": "Guardian"}]


def test_a_piece_whose_response_was_lost_is_sent_again_and_changes_nothing(endpoint):
    content = build_extract(*VALID_LINES)
    document = build_announcement(content)
    assert [endpoint.announce(document).status_code for _ in range(2)] == [201, 200]
    for _ in range(2):
        response = endpoint.send_piece(document["id"], 0, content[:50])
        assert (response.status_code, response.json["offset"]) == (200, 50)
    for _ in range(2):
        response = endpoint.send_piece(document["id"], 50, content[50:])
        assert (response.status_code, response.json["state"]) == (202, "checking")
    assert endpoint.run_worker() == 1
    response = endpoint.send_piece(document["id"], 50, content[50:])
    assert (response.status_code, response.json["state"]) == (200, "applied")
    assert endpoint.announce(document).json["state"] == "applied"
    assert endpoint.run_worker() == 0


def test_a_piece_at_another_offset_is_refused_with_the_expected_one(endpoint):
    content = build_extract(*VALID_LINES)
    document = build_announcement(content)
    endpoint.announce(document)
    endpoint.send_piece(document["id"], 0, content[:50])
    for offset, piece in ((60, b"x"), (0, b"other bytes"), (40, content[40:60])):
        response = endpoint.send_piece(document["id"], offset, piece)
        assert (response.status_code, response.json["code"], response.json["offset"]) == (409, "offset_mismatch", 50)


@pytest.mark.parametrize(
    ("overrides", "status", "code"),
    [
        ({"id": "1"}, 400, "invalid_request"),
        ({"id": str(uuid.uuid4()).upper()}, 400, "invalid_request"),
        ({"id": 5}, 400, "invalid_request"),
        ({"mis": ""}, 400, "invalid_request"),
        ({"mis": None}, 400, "invalid_request"),
        ({"bytes": 0}, 400, "invalid_request"),
        ({"bytes": True}, 400, "invalid_request"),
        ({"bytes": "5"}, 400, "invalid_request"),
        ({"bytes": 100_000_001}, 413, "too_large"),
        ({"sha256": "x" * 64}, 400, "invalid_request"),
        ({"made_at": "yesterday"}, 400, "invalid_request"),
        ({"made_at": "2026-11-29T06:00:00"}, 400, "invalid_request"),
        ({"made_at": "9999-12-31T23:59:59-12:00"}, 400, "invalid_request"),
        ({"made_at": (datetime.now(UTC) + timedelta(hours=2)).isoformat()}, 400, "invalid_request"),
    ],
)
def test_an_announcement_that_is_wrong_is_refused(endpoint, overrides, status, code):
    response = endpoint.announce(build_announcement(b"x", **overrides))
    assert (response.status_code, response.json["code"]) == (status, code)


def test_invalid_announcements_and_pieces_are_refused(endpoint):
    for body in (b"", b"[]", b"{", b"\xff", b"null"):
        response = call(endpoint.api, "POST", "/v1/extracts", data=body)
        assert (response.status_code, response.json["code"]) == (400, "invalid_request")
    document = build_announcement(b"abc")
    endpoint.announce(document)
    for offset, piece, headers in (
        ("-1", b"a", {}), ("x", b"a", {}), ("", b"a", {}), ("0", b"", {}), ("0", b"abcd", {}), ("9" * 13, b"a", {}),
        ("0", b"a", {"Content-Type": "text/plain"}),
    ):  # fmt: skip
        response = endpoint.send_piece(document["id"], offset, piece, **headers)
        assert (response.status_code, response.json["code"]) == (400, "invalid_request"), (offset, piece)
    assert endpoint.send_piece(document["id"], 0, b"x" * ((4 << 20) + 1)).json["code"] == "too_large"
    assert endpoint.send_piece(str(uuid.uuid4()), 0, b"a").json["code"] == "not_found"
    assert endpoint.status_of(document["id"])["offset"] == 0


def test_the_same_id_for_another_file_is_refused(endpoint):
    document = build_announcement(b"abc")
    endpoint.announce(document)
    response = endpoint.announce(document | {"sha256": "0" * 64})
    assert (response.status_code, response.json["code"]) == (409, "conflict")


def test_an_extract_is_not_found_by_another_school(endpoint, provider):
    document = build_announcement(b"abc")
    endpoint.announce(document)
    provider.introspection = {"estab_id": "9999999"}
    endpoint.app.extensions["xporter"].tokens._introspected.clear()
    assert endpoint.status_of(document["id"])["code"] == "not_found"
    assert endpoint.send_piece(document["id"], 0, b"abc").json["code"] == "not_found"
    assert endpoint.announce(document).status_code == 201


def test_only_the_endpoint_of_a_verified_school_may_send(endpoint, provider):
    document = build_announcement(b"abc")
    for introspection, code in (
        ({"estab_status": "unverified"}, "school_unverified"), ({"estab_status": "suspended"}, "school_unverified"),
        ({"scope": "students"}, "insufficient_scope"), ({"estab_id": None}, "insufficient_scope"),
        ({"active": False, "authorisation_status": "paused"}, "authorisation_paused"),
    ):  # fmt: skip
        provider.introspection = introspection
        endpoint.app.extensions["xporter"].tokens._introspected.clear()
        response = endpoint.announce(document)
        assert (response.status_code, response.json["code"]) == (403, code)
        assert "WWW-Authenticate" in response.headers


def test_the_number_of_unfinished_extracts_is_limited(app, endpoint):
    documents = [build_announcement(b"abc") for _ in range(5)]
    for document in documents:
        endpoint.announce(document)
    assert count(app, tables.extracts) == extracts.MAX_UNFINISHED
    assert endpoint.status_of(documents[0]["id"])["code"] == "not_found"
    assert endpoint.status_of(documents[-1]["id"])["state"] == "receiving"


def test_the_number_of_pieces_is_limited(endpoint, monkeypatch):
    monkeypatch.setattr(extracts, "MAX_PIECES", 2)
    document = build_announcement(b"abc")
    endpoint.announce(document)
    assert [endpoint.send_piece(document["id"], at, b"abc"[at : at + 1]).status_code for at in range(3)] == [
        200,
        200,
        400,
    ]


# The content of an extract


def contact_of(student_key, **members):
    return line("contacts", "1", name="X", students=[{"student": student_key, **members}])


@pytest.mark.parametrize(
    ("extract_line", "line_number", "collection", "member", "words"),
    [
        (line("pets", "1", name="Rex"), 2, None, "collection", "There is no collection 'pets'."),
        (student("1", shoe_size="5"), 2, "students", "shoe_size", "There is no member 'shoe_size'."),
        (line("students", "1", legal_given_name="Ada"), 2, "students", "legal_family_name", "is missing"),
        (student("1", birth_date="1 May 2014"), 2, "students", "birth_date", "a date such as 2026-03-01"),
        (student("1", birth_date="2014-02-30"), 2, "students", "birth_date", "a date such as 2026-03-01"),
        (
            student("1", free_school_meals="yes"),
            2,
            "students",
            "free_school_meals",
            "It must be true or false, not text.",
        ),
        (student("1", forename=5), 2, "students", "legal_given_name", "It must be text, not a whole number."),
        (student("1", forename="x" * 4001), 2, "students", "legal_given_name", "at most 4000 characters"),
        (student("", forename="Ada"), 2, None, "key", "at least 1 character."),
        (student("k" * 101), 2, None, "key", "at most 100 characters."),
        (student("a\0b"), 2, "students", "key", "not allowed"),
        (student("1", year_group="8"), 2, "students", "year_group", "not there"),
        (line("contacts", "1", name="X", students=[{"student": "?"}]), 2, "contacts", "students", "not there"),
        (line("contacts", "1", name="X", students=[{"pupil": "?"}]), 2, "contacts", "pupil", "no member"),
        (line("students", "1", legal_given_name="A", legal_family_name="B") | {"x": 1}, 2, None, "x", "no member"),
        (contact_of("1", priority=101), 2, "contacts", "students", "It must be 100 or less."),
        (line("contacts", "1", name="X", students="1"), 2, "contacts", "students", "It must be a list, not text."),
        ("not json", 2, None, None, "not JSON"),
        ('{"collection":"students","key":"\udcff"}', 2, None, None, "not UTF-8"),
        ("[" * 100_000, 2, None, None, "an object"),
        ('{"collection":"students","key":"1","data":{"upn":' + "[" * 100_000, 2, None, None, "not JSON"),
        ('"' + "x" * 300_000 + '"', 2, None, None, "more than"),
    ],
)
def test_an_invalid_line_is_reported_by_its_number_and_nothing_is_applied(
    endpoint, extract_line, line_number, collection, member, words
):
    state = endpoint.deliver(extract_line, student("2", "Ben"))
    assert (state["state"], state["code"]) == ("refused", "invalid_content")
    problem = state["problems"][0]
    assert (problem["line"], problem["collection"], problem["field"]) == (line_number, collection, member), problem
    assert words in problem["message"]
    assert endpoint.stored("students") == {}


def test_a_repeated_key_is_reported(endpoint):
    [problem] = endpoint.deliver(student("1"), student("1", "Ben"))["problems"]
    assert (problem["line"], problem["field"]) == (3, "key")


def test_all_problems_are_reported_up_to_a_hundred(endpoint):
    state = endpoint.deliver(*(student(str(number), shoe_size="5") for number in range(150)))
    assert [problem["line"] for problem in state["problems"]] == list(range(2, 102))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"format": 2}, "format must be 1"),
        ({"mis": "arbor"}, "not the one that was announced"),
        ({"complete": ["pets"]}, "no collection"),
        ({"complete": "students"}, "first line"),
    ],
)
def test_an_invalid_header_is_refused(endpoint, header, words):
    content = build_extract(student("1"), header=header)
    extract_id = endpoint.upload(content)
    endpoint.run_worker()
    state = endpoint.status_of(extract_id)
    assert state["state"] == "refused"
    assert words in state["problems"][0]["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"plain text",
        build_extract(student("1"))[:-9],
        build_extract(student("1")) + b"more",
        gzip.compress(b"", mtime=0),
    ],
    ids=["plain", "cut off", "longer", "empty"],
)
def test_a_file_that_is_not_valid_gzip_is_refused(endpoint, content):
    extract_id = endpoint.upload(content)
    endpoint.run_worker()
    assert endpoint.status_of(extract_id)["code"] == "invalid_content"


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(endpoint, monkeypatch):
    monkeypatch.setattr("clients.xporter.extract_file.MAX_UNCOMPRESSED_BYTES", 1 << 20)
    extract_id = endpoint.upload(
        build_extract(*(" " * 100_000 + json.dumps(student(str(number))) for number in range(200)))
    )
    endpoint.run_worker()
    assert "too large" in endpoint.status_of(extract_id)["problems"][0]["message"]


def test_bytes_that_changed_on_the_way_are_refused(endpoint):
    extract_id = endpoint.upload(build_extract(student("1")), sha256="0" * 64)
    endpoint.run_worker()
    assert endpoint.status_of(extract_id)["code"] == "damaged"


def test_members_that_are_null_are_not_stored_and_new_collections_are(endpoint):
    state = endpoint.deliver(student("1", upn=None), line("future", "1", anything=["a", "b"]))
    assert state["state"] == "applied", state
    assert endpoint.stored("students").popitem()[1] == {"legal_given_name": "Ada", "legal_family_name": "Moss"}
    assert endpoint.stored("future").popitem()[1] == {"anything": ["a", "b"]}


# What an extract changes


def test_an_extract_with_the_same_records_changes_nothing(endpoint):
    endpoint.deliver(*VALID_LINES, complete=["students"])
    version, before = endpoint.version(), endpoint.stored("students")
    state = endpoint.deliver(*VALID_LINES, complete=["students"])
    assert state["counts"]["students"] == {"added": 0, "changed": 0, "removed": 0, "total": 2}
    assert (endpoint.version(), endpoint.stored("students")) == (version, before)


def test_only_changed_records_get_a_new_version(endpoint):
    endpoint.deliver(student("1", "Ada"), student("2", "Ben"), student("3", "Cy"), complete=["students"])
    ids, version = endpoint.ids("students"), endpoint.version()
    state = endpoint.deliver(student("1", "Ada"), student("2", "Benjamin"), student("4", "Di"), complete=["students"])
    assert state["counts"]["students"] == {"added": 1, "changed": 1, "removed": 1, "total": 3}
    changed = endpoint.changes("students", version)
    assert {record.id for record in changed} == {ids["Ben"], ids["Cy"], endpoint.ids("students")["Di"]}
    assert [record.id for record in changed if record.data is None] == [ids["Cy"]]
    assert len({record.version for record in changed}) == 3


def test_missing_records_are_deleted_only_from_collections_that_are_complete(endpoint):
    endpoint.deliver(student("1"), line("staff", "1", name="Sam"), complete=["students", "staff"])
    state = endpoint.deliver(student("2", "Ben"), complete=["staff"])
    assert state["counts"] == {
        "staff": {"added": 0, "changed": 0, "removed": 1, "total": 0},
        "students": {"added": 1, "changed": 0, "removed": 0, "total": 2},
    }
    assert endpoint.stored("staff") == {}
    assert len(endpoint.stored("students")) == 2


KEPT_RECORD = {"collection": "students", "key": "2", "kept": True}


def test_a_record_that_the_endpoint_could_not_read_is_not_changed(endpoint):
    endpoint.deliver(*VALID_LINES, complete=["students"])
    before, version = endpoint.stored("students"), endpoint.version()
    mark = line("attendance", "a2", student="2", date="2026-11-27", session="AM", mark="N")

    state = endpoint.deliver(*VALID_LINES[:2], KEPT_RECORD, mark, complete=["students"])

    assert (state["state"], state["counts"]["students"]["removed"]) == ("applied", 0)
    assert endpoint.stored("students") == before
    assert [row.id for row in endpoint.changes("students", version)] == []
    assert endpoint.ids("attendance", "mark").keys() == {"/", "N"}, "what refers to it is applied"


def test_references_to_a_kept_record_that_was_never_sent_are_left_out(endpoint):
    own = line("attendance", "a2", student="2", date="2026-11-27", session="AM", mark="N")
    members = line("classes", "m1", name="Maths", students=["1", "2"])
    contact = line("contacts", "c2", name="Una Roe", students=[{"student": "2"}])

    state = endpoint.deliver(*VALID_LINES[:2], KEPT_RECORD, own, members, contact, complete=["students", "attendance"])

    assert (state["state"], state["problems"]) == ("applied", [])
    [ada] = endpoint.stored("students")
    assert [record["students"] for record in endpoint.stored("classes").values()] == [[ada]]
    assert [record.get("students") for record in endpoint.stored("contacts").values()] == [[]]
    assert endpoint.stored("attendance") == {}
    assert state["counts"]["attendance"]["total"] == 0


def test_references_to_a_collection_that_could_not_be_read_are_left_out(endpoint):
    endpoint.deliver(line("year_groups", "7", name="Year 7"), student("1", year_group="7"))

    state = endpoint.deliver(
        student("1", "Adam", year_group="7"), student("2", "Ben", year_group="8"), header={"kept": ["year_groups"]}
    )  # fmt: skip

    assert (state["state"], state["problems"]) == ("applied", [])
    [year_group] = endpoint.stored("year_groups")
    groups = {data["legal_given_name"]: data.get("year_group") for data in endpoint.stored("students").values()}
    assert groups == {"Adam": year_group, "Ben": None}


def test_a_line_with_both_data_and_kept_is_refused(endpoint):
    for wrong, field in (
        (KEPT_RECORD | {"data": {}}, "data"), (KEPT_RECORD | {"kept": False}, "data"),
        (KEPT_RECORD | {"key": "1"}, "key"),
    ):  # fmt: skip
        [problem] = endpoint.deliver(student("1"), wrong)["problems"]
        assert (problem["line"], problem["field"]) == (3, field)


def test_a_pupil_who_comes_back_has_the_same_id(endpoint):
    endpoint.deliver(student("1"), complete=["students"])
    ids = endpoint.ids("students")
    endpoint.deliver(complete=["students"])
    assert endpoint.stored("students") == {}
    assert endpoint.deliver(student("1"), complete=["students"])["counts"]["students"]["added"] == 1
    assert endpoint.ids("students") == ids


def test_a_reference_may_be_to_a_record_of_an_earlier_extract(endpoint):
    endpoint.deliver(student("1"), student("2", "Ben"), complete=["students"])
    mark = line("attendance", "a", student="1", date="2026-11-27", session="AM", mark="/")
    assert endpoint.deliver(mark)["state"] == "applied"
    endpoint.deliver(student("2", "Ben"), complete=["students"])
    assert endpoint.deliver(mark | {"key": "b"})["code"] == "invalid_content"


def test_records_are_found_by_pupil_and_day(app, endpoint):
    mark = {"session": "AM", "mark": "/"}
    endpoint.deliver(
        student("1"), student("2", "Ben"), line("attendance", "a", student="1", date="2026-11-26", **mark),
        line("attendance", "b", student="1", date="2026-11-27", **mark),
        line("attendance", "c", student="2", date="2026-11-27", **mark),
    )  # fmt: skip
    with app.extensions["xporter"].database.snapshot() as connection:
        school = storage.school(connection, ESTAB)

        def count(**filters):
            return len(storage.page(connection, school.id, "attendance", limit=9, **filters).ids)

        assert count() == 3
        assert count(student=endpoint.ids("students")["Ada"]) == 2
        assert count(date_from="2026-11-27") == 2
        assert count(date_to="2026-11-26", student=endpoint.ids("students")["Ben"]) == 0
        assert storage.all_collections(connection, school.id)["attendance"].total == 3


def test_an_older_extract_does_not_undo_a_newer_one(endpoint, caplog):
    caplog.set_level("INFO")
    now = datetime.now(UTC)
    endpoint.deliver(student("1", "New"), made_at=now.isoformat())
    state = endpoint.deliver(student("1", "Old"), made_at=(now - timedelta(seconds=1)).isoformat())
    assert (state["state"], state["code"]) == ("refused", "superseded")
    assert [
        record.getMessage().split(": ")[1].split(" in ")[0] for record in caplog.records if "extract" in record.msg
    ] == [
        "applied",
        "refused (superseded)",
    ]
    assert set(endpoint.ids("students")) == {"New"}


def test_the_same_key_of_another_system_is_another_record(endpoint):
    endpoint.deliver(student("1", "Ada"), line("staff", "1", name="Sam"), complete=["students"])
    ids, version = endpoint.ids("students"), endpoint.version()
    state = endpoint.deliver(student("1", "Zoe"), mis="arbor")
    assert state["counts"]["students"] == {"added": 1, "changed": 0, "removed": 1, "total": 1}
    assert endpoint.ids("students")["Zoe"] != ids["Ada"]
    assert [record.id for record in endpoint.changes("students", version) if record.data is None] == [ids["Ada"]]
    assert endpoint.stored("staff") == {}


def test_a_refused_extract_of_another_system_deletes_nothing(endpoint):
    endpoint.deliver(student("1", "Ada"), line("staff", "1", name="Sam"), complete=["students"])
    version, before = endpoint.version(), endpoint.stored("students")
    state = endpoint.deliver(
        student("1", "Zoe"),
        line("attendance", "a", student="9", date="2026-11-26", session="AM", mark="/"),
        mis="arbor",
    )
    assert (state["state"], state["code"]) == ("refused", "invalid_content")
    assert (endpoint.version(), endpoint.stored("students")) == (version, before)
    assert len(endpoint.stored("staff")) == 1
    assert endpoint.deliver(student("1", "Ben"), mis="sims")["state"] == "applied"


def test_everything_of_a_school_is_deleted_on_request(app, endpoint, provider):
    endpoint.deliver(*VALID_LINES)
    endpoint.announce(build_announcement(b"abc"))
    provider.introspection = {"estab_status": "unverified"}
    endpoint.app.extensions["xporter"].tokens._introspected.clear()
    assert [call(endpoint.api, "DELETE", "/v1/data").status_code for _ in range(2)] == [204, 204]
    for table in (tables.schools, tables.records, tables.collections, tables.extracts, tables.pieces):
        assert count(app, table) == 0, table.name


def test_an_extract_waits_while_the_catalogue_cannot_be_fetched(app, endpoint, monkeypatch):
    worker = app.extensions["xporter"].worker
    original = worker._members

    def raise_unavailable():
        raise Problem("temporarily_unavailable")

    monkeypatch.setattr(worker, "_members", raise_unavailable)
    extract_id = endpoint.upload(build_extract(student("1")))
    endpoint.run_worker()
    assert endpoint.status_of(extract_id)["state"] == "checking"
    monkeypatch.setattr(worker, "_members", original)
    monkeypatch.setattr(worker, "_now", lambda: time.time() + 6)
    endpoint.run_worker()
    assert endpoint.status_of(extract_id)["state"] == "applied"


def test_a_round_ends_while_the_provider_responds_too_slowly(app, endpoint, monkeypatch):
    worker, attempts, now = app.extensions["xporter"].worker, [], [time.time()]

    def time_out():
        attempts.append(now[0])
        now[0] += 10
        if len(attempts) == 5:
            worker.stop()
        raise Problem("temporarily_unavailable")

    monkeypatch.setattr(worker, "_now", lambda: now[0])
    monkeypatch.setattr(worker, "_members", time_out)
    for number in range(2):
        endpoint.upload(build_extract(student(str(number))))
    endpoint.run_worker()
    assert len(attempts) == 2, "one for each extract"


def test_an_extract_that_cannot_be_checked_fails_after_some_attempts_without_delaying_others(
    app, endpoint, monkeypatch
):
    worker, now = app.extensions["xporter"].worker, [time.time()]
    monkeypatch.setattr(worker, "_now", lambda: now[0])
    original = worker._check

    def check(extract, content):
        if extract.id == broken:
            raise MemoryError
        return original(extract, content)

    monkeypatch.setattr(worker, "_check", check)
    broken = endpoint.upload(build_extract(student("1")))
    other = endpoint.upload(build_extract(student("2")))
    endpoint.run_worker()
    assert endpoint.status_of(other)["state"] == "applied"
    for _ in range(6):
        now[0] += 60
        endpoint.run_worker()
    assert endpoint.status_of(broken)["code"] == "cannot_be_checked"


def test_the_background_thread_applies_extracts(app, endpoint):
    worker = app.extensions["xporter"].worker
    worker.start()
    extract_id = endpoint.upload(build_extract(student("1")))
    eventually(lambda: endpoint.status_of(extract_id)["state"] != "checking")
    assert endpoint.status_of(extract_id)["state"] == "applied"
    assert worker.stop() is None


def test_an_announcement_of_endless_arrays_is_refused(api):
    refused = call(api, "POST", "/v1/extracts", data="[" * 200_000)
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")


def test_new_and_changed_records_are_written_in_batches(endpoint, monkeypatch):
    monkeypatch.setattr("clients.xporter.applying.BATCH_SIZE", 2)
    monkeypatch.setattr("clients.xporter.database.INSERTED_AT_ONCE", 2)
    endpoint.deliver(*(student(str(number), f"Old {number}") for number in range(5)))
    mixed = [student(str(number), f"New {number}") for number in (0, 10, 1, 2, 11, 12, 3, 13, 14)]
    counts = endpoint.deliver(*mixed, complete=["students"])["counts"]["students"]
    assert counts == {"added": 5, "changed": 4, "removed": 1, "total": 9}
    names = endpoint.ids("students")
    assert sorted(names) == [f"New {number}" for number in (0, 1, 10, 11, 12, 13, 14, 2, 3)]
    assert len(set(names.values())) == 9
    assert len({record.version for record in endpoint.changes("students", 0)}) == 10
