"""The fictional school: equal for equal seeds, without data of real people; and the changes that it can make."""

import re

import pytest
from click.testing import CliRunner

from clients.endpoint.fictional_school import changes, school as fictional
from clients.endpoint.fictional_school.__main__ import main


def test_a_seed_determines_the_fictional_school():
    assert fictional.build(12, seed=3).records == fictional.build(12, seed=3).records
    assert fictional.build(12, seed=3)["students"] != fictional.build(12, seed=4)["students"]


def test_a_fictional_school_has_the_requested_number_of_pupils_with_siblings_groups_and_contacts():
    school = fictional.build(600)

    assert len(school["students"]) == 600
    assert len(school["registration_groups"]) == 20
    assert len({data["upn"] for data in school["students"].values()}) == 600
    linked = [link["student"] for data in school["contacts"].values() for link in data["students"]]
    assert set(linked) == set(school["students"])
    assert any(len(data["students"]) == 3 for data in school["contacts"].values())
    for name in ("sen_status", "allergies", "doctor"):
        assert 20 < sum(name in data for data in school["students"].values()) < 300


def test_no_value_of_a_fictional_school_can_belong_to_a_real_person(school):
    for data in school["contacts"].values():
        assert data["email"].endswith(".example")
        assert re.fullmatch(r"07700 900\d{3}", data["telephone"])  # telephone numbers that Ofcom reserves for drama
        assert ", ZZ" in data["address"]
    assert all(data["upn"][1:4] == "990" for data in school["students"].values())


def test_a_pupil_who_leaves_is_removed_from_every_collection():
    school = fictional.build(12, seed=3)
    before = set(school["students"])

    changes.apply(school, "leaves")

    [left] = before - set(school["students"])
    assert left not in {data["student"] for data in school["attendance"].values()}
    assert left not in {member for data in school["classes"].values() for member in data["students"]}
    assert left not in {link["student"] for data in school["contacts"].values() for link in data["students"]}


def test_a_pupil_joins_with_contacts_and_classes():
    school = fictional.build(12, seed=3)

    changes.apply(school, "joins")

    assert len(school["students"]) == 13
    joined = list(school["students"])[-1]
    assert len([data for data in school["classes"].values() if joined in data["students"]]) == 8


def test_the_command_makes_a_school_and_changes_it_each_time(tmp_path):
    def run(*arguments):
        result = CliRunner().invoke(main, [str(tmp_path), *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    def rows(name):
        return len((tmp_path / "sims" / f"{name}.csv").read_text("cp1252").splitlines()) - 1

    run("--pupils", "12", "--mis", "sims")
    marks = rows("Attendance")
    assert "has left" in run("--change", "leaves")
    assert rows("Students") == 11
    assert "has joined" in run("--change", "joins")
    assert rows("Students") == 12
    assert "30/11/2026" in run("--change", "marks")
    assert rows("Attendance") == marks + 24
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["sims"]


def test_a_change_without_a_school_is_refused(tmp_path):
    result = CliRunner().invoke(main, [str(tmp_path), "--change", "leaves"])

    assert result.exit_code == 2
    assert "no school" in result.output


@pytest.mark.parametrize("change", changes.CHANGES)
def test_a_change_can_be_repeated(change):
    school = fictional.build(12, seed=3)

    assert changes.apply(school, change) != changes.apply(school, change)
