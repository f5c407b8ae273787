"""The program on Windows, simulated: the modules and functions that Windows does not have are removed. Paths stay those
of this machine.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clients.endpoint import home as homes
from clients.endpoint.errors import InvalidSettings
from clients.endpoint.home import Home
from idp.foundation.setting_types import ROOT
from tests.clients.endpoint import servers as fake

WITHOUT_POSIX = """
import json, os, signal, subprocess, sys, types
import click, joserfc.jwk, joserfc.jwt, openpyxl, requests, segno, socket, tempfile, logging.handlers

for name in ("fcntl", "grp", "posix", "pwd", "resource", "syslog", "termios", "tty", "pty"):
    sys.modules[name] = None
for name in ("chown", "fchmod", "fchown", "getegid", "geteuid", "getgid", "getuid", "setuid", "setgid", "fork",
             "killpg", "getpgid", "setsid", "mkfifo", "statvfs"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGKILL", "SIGQUIT", "SIGCHLD"):
    if hasattr(signal, name):
        delattr(signal, name)
really_open = os.open
def open_file(path, *more, **named):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied")  # Windows opens no folder
    return really_open(path, *more, **named)
os.open = open_file
commands, locks = [], []
subprocess.run = lambda command, **more: commands.append(command)
msvcrt = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK, msvcrt.locking = 2, lambda number, mode, size: locks.append((mode, size))
sys.modules["msvcrt"] = msvcrt
os.environ["PROGRAMDATA"], os.environ["SYSTEMROOT"] = "D:/ProgramData", "D:/Windows"
sys.platform = "win32"

from clients.endpoint import cli
from click.testing import CliRunner

cli.sleep = lambda seconds: None
results = []
for words in json.loads(sys.argv[1]):
    result = CliRunner().invoke(cli.main, words)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    results.append([result.exit_code, result.output])
print(json.dumps([str(cli.default_home()), commands, locks, results]))
"""


def test_all_commands_work_without_what_windows_does_not_have(exported, tmp_path):
    home, source = tmp_path / "home", tmp_path / "sims"
    shutil.copytree(exported / "sims", source)
    marks = source / "Attendance.csv"
    marks.write_bytes(b"".join(marks.read_bytes().splitlines(keepends=True)[:9]))
    with fake.running() as servers:
        register = ["register", "--issuer", servers.issuer, "--mis", "sims", "--source", str(source)]
        words = [["--home", str(home), *line] for line in (register, ["once"], ["status"], ["unregister"])]
        words[-1].append("--keep-data")
        run = subprocess.run(
            [sys.executable, "-c", WITHOUT_POSIX, json.dumps(words)], cwd=ROOT, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        default, commands, locks, results = json.loads(run.stdout)
        assert [status for status, _ in results] == [0, 0, 0, 0], results
        assert "12 students" in results[1][1]
        assert len(servers.applied) == 1
    assert default.startswith("D:/ProgramData")
    [command] = commands
    assert (command[0], command[1]) == ("D:/Windows/System32/icacls.exe", str(home))
    assert "*S-1-5-20:(OI)(CI)F" in command, "Network Service, which the task runs as"
    assert {tuple(lock) for lock in locks} == {(2, 1)}


def test_a_folder_that_cannot_be_made_private_is_reported(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise subprocess.CalledProcessError(5, "icacls")

    monkeypatch.setattr(homes, "_make_private", refuse)
    with pytest.raises(InvalidSettings, match="cannot be used"):
        Home(tmp_path / "home").prepare()


def test_a_file_that_another_process_reads_at_the_moment_is_replaced_a_moment_later(tmp_path, monkeypatch):
    """Windows refuses to replace a file that is open: `status` may be reading it."""
    home = Home(tmp_path / "home")
    home.prepare()
    refusals, replace = [1, 2, 3], Path.replace
    waits: list[float] = []

    def busy(self, target):
        if refusals:
            refusals.pop()
            raise PermissionError(13, "The process cannot access the file")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(time, "sleep", waits.append)
    home.write_text("problems.txt", "new")
    assert (home.folder / "problems.txt").read_text() == "new"
    assert len(waits) == 3

    refusals.extend(range(99))
    with pytest.raises(InvalidSettings, match="cannot be written"):
        home.write_text("problems.txt", "newer")
    assert [path.name for path in home.folder.iterdir() if path.name.endswith(".new")] == []
