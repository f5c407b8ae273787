"""`idp schools`: refreshing and searching the register on the command line."""

import json

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from idp.cli import main
from idp.schools.models import School
from tests.schools.conftest import SAMPLE, SAMPLE_LINKS, csv_of
from tests.schools.test_download import Site, site

__all__ = ["Site", "site"]


@pytest.fixture
def idp(app, monkeypatch, clock):
    """`idp("schools", …)` runs the command on the tests' application."""
    monkeypatch.setattr("idp.cli._create_app", lambda: app)

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def count_schools(transaction):
    """`count_schools()` is how many schools there are."""

    def count():
        with transaction() as database:
            return database.scalar(select(func.count()).select_from(School))

    return count


def test_an_import_prints_a_summary(idp, count_schools):
    output = idp("schools", "refresh", "--from", str(SAMPLE), "--links", str(SAMPLE_LINKS)).stdout

    assert count_schools() == 300
    summary = dict(line.rsplit(None, 1) for line in output.splitlines()[1:])
    assert {name.strip(): count for name, count in summary.items()} == {
        "read": "300", "added": "300", "changed": "0", "closed": "0", "reopened": "0", "left the register": "0",
        "came back": "0", "links": "17", "unknown codes": "0", "repairs": "0",
    }  # fmt: skip


def test_a_dry_run_prints_what_it_would_import_and_changes_nothing(idp, count_schools):
    output = idp("schools", "refresh", "--from", str(SAMPLE), "--dry-run").stdout

    assert "Would import" in output
    assert "nothing was changed" in output
    assert count_schools() == 0


def test_an_import_prints_json_on_request(idp):
    body = json.loads(idp("schools", "refresh", "--from", str(SAMPLE), "--json").stdout)

    assert (body["rows"], body["added"], body["dated"], body["oddities"]) == (300, 300, "2024-04-28", [])


def test_irregular_values_are_listed_with_their_urn(idp, sample, tmp_path):
    sample[2]["OpenDate"] = "never"
    path = tmp_path / "edubasealldata.csv"
    path.write_bytes(csv_of(sample))

    assert 'URN 900001: OpenDate "never": could not be read' in idp("schools", "refresh", "--from", str(path)).stderr


def test_a_refused_import_prints_a_sentence_and_exits_with_1(idp, count_schools, tmp_path):
    path = tmp_path / "edubasealldata.csv"
    path.write_text("<html>")

    assert "is a web page, not the register" in idp("schools", "refresh", "--from", str(path), code=1).stderr
    assert count_schools() == 0


@pytest.mark.parametrize(
    "arguments", [(), ("--from", str(SAMPLE), "--download"), ("--url", "https://x.example"), ("--from", "no such file")]
)
def test_wrong_usage_exits_with_2(idp, arguments):
    idp("schools", "refresh", *arguments, code=2)


def test_a_download_prints_the_url_and_the_date_of_the_file(idp, site, count_schools):
    site.files["edubasealldata20260301.csv"] = 200, SAMPLE.read_bytes()

    result = idp("schools", "refresh", "--download")

    assert f"Fetched {site.url}/edubasealldata20260301.csv" in result.stderr
    assert "of 2026-03-01" in result.stdout
    assert count_schools() == 300


def test_a_file_at_a_given_url_is_downloaded(idp, site, count_schools):
    site.files["edubasealldata20240404.csv"] = 200, SAMPLE.read_bytes()

    idp("schools", "refresh", "--download", "--url", f"{site.url}/edubasealldata20240404.csv")

    assert count_schools() == 300


def test_progress_is_printed_every_ten_thousand_rows(idp, sample, tmp_path):
    path = tmp_path / "edubasealldata.csv"
    path.write_bytes(csv_of([sample[2] | {"URN": str(100_000 + number)} for number in range(10_000)]))

    assert "10,000 rows read, 100% of the file" in idp("schools", "refresh", "--from", str(path)).stderr


def test_a_search_finds_schools_as_the_page_does(idp, register):
    output = idp("schools", "search", "st", "josephs", "leeds").stdout

    assert "St Joseph's Catholic Primary School" in output
    assert len(output.splitlines()) == 2


def test_a_search_prints_json_on_request(idp, register):
    (body,) = json.loads(idp("schools", "search", "900109", "--json").stdout)

    assert (body["name"], body["status"]) == ("Birch Green Primary School", "Closed on 31 August 2018")
    assert body["successors"] == ["900110"]


def test_a_search_says_what_it_corrected_left_out_or_did_not_find(idp, register):
    assert 'searched for "willow"' in idp("schools", "search", "wilow bank").stderr
    assert 'Left out "leeds"' in idp("schools", "search", "willow bank leeds").stderr
    assert "No school found for the URN 999999." in idp("schools", "search", "999999").stdout
    assert "too little" in idp("schools", "search", "x").stdout
    assert "more than 20" in idp("schools", "search", "school").stderr


def test_the_help_explains_each_command(idp):
    assert "idp schools refresh --download" in idp("schools", "refresh", "--help").output
    assert "Open Government Licence" in " ".join(idp("schools", "--help").output.split())
