"""The report about a run: verdicts, changes since another run, and the page of figures."""

import json
from pathlib import Path

import pytest

from bench import figures, report
from bench.report import Figure


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [(9, False, "reached"), (10, False, "reached"), (11, False, "MISSED"), (9, True, "MISSED"), (10, True, "reached")],
)
def test_a_goal_is_reached_or_missed(value, at_least, verdict):
    assert Figure("it", "takes", value, "ms", 10, at_least=at_least).verdict == verdict


def test_without_a_goal_there_is_no_verdict():
    assert Figure("it", "takes", 9, "ms").verdict == ""


@pytest.fixture
def keep_figures(monkeypatch, scratch):
    """Write figures to a file; returns its path."""
    monkeypatch.setattr(report, "RESULTS", scratch)

    def keep(name, **parts) -> Path:
        return report.keep(parts, databases={}, load_before=0.1).rename(scratch / name)

    return keep


def test_ratios_that_moved_by_more_than_a_seventh_are_marked(keep_figures, capsys):
    first = keep_figures("one", costs=[Figure("a", "x", 10, "×"), Figure("b", "x", 10, "×"), Figure("c", "x", 10, "×")])
    second = keep_figures(
        "other", costs=[Figure("a", "x", 11.4, "×"), Figure("b", "x", 11.6, "×"), Figure("c", "x", 8, "×")]
    )

    report.compare(first, second)

    lines = {line.split(" · ")[1]: line for line in capsys.readouterr().out.splitlines()}
    assert ["moved" in lines[name] for name in "abc"] == [False, True, True]


def test_times_are_not_marked_because_machines_differ(keep_figures, capsys):
    first, second = (keep_figures(str(value), costs=[Figure("a", "x", value, "µs")]) for value in (10, 30))

    report.compare(first, second)

    assert "moved" not in capsys.readouterr().out


def test_stored_figures_name_the_machine_and_the_commit(keep_figures):
    body = json.loads(keep_figures("one", costs=[]).read_text("utf-8"))

    assert {"processor", "cores", "memory_gib", "kernel", "python", "libraries"} <= body["machine"].keys()
    assert body["commit"]


def test_the_page_of_figures_shows_goals_and_what_was_missed(keep_figures):
    over_http = [
        Figure("par, SQLite", "per vCPU", 500, "/s", 600, at_least=True),
        Figure("par, SQLite", "at most, one worker", 480, "/s"),
        *(Figure("par, SQLite", f"p{share} at 70 %", 8, "ms", 10) for share in (50, 95, 99)),
    ]
    peers = [Figure("code: a peer, in memory", "per vCPU", 100, "/s")]
    page = figures.page(report.read(keep_figures("one", http=over_http, peers=peers)))

    assert "| par | **500 /s missed** | ≥ 600 | 480 /s | 8.0 ms | 8.0 ms | 8.0 ms |" in page
    assert "| code: a peer, in memory | 100 /s |" in page
    assert "## The national register" not in page


@pytest.mark.parametrize("part", sorted(report.TITLES.keys() - {"http", "peers"}))  # these two are tested above
def test_the_page_of_figures_shows_every_part_of_a_run(keep_figures, part):
    measured = Figure("a subject, SQLite", "token: refresh" if part == "fastpaths" else "processor", 4321, "×")
    assert "## " in figures.page(report.read(keep_figures("one", **{part: [measured]})))
