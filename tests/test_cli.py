"""Every command: its help, its errors, a closed pipe, and running it from another folder."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner

from idp.app import create_app
from idp.cli import main
from idp.foundation.database import db
from idp.foundation.load_settings import load
from idp.foundation.setting_types import ROOT
from tests.partners.manifests import example_with_secret
from tests.processes import environment_with

UNKNOWN_NAME = "nothing-of-this-name"


def command_paths(group, path=()):
    """The path of every command."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield (*path, name), command
            yield from command_paths(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(command_paths(main))
LEAF_COMMANDS = {path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)}
PROGRAM = str(Path(sys.executable).parent / "idp")
LONG_RUNNING = {
    ("serve",),
    ("worker",),
    ("db", "backup"),
    ("db", "draft"),
    ("db", "upgrade"),
    ("config", "check"),
    ("conformance", "prepare"),
}
"""Commands that most of these tests leave out: they run until stopped, or write files."""


def unknown_arguments(command):
    """Values for the required arguments of a command, none of which exists."""
    for parameter in command.params:
        if parameter.required and isinstance(parameter, click.Argument):
            yield UNKNOWN_NAME
        elif parameter.required:
            choices = getattr(parameter.type, "choices", None)
            yield from (parameter.opts[0], choices[0] if choices else UNKNOWN_NAME)


@pytest.fixture
def run(app, monkeypatch, clock):
    monkeypatch.setattr("idp.cli._create_app", lambda: app)
    """`run("keys", "list")` runs the command in this process, with an empty standard input."""
    return lambda *arguments: CliRunner().invoke(main, arguments, prog_name="idp", input="")


def test_commands_are_found():
    assert len(LEAF_COMMANDS) > 40


def test_the_list_of_commands_is_shown_without_importing_the_product():
    program = (
        "import sys; from idp.cli import main; main(['--help'], standalone_mode=False);"
        "print({'flask', 'sqlalchemy', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Serve the identity provider" in done.stdout
    assert done.stdout.endswith("\nset()\n")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help(run, path):
    result = run(*path, "--help")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"Usage: idp {' '.join(path)}")
    assert "\b" not in result.stdout
    lines = [line for line in result.stdout.splitlines()[1:] if line.strip()]
    assert lines[0].startswith("  "), "it has no description"


@pytest.mark.parametrize("path", [path for path in LEAF_COMMANDS if path not in LONG_RUNNING], ids=" ".join)
def test_an_unknown_object_is_reported_in_a_sentence(run, path):
    arguments = list(unknown_arguments(LEAF_COMMANDS[path]))
    result = run(*path, *arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert "sqlalchemy" not in result.output.lower()
    if result.exit_code and arguments:
        assert "Error: " in result.stderr
        assert "Error: \n" not in result.stderr


@pytest.mark.parametrize("path", [path for path in LEAF_COMMANDS if path not in LONG_RUNNING], ids=" ".join)
def test_an_unknown_option_is_reported_with_the_usage(run, path):
    result = run(*path, "--nothing-of-this-name")
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: idp ")


def test_a_missing_key_is_reported_before_any_prompt(run):
    result = run("keys", "retire", "abc")
    assert result.exit_code == 1
    assert "[y/N]" not in result.output
    assert "key" in result.stderr


def test_times_are_shown_in_british_time_too(run, clock):
    output = run("keys", "list").stdout
    assert " UTC (" in output
    assert " GMT)" in output


def test_the_british_date_is_shown_where_it_differs_from_that_in_utc():
    from datetime import UTC, datetime

    from idp.foundation.command import format_time

    assert format_time(datetime(2026, 7, 1, 9, 30, tzinfo=UTC)) == "2026-07-01 09:30 UTC (10:30 BST)"
    assert format_time(datetime(2026, 7, 1, 23, 30, tzinfo=UTC)) == "2026-07-01 23:30 UTC (2026-07-02 00:30 BST)"


def test_every_command_formats_times_with_one_function():
    for file in [*(ROOT / "idp").rglob("*cli.py"), ROOT / "idp" / "doctor.py"]:
        assert "%H:%M}" not in file.read_text("utf-8"), f"{file.name}: use command.format_time"


# In processes of their own


class Installation(NamedTuple):
    """A folder with an empty database of the newest schema, and environment variables that name it."""

    folder: Path
    environment: dict[str, str]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    environment = environment_with(database__url=f"sqlite:///{folder / 'idp.db'}")
    subprocess.run(
        [sys.executable, "-m", "idp.cli", "db", "upgrade"], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    return Installation(folder, environment)


def run_idp(installed, *arguments, cwd=None, **options):
    """Run `idp` in the folder of the installation, or in `cwd`."""
    return subprocess.run(
        [PROGRAM, *arguments],
        cwd=cwd or installed.folder,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_the_usage_line_names_idp_however_it_is_run(installed):
    result = subprocess.run(
        [sys.executable, "-m", "idp.cli", "keys"],
        cwd=ROOT,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Usage: idp keys" in result.stdout + result.stderr
    assert "python -m" not in result.stdout + result.stderr


def test_a_manifest_is_read_from_the_current_folder(installed):
    folder = installed.folder
    (folder / "mine.toml").write_text(example_with_secret(), "utf-8")
    company = ("Assembly", "--website", "https://assembly.example", "--email", "d@assembly.example")
    assert run_idp(installed, "partners", "add", *company).returncode == 0
    result = run_idp(installed, "clients", "register", "mine.toml", "--secret-file", "secret")
    assert result.returncode == 0, result.stderr
    assert (folder / "secret").exists()
    below = folder / "below"
    below.mkdir()
    result = run_idp(installed, "clients", "update", "../mine.toml", cwd=below)
    assert result.returncode == 0, result.stderr


def test_each_error_in_a_manifest_is_reported_in_a_line_of_its_own(installed):
    folder = installed.folder
    (folder / "bad.json").write_text(
        json.dumps({"partner": "x", "redirect_uris": ["http://a.example", "ftp://b.example"]})
    )
    result = run_idp(installed, "clients", "register", "bad.json")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "Error: This registration has errors:"
    assert all(line.startswith("  ") and ": " in line for line in lines[1:])
    assert len([line for line in lines if line.startswith("  redirect_uris: ")]) == 2


@pytest.mark.parametrize("closed", ["stdout", "both"])
def test_a_closed_pipe_does_not_undo_the_import(installed, closed):
    folder, environment = installed
    with sqlite3.connect(folder / "idp.db") as database:
        before = database.execute("SELECT count(*) FROM register_imports").fetchone()[0]
    read_end, write_end = os.pipe()
    os.close(read_end)  # as `head` does, once it has what it wants
    sample = ROOT / "config" / "sample-register.csv"
    result = subprocess.run(
        [PROGRAM, "schools", "refresh", "--from", sample], cwd=folder, env=environment,
        stdout=write_end, stderr=write_end if closed == "both" else subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(write_end)
    if closed == "stdout":
        assert b"Traceback" not in result.stderr
        assert b"Exception ignored" not in result.stderr
    with sqlite3.connect(folder / "idp.db") as database:
        assert database.execute("SELECT count(*) FROM register_imports").fetchone()[0] == before + 1


def test_a_database_without_tables_or_out_of_reach_is_reported_in_a_line(tmp_path, monkeypatch):
    for url, fault in {
        f"sqlite:///{tmp_path / 'empty.db'}": "no such table: signing_keys",
        "postgresql+psycopg://idp@127.0.0.1:1/idp": "connection failed",
    }.items():
        app = create_app(load(database={"url": url}))
        monkeypatch.setattr("idp.cli._create_app", lambda app=app: app)
        result = CliRunner().invoke(main, ["keys", "list"])
        with app.app_context():
            db.engine.dispose()
        assert result.exit_code == 1
        [line] = result.stderr.splitlines()
        assert line.startswith("Error: The database refused, and nothing was changed. ")
        assert fault in line
        assert "SELECT" not in line


def test_serve_refuses_a_port_in_use():
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])

        result = CliRunner().invoke(main, ["serve", "--host", "127.0.0.1", "--port", port])

    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in result.output
