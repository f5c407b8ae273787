"""From the export of a school's MIS, through the agent's extract, to the changes that a partner reads."""

import csv
from datetime import UTC, datetime

import pytest

from clients.endpoint import extract
from clients.endpoint.errors import TooFewRecords
from clients.endpoint.fictional_school import exports, school as fictional
from clients.endpoint.home import Home
from clients.endpoint.readers import make
from tests.clients.xporter.school_data import DATA_SCOPES


class Export:
    """The reports of a school's MIS, and the agent that reads them."""

    def __init__(self, folder, endpoint):
        self.folder, self.endpoint, self.home = folder / "mis", endpoint, Home(folder / "home")
        exports.write(fictional.build(pupils=12, seed=3), self.folder, "sims")
        marks = self.folder / "Attendance.csv"
        marks.write_bytes(b"".join(marks.read_bytes().splitlines(keepends=True)[:40]))
        self.home.prepare()
        self.counts = {}

    def change_rows(self, change):
        """Change the rows of the pupils, which have the headings first."""
        path = self.folder / "Students.csv"
        with path.open(encoding="cp1252", newline="") as opened:
            rows = list(csv.reader(opened))
        change(rows)
        with path.open("w", encoding="cp1252", newline="") as opened:
            csv.writer(opened).writerows(rows)

    def send(self):
        """The agent's problems, after XporterOnDemand has applied the extract."""
        reader = make("sims", str(self.folder), None, lambda seconds: None)
        made_at = datetime.now(UTC).isoformat()
        made = extract.make(self.home, "sims", made_at, reader, self.counts, lambda *_: None)
        self.counts = made.pending.records
        path = self.home.extracts / made.pending.file
        extract_id = self.endpoint.upload(path.read_bytes(), made_at=made_at)
        self.endpoint.run_worker()
        state = self.endpoint.status_of(extract_id)
        assert (state["state"], state["problems"]) == ("applied", [])
        return [str(problem) for problem in made.problems.listed]


@pytest.fixture
def export(tmp_path, endpoint, granted):
    program = endpoint.app.extensions["xporter"]
    program.worker._members = program.fields.members  # all pupils
    granted.grant(*DATA_SCOPES, "endpoint", jkt="a key")
    return Export(tmp_path, endpoint)


def test_a_pupil_whose_surname_was_emptied_is_not_deleted_at_the_partner(export, api):
    assert export.send() == []
    first = api.get("/v1/students").json

    def empty_one_and_change_another(rows):
        surname, forename = rows[0].index("Legal Surname"), rows[0].index("Legal Forename")
        rows[2][surname], rows[3][forename] = "", "Renamed"

    export.change_rows(empty_one_and_change_another)
    [problem] = export.send()
    assert problem.startswith("Students.csv, row 3, Legal Surname: is missing")

    changes = api.get(first["delta"]).json
    assert [student["legal_given_name"] for student in changes["students"]] == ["Renamed"]
    assert changes["deleted"] == []
    assert len(api.get("/v1/students").json["students"]) == 12

    export.change_rows(lambda rows: rows.pop(2))
    export.send()
    assert len(api.get(changes["delta"]).json["deleted"]) == 1, "a pupil whose row is gone has left"


def test_an_export_with_half_of_the_pupils_is_not_sent(export, api):
    export.send()
    export.counts = {"students": 30}
    first = api.get("/v1/students").json

    with pytest.raises(TooFewRecords, match=r"12 students \(30 before\)"):
        export.send()

    assert api.get(first["delta"]).json["deleted"] == []
