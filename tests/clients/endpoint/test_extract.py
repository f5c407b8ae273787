"""An extract: what is reported about its records, and its files."""

import gzip
import hashlib
import json

import pytest

from clients.endpoint import extract
from clients.endpoint.home import Home
from clients.endpoint.records import Record


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    return home


class FakeReader:
    """Returns these records; the other collections are empty."""

    def __init__(self, **records):
        self._records = records

    def read(self, collection, _problems):
        yield from self._records.get(collection, ())


def record(key, data, row=1):
    return Record(key, data, "file.csv", row)


def make(home, reader, progress=lambda *_: None):
    return extract.make(home, "sims", "2026-11-29T06:00:00Z", reader, {}, progress)


def test_a_report_says_whether_the_record_or_the_reference_was_left_out(home):
    reader = FakeReader(
        students=[record("p1", {"legal_given_name": "Ada", "legal_family_name": "Moss", "house": "h9"}, row=2)],
        classes=[record("c1", {"name": "7A", "students": ["p1", "p9"]}, row=3)],
        attendance=[record("a1", {"student": "p9", "date": "2026-11-02", "session": "AM", "mark": "/"}, row=4)],
    )
    made = make(home, reader)

    assert [str(problem) for problem in made.problems.listed] == [
        "file.csv, row 2, house: refers to houses that are not there; the reference was left out",
        "file.csv, row 3, students: refers to students that are not there; they were left out",
        "file.csv, row 4, student: refers to students that are not there; the record was left out",
    ]
    content = gzip.decompress((home.extracts / made.pending.file).read_bytes())
    _header, *lines = map(json.loads, content.splitlines())
    assert [(line["collection"], line["data"]) for line in lines] == [
        ("students", {"legal_given_name": "Ada", "legal_family_name": "Moss"}),
        ("classes", {"name": "7A", "students": ["p1"]}),
    ]


def test_unreadable_rows_cause_no_further_progress_reports(home, monkeypatch):
    monkeypatch.setattr(extract, "PROGRESS_EVERY", 2)
    shown = []
    houses = [record("h1", {"name": "Red"}), record("h2", {"name": "Blue"}), record("h3", None), record("h4", None)]
    make(home, FakeReader(houses=houses), lambda collection, count: shown.append((collection, count)))

    assert [count for collection, count in shown if collection == "houses"] == [2, 2], "one step, and the end"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_any_error_while_the_file_is_packed_leaves_no_file_behind(home, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(hashlib, "sha256", fail)
    with pytest.raises(error):
        make(home, FakeReader(houses=[record("h1", {"name": "Red"})]))
    assert not list(home.extracts.iterdir())
