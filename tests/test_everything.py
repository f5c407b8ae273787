"""What `make test` does where a program that it needs is missing."""

import ast
import os
import sys
from datetime import date

import pytest

from tests import everything
from tests.everything import Program, Run
from tests.interoperability import quick_start_sites as sites

UNAVAILABLE = Program("a program", lambda: None, "no-such-package-in-debian", "what needs it")


@pytest.fixture
def run():
    return Run({})


@pytest.fixture
def without_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_an_installed_program_is_used(run):
    assert run.has(Program("python", lambda: sys.executable, "python3", "everything"))
    assert run.missing == []


def test_a_program_that_cannot_be_installed_is_reported_with_its_package_and_fails_the_run(
    run, without_root, monkeypatch, capsys
):
    monkeypatch.delenv("ALLOW_MISSING", raising=False)

    assert not run.has(UNAVAILABLE)
    assert everything._report(run) == 1
    assert "NOT CHECKED  what needs it: no a program (Debian: no-such-package-in-debian)" in capsys.readouterr().out


def test_an_alternative_program_is_accepted_where_the_package_cannot_be_installed(run, without_root):
    with_another = Program(
        "a program", lambda: None, "no-such-package", "what needs it", alternative=lambda: sys.executable
    )

    assert run.has(with_another)
    assert run.missing == []


def test_a_missing_optional_program_is_reported_and_does_not_fail_the_run(run, monkeypatch, capsys):
    monkeypatch.delenv("ALLOW_MISSING", raising=False)
    run.note_if_missing(UNAVAILABLE)
    run.note_if_missing(Program("python", lambda: sys.executable, "python3", "everything"))

    assert everything._report(run) == 0
    assert capsys.readouterr().out.splitlines() == ["LEFT OUT     what needs it: no a program"]


def test_with_allow_missing_the_run_does_not_fail(run, without_root, monkeypatch):
    monkeypatch.setenv("ALLOW_MISSING", "1")
    run.has(UNAVAILABLE)

    assert everything._report(run) == 0


def test_a_missing_program_is_looked_for_again_after_its_installation(run, monkeypatch):
    paths, installed = [], []

    def install(package):
        installed.append(package)
        paths.append(package)
        return True

    monkeypatch.setattr(everything, "_installed", install)

    assert run.has(Program("a program", lambda: paths, "its-package", "what needs it"))
    assert (installed, run.missing) == (["its-package"], [])


def test_a_failed_stage_fails_the_run_and_the_other_stages_still_run(run, monkeypatch, capfd):
    monkeypatch.setenv("ALLOW_MISSING", "1")
    run.stage("One", [sys.executable, "-c", "raise SystemExit(3)"])
    run.stage("Two", [sys.executable, "-c", "print('it ran')"])

    assert everything._report(run) == 1
    output = capfd.readouterr().out
    assert "it ran" in output
    assert "FAILED       One" in output


def test_the_end_of_the_output_says_which_tests_failed_and_how(run, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(everything, "MAX_FAILURES", 2)
    failing = "".join(f"def test_{name}():\n    assert 1 == 2, 'why {name} failed'\n\n\n" for name in "abc")
    (tmp_path / "test_some.py").write_text(failing + "def test_passes():\n    pass\n", "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")  # ours would import the whole product
    tests = [*everything.SERIAL, "-c", str(tmp_path / "pytest.ini"), "-p", "no:cacheprovider", str(tmp_path)]
    run.stage("Some tests", tests)
    run.stage("One that passes", [*tests, "-k", "passes"])
    capfd.readouterr()

    assert everything._report(run) == 1
    shown = capfd.readouterr().out
    assert "FAILED       Some tests" in shown
    assert "test_a" in shown
    assert "why b failed" in shown
    assert "why c failed" not in shown
    assert "--- and 1 more" in shown
    assert "passes" not in shown


def test_a_truncated_junit_report_fails_its_stage_and_does_not_stop_the_run(run, tmp_path, capfd):
    script = "import sys; open(sys.argv[-1].partition('=')[2], 'w').write('<testsuites><tests'); raise SystemExit(2)"
    run.stage("Some tests", [sys.executable, "-c", script, "pytest"])
    run.stage("Another", [sys.executable, "-c", "print('it ran')"])

    assert run.failed == {"Some tests": ""}
    assert "it ran" in capfd.readouterr().out


def test_a_postgresql_that_does_not_start_fails_its_stage_and_does_not_stop_the_run(run, tmp_path):
    everything._suite_on_postgresql(run, tmp_path)

    assert "PostgreSQL did not start" in run.failed["Suite on PostgreSQL"]


def test_a_command_beside_a_stage_is_terminated_if_the_stage_raises(run):
    """Otherwise `beside` would wait ten minutes for the command to end."""

    def break_off():
        with run.beside("Types", [sys.executable, "-c", "import time; time.sleep(600)"]):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()


def test_the_output_of_a_failed_command_beside_a_stage_is_in_the_report(run, capfd):
    with run.beside("Types", [sys.executable, "-c", "print('first'); print('an error'); raise SystemExit(1)"]):
        pass
    capfd.readouterr()

    assert everything._report(run) == 1
    assert "an error" in capfd.readouterr().out


def test_no_fixture_uses_those_by_which_tests_are_chosen_for_postgresql():
    using = [
        f"{path.name}: {node.name}"
        for path in sorted((everything.ROOT / "tests").rglob("*.py"))
        if any(fixture in (text := path.read_text("utf-8")) for fixture in everything.POSTGRESQL_FIXTURES)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and any("fixture" in ast.unparse(mark) for mark in node.decorator_list)
        if everything.POSTGRESQL_FIXTURES.intersection(argument.arg for argument in node.args.args)
    ]
    assert using == []


def test_no_test_of_a_package_that_runs_on_sqlite_skips_itself_there():
    skipping = [
        str(path.relative_to(everything.ROOT))
        for folder in everything.ON_SQLITE
        for path in sorted((everything.ROOT / folder).rglob("*.py"))
        if '!= "postgresql"' in path.read_text("utf-8")
    ]
    assert skipping == [], "the fixture on_postgresql skips it, and has it run on PostgreSQL"


def test_one_of_the_two_slowest_quick_starts_is_left_out_each_day_in_turn():
    first = everything.left_out_on(date(2026, 11, 30))
    second = everything.left_out_on(date(2026, 12, 1))
    assert {first, second} == set(everything.COMPILED_IN_TURN)
    text = (everything.ROOT / everything.COMPILED_QUICK_STARTS).read_text("utf-8")
    names = {name for name in everything.COMPILED_IN_TURN if name in text or name in sites.SLOW_TO_COMPILE}
    assert names == set(everything.COMPILED_IN_TURN), "a test that is left out has another name"
