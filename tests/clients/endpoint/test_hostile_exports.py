"""Exports that were made to harm the agent, and values for which the receiver would refuse the whole extract."""

import json
import os
import shutil
import time
import zipfile

import pytest

from clients.endpoint import values
from clients.endpoint.errors import ExtractFailed
from clients.endpoint.readers import make
from clients.endpoint.records import COLLECTIONS, Problems, UnreadableReport
from clients.endpoint.values import InvalidValue
from clients.xporter.shapes import Reader
from tests.clients.endpoint.conftest import CREDENTIALS
from tests.clients.endpoint.test_readers import rewrite
from tests.clients.xporter.school_data import SCOPE_OF

MAX_SECONDS = 2.0
"""Of processor time, for one value; a workbook may take ten times as long."""


@pytest.fixture
def sims(exported, tmp_path):
    folder = tmp_path / "sims"
    shutil.copytree(exported / "sims", folder)
    return folder


def read(mis, source, collection="students"):
    problems = Problems()
    reader = make(mis, str(source), CREDENTIALS, time.sleep)
    return list(reader.read(collection, problems)), [str(problem) for problem in problems.listed]


def set_first_value(folder, report, column, value):
    """Put this value into the first row of a report."""

    def change(rows):
        rows[1][rows[0].index(column)] = value

    rewrite(folder / f"{report}.csv", change)


@pytest.mark.parametrize("text", ["a" + "\u0328\u0300" * 300_000, "a" * 900_000, "ÃÃ" * 200_000, "1" * 900_000])
@pytest.mark.parametrize(
    "convert", [values.text, values.day, values.email, values.texts, values.year_group, values.upn, values.minutes]
)
def test_a_huge_cell_is_refused_quickly(text, convert):
    began = time.process_time()
    with pytest.raises(InvalidValue):
        convert(text)
    assert time.process_time() - began < MAX_SECONDS


@pytest.mark.parametrize(
    ("report", "column", "value", "collection"),
    [
        ("Attendance", "Minutes Late", "9999", "attendance"),
        ("Contacts", "Priority", "9999", "contacts"),
        ("Students", "Allergies", ";".join(map(str, range(200))), "students"),
        ("Students", "Medical Practice", "x" * 1000, "students"),
    ],
)
def test_converted_values_are_within_the_limits_of_the_receiver(report, column, value, collection, sims):
    set_first_value(sims, report, column, value)
    members = [name.partition(".")[2] for name in SCOPE_OF if name.startswith(f"{collection}.")]
    decode = Reader(collection, members).decode

    records, _ = read("sims", sims, collection)

    assert records
    for record in records:
        decode(json.dumps(record.data).encode())


def test_lists_beyond_the_limit_of_the_receiver_are_shortened_and_reported(sims):
    contacts = sims / "Contacts.csv"
    lines = contacts.read_bytes().splitlines(keepends=True)
    row = lines[1].split(b",")
    column = [cell.strip(b'"\r\n') for cell in lines[0].split(b",")].index(b"Adno")
    copies = []
    for number in range(150):
        row[column] = f'"{number}"'.encode()
        copies.append(b",".join(row))
    contacts.write_bytes(b"".join([lines[0], *copies]))

    records, problems = read("sims", sims, "contacts")

    assert [len(record.data["students"]) for record in records] == [100]
    assert any("has more than 100" in problem for problem in problems)


def test_a_named_pipe_in_place_of_a_report_is_not_read(sims):
    (sims / "Students.csv").unlink()
    os.mkfifo(sims / "Students.csv")
    with pytest.raises(UnreadableReport, match="it is not a file"):
        read("sims", sims)


def test_a_report_that_is_a_dangling_or_circular_link_is_unreadable(sims, tmp_path):
    for target in ("/missing", "Students.csv"):
        (sims / "Students.csv").unlink()
        (sims / "Students.csv").symlink_to(target)
        with pytest.raises(UnreadableReport):
            read("sims", sims)
    workbooks = tmp_path / "workbooks"
    workbooks.mkdir()
    (workbooks / "export.xlsx").symlink_to("/missing")
    with pytest.raises(UnreadableReport):
        read("pupil_asset", workbooks)


def test_control_characters_in_file_names_and_headings_are_not_printed(sims, tmp_path):
    path = sims / "Students.csv"
    path.write_bytes(path.read_bytes().replace(b'"UPN"', b'"\x1b[2J\nUPN","\x1b[2J\nUPN"', 1))
    _, problems = read("sims", sims)
    (tmp_path / "export\x1b[2J\n2026-11-29 INFO all is well.xlsx").write_bytes(b"not a workbook")
    with pytest.raises(UnreadableReport) as refused:
        read("pupil_asset", tmp_path)
    failed = ExtractFailed("Nothing could be read.", refused.value.args[0])
    for text in (*problems, str(refused.value), failed.remedy, str(failed)):
        assert text.isprintable(), text
    assert any("is the heading of two columns" in problem for problem in problems)


def test_a_folder_that_may_not_be_listed_makes_its_reports_unreadable(sims, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(UnreadableReport, match="Permission denied"):
        read("sims", sims)
    monkeypatch.setattr("pathlib.Path.glob", refuse)
    with pytest.raises(UnreadableReport, match="Permission denied"):
        read("pupil_asset", sims)


def copy_workbook(exported, target, change):
    """Copy the workbook to `target`; `change(name, content)` returns the new content of a file in its archive."""
    [source] = (exported / "pupil_asset").glob("*.xlsx")
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(name, change(name, before.read(name)))
    return target


ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE worksheet [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;">
<!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;"><!ENTITY g "&f;&f;&f;&f;&f;&f;&f;&f;"><!ENTITY h "&g;&g;&g;&g;&g;&g;&g;&g;">
<!ENTITY i "&h;&h;&h;&h;&h;&h;&h;&h;">]>"""


def test_xml_entities_are_not_expanded(exported, tmp_path):
    def add_entities(name, content):
        if "sharedStrings" in name or "sheet" in name:
            body = content[content.index(b"?>") + 2 :] if content.startswith(b"<?xml") else content
            return ENTITIES + body.replace(b"</t>", b"&i;</t>", 1)
        return content

    began = time.process_time()
    path = copy_workbook(exported, tmp_path / "export.xlsx", add_entities)
    for collection in COLLECTIONS[:5]:
        with pytest.raises(UnreadableReport):
            read("pupil_asset", path, collection)
    assert time.process_time() - began < 10 * MAX_SECONDS


def test_external_xml_entities_are_not_read(exported, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret of the server")

    def add_external_entity(name, content):
        if name.startswith("xl/") and name.endswith(".xml"):
            body = content[content.index(b"?>") + 2 :] if content.startswith(b"<?xml") else content
            declared = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY s SYSTEM "{secret.as_uri()}">]>'.encode()
            return declared + body.replace(b"</t>", b"&s;</t>")
        return content

    path = copy_workbook(exported, tmp_path / "export.xlsx", add_external_entity)
    try:
        records, problems = read("pupil_asset", path)
    except UnreadableReport as error:
        records, problems = [], [str(error)]
    assert "a secret" not in repr((records, problems))


def test_a_workbook_that_is_a_zip_bomb_is_refused_by_its_size(exported, tmp_path, monkeypatch):
    monkeypatch.setattr("clients.endpoint.readers.pupil_asset.MAX_UNPACKED_BYTES", 1 << 20)
    path = copy_workbook(exported, tmp_path / "export.xlsx", lambda name, content: content + b" " * (1 << 20))
    with pytest.raises(UnreadableReport, match="is too large"):
        read("pupil_asset", path)


def test_a_cell_in_the_last_row_and_column_does_not_delay_the_others(exported, tmp_path):
    def add_last_cell(name, content):
        if name.startswith("xl/worksheets/"):
            return content.replace(
                b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
            )
        return content

    began = time.process_time()
    path = copy_workbook(exported, tmp_path / "export.xlsx", add_last_cell)
    records, _ = read("pupil_asset", path, "terms")
    assert time.process_time() - began < 10 * MAX_SECONDS
    assert records == read("pupil_asset", exported / "pupil_asset", "terms")[0]
