"""Readers: whole schools, invalid rows, missing files, and MIS that are busy."""

import contextlib
import csv
import io
import json
import shutil
import time
from email.utils import formatdate

import pytest
import requests
from hypothesis import HealthCheck, given, settings, strategies as st
from openpyxl import Workbook

from clients.endpoint.fictional_school import server
from clients.endpoint.readers import isams, json_pages, make
from clients.endpoint.readers.json_pages import _retry_after
from clients.endpoint.readers.tables import TableReader
from clients.endpoint.records import COLLECTIONS, Problems, UnreadableReport
from tests.clients.endpoint.conftest import CREDENTIALS


@pytest.mark.parametrize("mis", ["sims", "cmis", "pupil_asset"])
def test_all_of_a_school_is_read_from_files(mis, exported, school, read_all):
    assert read_all(mis, exported / mis) == (school.records, [])


@pytest.mark.parametrize("mis", ["arbor", "isams"])
def test_all_of_a_school_is_read_over_http_in_pages(mis, exported, school, read_all):
    with server.serving(exported) as url:
        assert read_all(mis, url) == (school.records, [])


@pytest.fixture
def sims(exported, tmp_path):
    """A folder of reports that a test may change."""
    folder = tmp_path / "sims"
    shutil.copytree(exported / "sims", folder)
    return folder


def read_report(folder, collection="students", mis="sims"):
    """The records of a collection, and the problems."""
    problems = Problems()
    records = list(make(mis, str(folder), None, time.sleep).read(collection, problems))
    return records, [str(problem) for problem in problems.listed]


def rewrite(path, change):
    """Change a report's rows: a list of lists, with the headings first."""
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("cp1252"))))
    change(rows)
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows(rows)
    path.write_bytes(written.getvalue().encode())


HOSTILE_REPORTS = {
    "an invalid date": ("DOB", "31/02/2012", "Students.csv, row 3, DOB: is not a date", True),
    "an invalid UPN": ("UPN", "12345", "Students.csv, row 3, UPN: is not a UPN", True),
    "an invalid yes or no": ("In Care", "maybe", "Students.csv, row 3, In Care: is neither yes nor no", True),
    "text in the wrong encoding": (
        "Legal Forename", "ZoÃ«", "Students.csv, row 3, Legal Forename: was saved in the wrong encoding", True,
    ),
    "no surname": ("Legal Surname", " ", "Students.csv, row 3, Legal Surname: is missing, so this row was left", False),
    "no admission number": ("Adno", "", "Students.csv, row 3, Adno: is missing", False),
    "an endless admission number": ("Adno", "9" * 101, "Students.csv, row 3, Adno: is longer than 100", False),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_REPORTS)
def test_a_wrong_value_is_reported_by_file_and_row_and_the_rest_is_read(case, sims, school):
    column, value, expected, is_read = HOSTILE_REPORTS[case]

    def change(rows):
        rows[2][rows[0].index(column)] = value

    rewrite(sims / "Students.csv", change)

    records, problems = read_report(sims)

    assert len([record for record in records if record.data]) == len(school["students"]) - (not is_read)
    [problem] = problems
    assert problem.startswith(expected)
    assert value.strip() in {"", "9" * 101} or value not in problem


@pytest.mark.parametrize("column", ["House", "Reg", "Year"])
def test_a_pupil_without_a_house_or_group_is_no_problem(column, sims, school):
    def change(rows):
        for row in rows[1:]:
            row[rows[0].index(column)] = ""

    rewrite(sims / "Students.csv", change)

    collection = {"House": "houses", "Reg": "registration_groups", "Year": "year_groups"}[column]
    assert read_report(sims, collection) == ([], [])
    records, problems = read_report(sims)
    assert (len(records), problems) == (len(school["students"]), [])


def test_a_result_without_a_subject_is_read(sims, school):
    def change(rows):
        rows[1][rows[0].index("Subject")] = ""

    rewrite(sims / "Results.csv", change)

    [result, *others], problems = read_report(sims, "assessments")

    assert (problems, len(others)) == ([], len(school["assessments"]) - 1)
    assert result.key == f"{result.data['student']}|{result.data['name']}||{result.data['date']}"
    assert "subject" not in result.data


def test_a_result_of_an_assessment_with_a_long_name_is_read(sims, school):
    def change(rows):
        for row in rows[1:3]:
            row[rows[0].index("Aspect")] = "Reading " * 12

    rewrite(sims / "Results.csv", change)

    records, problems = read_report(sims, "assessments")

    assert (problems, len(records)) == ([], len(school["assessments"]))
    assert all(len(record.key) <= 100 for record in records)


def test_results_of_one_assessment_on_different_days_are_all_read(sims, school):
    def change(rows):
        first = dict(zip(rows[0], rows[1], strict=True))
        rows += [list((first | {"Result Date": day, "Result": day}).values()) for day in ("02/03/2026", "")]

    rewrite(sims / "Results.csv", change)

    records, problems = read_report(sims, "assessments")

    assert (problems, len(records)) == ([], len(school["assessments"]) + 2)


def test_a_row_that_lacks_a_required_value_gives_its_key_without_data(sims, school):
    def change(rows):
        rows[2][rows[0].index("Legal Surname")] = ""
        rows[3][rows[0].index("Adno")] = ""

    rewrite(sims / "Students.csv", change)

    records, problems = read_report(sims)

    keys = list(school["students"])
    assert [record.key for record in records if record.data is None] == [keys[1]]
    assert {record.key for record in records} == set(keys) - {keys[2]}
    assert problems == [
        "Students.csv, row 3, Legal Surname: is missing, so this row was left out; what was sent of it before stays",
        "Students.csv, row 4, Adno: is missing, so this row was left out",
    ]


def test_of_two_rows_with_the_same_key_the_readable_one_is_used(sims, school):
    def change(rows):
        rows.insert(1, list(rows[1]))
        rows[1][rows[0].index("Legal Surname")] = ""

    rewrite(sims / "Students.csv", change)

    records, _ = read_report(sims)

    assert [record.data for record in records] == list(school["students"].values())


def test_of_two_rows_with_the_same_key_the_first_is_read(sims, school):
    rewrite(sims / "Students.csv", lambda rows: rows.insert(2, rows[1]))

    records, problems = read_report(sims)

    assert len(records) == len(school["students"])
    assert problems == ["Students.csv, row 3, Adno: is there twice; the first one was taken"]


def test_rows_with_too_many_or_too_few_values_are_left_out(sims, school):
    def change(rows):
        rows[1].append("and more")
        rows[2].pop()

    rewrite(sims / "Students.csv", change)

    records, problems = read_report(sims)

    keys = list(school["students"])
    assert [record.key for record in records if record.data is None] == keys[:2], "their keys can be read"
    assert [record.key for record in records if record.data] == keys[2:]
    left_out = "so it was left out; what was sent under its key before stays"
    assert problems == [
        f"Students.csv, row 2: has 26 values instead of 25, {left_out}",
        f"Students.csv, row 3: has 24 values instead of 25, {left_out}",
    ]


def test_a_class_with_a_damaged_membership_row_keeps_the_data_sent_before(sims, school):
    class_keys = []

    def change(rows):
        rows[1].append("and more")
        class_keys.append(rows[1][rows[0].index("Class")])

    rewrite(sims / "Class Members.csv", change)

    records, problems = read_report(sims, "classes")

    assert [record.key for record in records if record.data is None] == class_keys
    assert {record.key for record in records} == school["classes"].keys()
    (problem,) = problems
    assert problem.startswith("Class Members.csv, row 2: has ")
    assert problem.endswith(" so it was left out; what was sent under its key before stays")


def test_a_class_with_a_membership_row_without_a_pupil_keeps_the_data_sent_before(sims, school):
    class_keys = []

    def change(rows):
        rows[1][rows[0].index("Adno")] = ""
        class_keys.append(rows[1][rows[0].index("Class")])

    rewrite(sims / "Class Members.csv", change)

    records, problems = read_report(sims, "classes")

    assert [record.key for record in records if record.data is None] == class_keys
    assert problems == [
        "Class Members.csv, row 2, Adno: is missing, so this row was left out; what was sent under its key before stays"
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_report_may_be_saved_in_any_of_the_usual_encodings(encoding, sims, school):
    path = sims / "Students.csv"
    path.write_bytes(path.read_bytes().decode("cp1252").encode(encoding))

    records, problems = read_report(sims)

    assert ({record.key: record.data for record in records}, problems) == (school["students"], [])


def test_bytes_that_cannot_be_decoded_are_reported_and_the_row_is_read(sims, school):
    path = sims / "Students.csv"
    first = next(iter(school["students"].values()))["legal_given_name"].encode("cp1252")
    path.write_bytes(path.read_bytes().replace(b'"' + first + b'"', b'"' + first + b'\x81"', 1))

    records, problems = read_report(sims)

    assert len(records) == len(school["students"])
    assert "characters that cannot be read" in problems[0]


def test_empty_lines_and_nul_characters_are_ignored(sims, school):
    path = sims / "Students.csv"
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\r\n\r\n") + b"\0\r\n")

    records, problems = read_report(sims)

    assert (len(records), problems) == (len(school["students"]), [])


DAMAGED_REPORTS = {
    "is missing": (lambda path: path.unlink(), "is not in"),
    "is empty": (lambda path: path.write_bytes(b""), "is empty"),
    "is cut off": (lambda path: path.write_bytes(path.read_bytes()[:-40]), "is cut off"),
    "is a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
}


@pytest.mark.parametrize("case", DAMAGED_REPORTS)
def test_a_report_that_cannot_be_read_as_a_whole_says_what_to_do(case, sims):
    damage, expected = DAMAGED_REPORTS[case]
    damage(sims / "Students.csv")

    with pytest.raises(UnreadableReport, match=expected):
        read_report(sims)


def test_a_report_that_changes_while_it_is_read_is_refused(sims):
    records = make("sims", str(sims), None, time.sleep).read("students", Problems())
    next(records)
    with (sims / "Students.csv").open("a") as more:
        more.write("\r\n")

    with pytest.raises(UnreadableReport, match="was written while it was read"):
        list(records)


def test_a_workbook_with_errors_of_the_spreadsheet_is_read(tmp_path):
    book = Workbook()
    sheet = book.active
    sheet.title = "Staff"
    for row in (["Initials", "Name", "Job title", "Email"], ["ABC", "Ada Inkpen", "#REF!"], [None, None, None]):
        sheet.append(row)
    book.save(tmp_path / "export.xlsx")

    [record], problems = read_report(tmp_path, "staff", "pupil_asset")

    assert record.data == {"name": "Ada Inkpen", "staff_code": "ABC"}
    assert problems == ["sheet Staff, row 2, Job title: is an error of the spreadsheet, so it was left out"]
    with pytest.raises(UnreadableReport, match="no sheet Pupils"):
        read_report(tmp_path, "students", "pupil_asset")


def test_a_telephone_number_in_a_workbook_has_its_leading_zero(tmp_path):
    book = Workbook()
    sheet = book.active
    sheet.title = "Contacts"
    sheet.append(["Contact ID", "Contact name", "Phone", "Email", "Address", "Pupil ID", "Relationship", "Order"])
    sheet.append(["c1", "Grace Moss", 7700900123, None, None, "p1", "Mother", 1])
    book.save(tmp_path / "export.xlsx")

    [record], problems = read_report(tmp_path, "contacts", "pupil_asset")

    assert record.data["telephone"] == "07700900123"
    assert problems == ["sheet Contacts, row 2, Phone: was saved as a number; its leading zero or + was put back"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"Name,Role\r\n"])
def test_a_file_that_is_not_a_workbook_is_reported(content, tmp_path):
    (tmp_path / "export.xlsx").write_bytes(content)

    with pytest.raises(UnreadableReport, match=r"export\.xlsx is not a workbook"):
        read_report(tmp_path, "staff", "pupil_asset")


@pytest.mark.parametrize("mis", ["arbor", "isams"])
def test_a_busy_mis_gets_another_request_after_its_retry_after(mis, exported, school, read_all):
    waits: list[float] = []
    limits = server.Limits(requests=8, seconds=30)

    def wait(seconds):
        waits.append(seconds)
        limits.served_at.clear()

    with server.serving(exported, limits) as url:
        records, problems = read_all(mis, url, wait)

    assert (records, problems) == (school.records, [])
    assert waits
    assert set(waits) <= {30.0, 31.0}


@pytest.mark.parametrize(("status", "expected"), [(500, "busy or broken"), (403, "refuses"), (404, "with 404")])
def test_an_mis_that_keeps_failing_is_reported(status, expected, exported):
    waits: list[float] = []
    with server.serving(exported, server.Limits(failing={"students": status})) as url:
        reader = make("arbor", url, CREDENTIALS, waits.append)
        with pytest.raises(UnreadableReport, match=expected):
            list(reader.read("students", Problems()))

    assert waits == ([1, 2, 4, 8, 16, 32, 64, 120] if status == 500 else [])


@pytest.fixture
def pages(monkeypatch):
    """Has the MIS give ten items a page whatever is asked for, after `change` of page number and items."""

    def give(change=lambda _number, items: items):
        full_page = server._Handler._page

        def page(mis, name, items, query):
            number = int(query["page"][0])
            return full_page(mis, name, change(number, items), {"page": [str(number)]} | sizes)

        sizes = {"page-size": ["10"], "pageSize": ["10"]}
        monkeypatch.setattr(server._Handler, "_page", staticmethod(page))

    return give


@pytest.mark.parametrize("mis", ["arbor", "isams"])
def test_an_mis_with_shorter_pages_than_asked_for_is_read_to_the_end(mis, exported, school, read_all, pages):
    pages()
    with server.serving(exported, server.Limits(requests=100_000)) as url:
        assert read_all(mis, url) == (school.records, [])


@pytest.mark.parametrize("mis", ["arbor", "isams"])
def test_an_mis_that_repeats_its_only_page_is_read(mis, exported, school, monkeypatch):
    first_page = server._Handler._page
    page = staticmethod(lambda mis, name, items, query: first_page(mis, name, items, query | {"page": ["1"]}))
    monkeypatch.setattr(server._Handler, "_page", page)
    with server.serving(exported) as url:
        records = list(make(mis, url, CREDENTIALS, time.sleep).read("houses", Problems()))
    assert [record.key for record in records] == list(school["houses"])


@pytest.mark.parametrize(
    "change", [lambda number, items: items[number > 1 :], lambda number, items: items[:1] * (number > 1) + items]
)
def test_a_list_that_changes_between_two_pages_is_read_again_later(change, exported, pages, monkeypatch):
    pages(change)
    monkeypatch.setattr(isams, "PAGE_SIZE", 10)
    with server.serving(exported) as url, pytest.raises(UnreadableReport, match="changed while it was read"):
        list(make("isams", url, CREDENTIALS, time.sleep).read("students", Problems()))


def test_an_mis_whose_response_never_ends_is_reported(exported, monkeypatch):
    monkeypatch.setattr(json_pages, "MAX_PAGE_BYTES", 1000)

    with server.serving(exported) as url, pytest.raises(UnreadableReport, match="too much at once"):
        list(make("arbor", url, CREDENTIALS, time.sleep).read("students", Problems()))


@pytest.mark.parametrize("mis", ["arbor", "isams"])
def test_a_wrong_password_is_reported(mis, exported):
    with server.serving(exported) as url:
        reader = make(mis, url, type(CREDENTIALS)("xporter", "wrong"), time.sleep)
        with pytest.raises(UnreadableReport, match="Check"):
            list(reader.read("students", Problems()))


def test_an_unreachable_mis_is_tried_several_times_and_then_reported():
    waits: list[float] = []
    with pytest.raises(UnreadableReport, match="cannot be reached"):
        list(make("arbor", "http://127.0.0.1:9", CREDENTIALS, waits.append).read("students", Problems()))

    assert len(waits) == 8


@pytest.mark.parametrize(
    "students",
    [
        ["text", None, 7, {"id": 1}],
        [{"id": {"deeper": 1}}],
        [{"id": 1, "person": [], "senNeeds": "x", "allergies": [1]}],
    ],
)
def test_json_of_the_wrong_types_is_reported(students, tmp_path):
    (tmp_path / "arbor").mkdir()
    (tmp_path / "arbor/students.json").write_text(json.dumps(students))
    problems = Problems()

    with server.serving(tmp_path) as url:
        records = list(make("arbor", url, CREDENTIALS, time.sleep).read("students", problems))
    assert [record.data for record in records if record.data is not None] == []

    assert len(problems) >= 1


def test_retry_after_may_be_a_date():
    response = requests.Response()
    response.headers["Retry-After"] = formatdate(time.time() + 30, usegmt=True)
    assert 28 <= _retry_after(response) <= 30
    response.headers["Retry-After"] = "soon"
    assert _retry_after(response) is None


def test_a_missing_required_column_makes_the_report_unreadable(sims):
    rewrite(sims / "Students.csv", lambda rows: rows[0].__setitem__(3, "Forename"))

    with pytest.raises(UnreadableReport, match=r"Students\.csv has no column Legal Forename"):
        read_report(sims)


def test_a_missing_optional_column_is_reported_once(sims, school):
    rewrite(sims / "Students.csv", lambda rows: rows[0].__setitem__(7, "Born"))

    records, problems = read_report(sims)

    assert len(records) == len(school["students"])
    assert problems == ["Students.csv, row 1, DOB: is not among the columns, so it is not known for any row"]


class _Rows:
    """A source whose rows a test sets."""

    has_headings = False

    def __init__(self, rows):
        self._rows = rows

    def name(self, source):
        return source

    def rows(self, source, problems):
        yield from enumerate(self._rows, start=2)


ANY_VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.datetimes()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


def _tables(mis):
    reader = make(mis, "x", None, time.sleep)
    assert isinstance(reader, TableReader)
    return reader.tables


@pytest.mark.parametrize("mis", ["sims", "arbor", "isams"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_row_crashes_a_reader(mis, data):
    for collection in COLLECTIONS:
        table = _tables(mis)[collection]
        columns = sorted({field.column for field in (*table.key, *table.fields)})
        row = data.draw(st.dictionaries(st.sampled_from(columns), ANY_VALUE, max_size=4))
        reader, problems = TableReader(_Rows([row, row]), {collection: table}), Problems()

        for record in reader.read(collection, problems):
            json.dumps(record.data)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_no_file_crashes_a_reader(content, tmp_path):
    (tmp_path / "Students.csv").write_bytes(b"Adno,Legal Forename,Legal Surname,DOB\r\n" + content)
    (tmp_path / "export.xlsx").write_bytes(content)

    for mis in ("sims", "pupil_asset"):
        with contextlib.suppress(UnreadableReport):
            read_report(tmp_path, "students", mis)
