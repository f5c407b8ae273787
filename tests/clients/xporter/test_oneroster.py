"""OneRoster 1.2: resources in the form of the REST binding, their queries, errors, and the CSV binding."""

import csv
import io
import time
import zipfile

import pytest

from tests.clients.xporter.school_data import DATA_SCOPES, Stored, a_school, mark
from tests.clients.xporter.support import ESTAB, RESOURCE

BASE = "/ims/oneroster/rostering/v1p2"


def get(api, path):
    response = api.get(f"{BASE}/{path}")
    assert response.status_code == 200, response.text
    return response


def ref(kind, path, sourced_id):
    return {"href": f"{RESOURCE}{BASE}/{path}/{sourced_id}", "sourcedId": sourced_id, "type": kind}


SCHOOL = ref("org", "schools", ESTAB)


def test_a_pupil_is_a_user(api, stored):
    [student, *_] = get(api, "students").json["users"]
    assert student == {
        "sourcedId": "student-0000",
        "status": "active",
        "dateLastModified": "2026-09-21T14:13:27Z",
        "username": "student-0000",
        "primaryOrg": SCHOOL,
        "enabledUser": "true",
        "givenName": mark("students.legal_given_name"),
        "familyName": mark("students.legal_family_name"),
        "middleName": mark("students.middle_names"),
        "preferredFirstName": mark("students.preferred_given_name"),
        "preferredLastName": mark("students.preferred_family_name"),
        "identifier": mark("students.upn"),
        "userIds": [{"type": "UPN", "identifier": mark("students.upn")}],
        "grades": [mark("year_groups.national_curriculum_year", 1)],
        "agents": [ref("user", "users", "contact-1")],
        "roles": [
            {
                "roleType": "primary",
                "role": "student",
                "org": SCHOOL,
                "beginDate": "2023-09-02",
                "endDate": "2030-07-20",
            }
        ],
    }
    assert get(api, "users/student-0000").json == {"user": student}


@pytest.mark.parametrize(
    ("record", "role", "names"),
    [
        ({"name": "Mrs Ada M Okafor", "role": "Headteacher"}, "principal", ("Mrs Ada M", "Okafor")),
        ({"name": "Okafor", "role": "Maths teacher"}, "teacher", ("", "Okafor")),
        ({"name": "A Okafor", "role": "Teaching Assistant"}, "aide", ("A", "Okafor")),
        ({"name": "A Okafor"}, "administrator", ("A", "Okafor")),
        ({"name": "A Okafor", "role": "Site manager"}, "administrator", ("A", "Okafor")),
    ],
)
def test_roles_of_staff_are_mapped_to_roles_of_oneroster(api, stored, record, role, names):
    stored.put({"staff": {"staff-9": record}})
    user = get(api, "users/staff-9").json["user"]
    assert (user["roles"][0]["role"], (user["givenName"], user["familyName"])) == (role, names)
    is_teacher = role in {"teacher", "principal"}
    assert ("staff-9" in [user["sourcedId"] for user in get(api, "teachers").json["users"]]) is is_teacher


def test_staff_who_teach_a_class_are_teachers(api, stored, granted):
    [teacher] = get(api, "teachers").json["users"]
    assert (teacher["sourcedId"], teacher["roles"][0]["role"]) == ("staff-1", "teacher")
    granted.grant("staff")
    assert get(api, "teachers").json["users"] == []


def test_classes_belong_to_a_course_a_school_and_terms(api, stored):
    [taught] = get(api, "classes").json["classes"]
    [course] = get(api, "courses").json["courses"]
    assert (taught["course"]["sourcedId"], taught["school"]) == (course["sourcedId"], SCHOOL)
    assert (taught["title"], taught["classType"]) == (mark("classes.name", 1), "scheduled")
    assert taught["terms"] == [ref("academicSession", "academicSessions", "term-1")]
    assert (course["title"], course["subjects"]) == (mark("classes.subject", 1), [mark("classes.subject", 1)])
    assert get(api, f"courses/{course['sourcedId']}").json["course"] == course


def test_classes_of_one_subject_are_one_course(api, stored):
    stored.put({"classes": {"class-2": {"name": "B", "subject": mark("classes.subject", 1)}, "class-3": {"name": "C"}}})
    assert [course["title"] for course in get(api, "courses").json["courses"]] == [mark("classes.subject", 1), "C"]


def test_enrollments_join_people_and_classes(api, stored):
    enrollments = get(api, "enrollments").json["enrollments"]
    members = [(item["user"]["sourcedId"], item["role"], item["primary"]) for item in enrollments]
    assert members == [
        ("student-0000", "student", "false"), ("student-0001", "student", "false"),
        ("student-0002", "student", "false"), ("staff-1", "teacher", "true"),
    ]  # fmt: skip
    assert len({enrollment["sourcedId"] for enrollment in enrollments}) == 4
    assert {enrollment["class"]["sourcedId"] for enrollment in enrollments} == {"class-1"}


def test_a_contact_who_is_linked_twice_is_one_agent(api, stored):
    link = {"student": "student-0000", "relationship": "Mother"}
    stored.put(
        {"contacts": {"contact-1": {"name": "Grace Moss", "students": [link, link | {"relationship": "Carer"}]}}}
    )
    assert get(api, "users/student-0000").json["user"]["agents"] == [ref("user", "users", "contact-1")]


def test_terms_are_sessions_of_a_school_year(api, stored):
    year, term = get(api, "academicSessions").json["academicSessions"]
    assert (term["title"], term["type"], term["schoolYear"]) == (mark("terms.name", 1), "term", "2027")
    assert (term["startDate"], term["endDate"]) == ("2026-09-03", "2026-12-19")
    assert (year["type"], year["schoolYear"], year["children"][0]["sourcedId"]) == ("schoolYear", "2027", "term-1")
    assert term["parent"]["sourcedId"] == year["sourcedId"]
    assert get(api, "terms").json["academicSessions"] == [term]
    assert get(api, "gradingPeriods").json == {"academicSessions": []}


def test_a_term_without_dates_is_left_out(api, stored):
    stored.put({"terms": {"term-2": {"name": "Spring"}, "term-3": {"name": "S", "starts_on": "x", "ends_on": "y"}}})
    assert len(get(api, "terms").json["academicSessions"]) == 1


def test_the_school_is_the_only_org(api, stored):
    [org] = get(api, "orgs").json["orgs"]
    assert (org["sourcedId"], org["type"], org["identifier"]) == (ESTAB, "school", ESTAB)
    assert get(api, "schools").json == {"orgs": [org]}
    assert get(api, f"schools/{ESTAB}").json == {"org": org}


def test_demographics_have_the_birthday(api, stored):
    [first, *_] = get(api, "demographics").json["demographics"]
    assert (first["sourcedId"], first["birthDate"]) == ("student-0000", "2012-01-31")


def test_classes_pupils_and_teachers_are_listed_below_what_they_belong_to(api, stored):
    def ids(path):
        return [item["sourcedId"] for items in get(api, path).json.values() for item in items]

    stored.put({"classes": {"class-2": {"name": "B", "students": ["student-0001"]}}})
    assert ids(f"schools/{ESTAB}/classes") == ["class-1", "class-2"]
    assert ids("classes/class-2/students") == ["student-0001"]
    assert ids("classes/class-1/teachers") == ["staff-1"]
    assert ids("students/student-0001/classes") == ["class-1", "class-2"]
    assert ids("teachers/staff-1/classes") == ["class-1"]
    for nowhere in ("schools/other/classes", "classes/class-1/orgs", "students/x/teachers"):
        assert api.get(f"{BASE}/{nowhere}").status_code == 404


def test_the_pupils_of_a_class_need_the_scope_classes(api, stored, granted):
    granted.grant("students")
    assert api.get(f"{BASE}/classes/class-1/students").status_code == 403


def test_pages_have_the_total_and_links(api, app, granted):
    Stored(app, a_school(pupils=7))
    response = get(api, "students?limit=3&offset=3&sort=sourcedId")
    assert [user["sourcedId"] for user in response.json["users"]] == [f"student-{n:04}" for n in (3, 4, 5)]
    assert response.headers["X-Total-Count"] == "7"
    at = f"{RESOURCE}{BASE}/students?sort=sourcedId&limit=3&offset="
    assert response.headers["Link"] == ", ".join(
        f'<{at}{offset}>; rel="{name}"' for name, offset in (("first", 0), ("last", 6), ("prev", 0), ("next", 6))
    )
    assert "next" not in get(api, "students?limit=3&offset=6").headers["Link"]
    assert get(api, "students?offset=70").json == {"users": []}


@pytest.mark.parametrize(
    ("query", "expected_ids"),
    [
        ("filter=familyName='okafor'", ["a"]),
        ("filter=familyName='O''Brien'", []),
        ("filter=familyName='O'Brien'", ["b"]),
        ("filter=familyName~'r' AND givenName='Zoë'", ["b"]),
        ("filter=familyName='Okafor' OR givenName='Zoë'", ["a", "b"]),
        ("filter=familyName!='Okafor'", ["b"]),
        ("filter=sourcedId>'a'", ["b"]),
        ("filter=sourcedId<='a'", ["a"]),
        ("filter=roles.role='student'", ["a", "b"]),
        ("filter=roles.role='teacher'", []),
        ("filter=userIds.identifier='A1 OR B2'", ["b"]),
        ("filter=dateLastModified>'2026-01-01'", ["a", "b"]),
        ("filter=middleName='x'", []),
        ("sort=familyName", ["b", "a"]),
        ("sort=familyName&orderBy=desc", ["a", "b"]),
        ("sort=identifier", ["b", "a"]),
        ("sort=identifier&orderBy=desc", ["b", "a"]),
        ("sort=nothing", ["a", "b"]),
    ],
)
def test_filters_and_sorting_select_the_expected_records(api, app, granted, query, expected_ids):
    students = {
        "a": {"legal_given_name": "Ada", "legal_family_name": "Okafor"},
        "b": {"legal_given_name": "Zoë", "legal_family_name": "O'Brien", "upn": "A1 OR B2"},
    }
    Stored(app, {"students": students})
    assert [user["sourcedId"] for user in get(api, f"students?{query}").json["users"]] == expected_ids


def test_a_filter_finds_nothing_by_what_is_not_granted(api, stored, granted):
    granted.grant("students")
    year = mark("year_groups.national_curriculum_year", 1)
    assert get(api, f"students?filter=grades='{year}'").json["users"] == []
    granted.grant(*DATA_SCOPES)
    assert len(get(api, f"students?filter=grades='{year}'").json["users"]) == 3


def test_only_the_fields_asked_for_are_returned(api, stored):
    assert get(api, "students/student-0001?fields=sourcedId,status").json["user"] == {
        "sourcedId": "student-0001", "status": "active",
    }  # fmt: skip
    assert {*get(api, "students?fields=givenName").json["users"][0]} == {"givenName"}


@pytest.mark.parametrize(
    ("path", "status", "minor"),
    [
        ("students?fields=upn", 400, "invalid_selection_field"),
        ("students?fields=", 400, "invalid_selection_field"),
        ("students?filter=upn='x'", 400, "invalid_filter_field"),
        ("students?filter=familyName", 400, "invalid_filter_field"),
        ("students?filter=familyName='a' AND givenName='b' OR givenName='c'", 400, "invalid_filter_field"),
        ("students?limit=0", 400, "invaliddata"),
        ("students?offset=-1", 400, "invaliddata"),
        ("students/never", 404, "unknownobject"),
        ("lineItems", 404, "unknownobject"),
    ],
)
def test_errors_are_those_of_oneroster(api, stored, path, status, minor):
    response = api.get(f"{BASE}/{path}")
    assert response.status_code == status
    assert response.mimetype == "application/json"
    assert (response.json["imsx_codeMajor"], response.json["imsx_severity"]) == ("failure", "error")
    [field] = response.json["imsx_CodeMinor"]["imsx_codeMinorField"]
    assert field["imsx_codeMinorFieldValue"] == minor


def test_refusals_have_a_challenge_and_the_reason(api, stored, granted):
    granted.grant("staff")
    response = api.get(f"{BASE}/classes")
    assert (response.status_code, response.json["imsx_description"].partition(":")[0]) == (403, "insufficient_scope")
    assert 'scope="classes"' in response.headers["WWW-Authenticate"]
    granted.grant("staff", estab_status="unverified")
    assert api.get(f"{BASE}/teachers").json["imsx_description"].startswith("school_unverified")


def archive(api):
    with api.get("/ims/oneroster/v1p2/csv") as response:
        assert (response.status_code, response.mimetype) == (200, "application/zip")
        content = response.data
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        return {name: list(csv.reader(io.StringIO(files.read(name).decode()))) for name in files.namelist()}


def test_the_zip_has_the_files_of_its_manifest(api, stored, granted):
    granted.grant("students", "classes")
    files = archive(api)
    header, *rows = files["manifest.csv"]
    manifest = dict(rows)
    assert header == ["propertyName", "value"]
    assert (manifest["manifest.version"], manifest["oneroster.version"]) == ("1.0", "1.2")
    bulk = {f"{name.removeprefix('file.')}.csv" for name, value in manifest.items() if value == "bulk"}
    assert bulk == set(files) - {"manifest.csv"}
    assert bulk == {
        "users.csv", "roles.csv", "orgs.csv", "classes.csv", "courses.csv", "enrollments.csv", "demographics.csv",
    }  # fmt: skip
    assert len([name for name in manifest if name.startswith("file.")]) == 21


def test_rows_are_those_of_the_csv_binding(api, stored):
    files = archive(api)
    users = [dict(zip(files["users.csv"][0], row, strict=True)) for row in files["users.csv"][1:]]
    student = next(user for user in users if user["sourcedId"] == "student-0000")
    assert (student["status"], student["dateLastModified"], student["enabledUser"]) == ("", "", "true")
    assert student["userIds"] == f"{{UPN:{mark('students.upn')}}}"
    assert student["preferredGivenName"] == mark("students.preferred_given_name")
    assert (student["agentSourcedIds"], student["primaryOrgSourcedId"]) == ("contact-1", ESTAB)
    roles = [dict(zip(files["roles.csv"][0], row, strict=True)) for row in files["roles.csv"][1:]]
    assert {role["userSourcedId"]: role["role"] for role in roles} == {
        "student-0000": "student", "student-0001": "student", "student-0002": "student", "staff-1": "teacher",
        "contact-1": "relative",
    }  # fmt: skip
    [row] = files["classes.csv"][1:]
    taught = dict(zip(files["classes.csv"][0], row, strict=True))
    assert (taught["termSourcedIds"], taught["schoolSourcedId"]) == ("term-1", ESTAB)
    assert len(files["enrollments.csv"]) == 5


def test_reading_is_counted_under_the_areas_that_are_shown(api, app, stored, granted):
    get(api, "students")
    reads = app.extensions["xporter"].reads
    assert {scope for _, _, scopes, _ in reads._counts for scope in scopes} == {"students", "school", "contacts"}
    archive(api)
    [_, (_, _, of_archive, _)] = reads._counts
    assert of_archive == {"students", "school", "contacts", "staff", "classes"}


def test_a_path_with_any_character_is_escaped_in_links(api, stored):
    links = get(api, "classes/%0A%3E%E2%82%AC/students").headers["Link"]
    assert f"<{RESOURCE}{BASE}/classes/%0A%3E%E2%82%AC/students?limit=100&offset=0>" in links


def test_a_term_that_ends_on_the_last_possible_day_is_left_out(api, stored):
    stored.put({"terms": {"term-2": {"name": "S", "starts_on": "9999-01-01", "ends_on": "9999-12-31"}}})
    assert len(api.get("/ims/oneroster/rostering/v1p2/terms").json["academicSessions"]) == 1


def test_a_long_invalid_filter_is_refused_within_two_seconds(api, stored):
    began = time.process_time()
    for text in ("title='" + "' " * 20_000, "title='" + "'" + " " * 40_000 + "x", "title='a' AND " * 5_000):
        response = api.get("/ims/oneroster/rostering/v1p2/terms", query_string={"filter": text})
        assert response.status_code == 400
    assert time.process_time() - began < 2
