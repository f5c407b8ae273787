"""The program on Windows, simulated: the modules and functions that Windows does not have are removed.

Paths stay POSIX paths.
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
original_open = os.open
def open_file(path, *more, **named):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied")  # as on Windows, where folders cannot be opened
    return original_open(path, *more, **named)
os.open = open_file
processes, locks = [], []
subprocess.run = lambda command, **more: processes.append(command)
msvcrt = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK, msvcrt.locking = 2, lambda number, mode, size: locks.append((mode, size))
sys.modules["msvcrt"] = msvcrt
os.environ["PROGRAMDATA"], os.environ["SYSTEMROOT"] = "D:/ProgramData", "D:/Windows"
sys.platform = "win32"

from clients.endpoint import cli
from click.testing import CliRunner

cli.sleep = lambda seconds: None
results = []
for arguments in json.loads(sys.argv[1]):
    result = CliRunner().invoke(cli.main, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    results.append([result.exit_code, result.output])
print(json.dumps([str(cli.default_home()), processes, locks, results]))
"""


def test_all_commands_work_without_posix_modules_and_functions(exported, tmp_path):
    home, source = tmp_path / "home", tmp_path / "sims"
    shutil.copytree(exported / "sims", source)
    attendance = source / "Attendance.csv"
    attendance.write_bytes(b"".join(attendance.read_bytes().splitlines(keepends=True)[:9]))
    with fake.running() as servers:
        register = ["register", "--issuer", servers.issuer, "--mis", "sims", "--source", str(source)]
        commands = [["--home", str(home), *line] for line in (register, ["once"], ["status"], ["unregister"])]
        commands[-1].append("--keep-data")
        run = subprocess.run(
            [sys.executable, "-c", WITHOUT_POSIX, json.dumps(commands)], cwd=ROOT, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        default, processes, locks, results = json.loads(run.stdout)
        assert [status for status, _ in results] == [0, 0, 0, 0], results
        assert "12 students" in results[1][1]
        assert len(servers.applied) == 1
    assert default.startswith("D:/ProgramData")
    [process] = processes
    assert (process[0], process[1]) == ("D:/Windows/System32/icacls.exe", str(home))
    assert "*S-1-5-20:(OI)(CI)F" in process, "Network Service, which the task runs as"
    assert {tuple(lock) for lock in locks} == {(2, 1)}


def test_a_folder_that_cannot_be_made_private_is_reported(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise subprocess.CalledProcessError(5, "icacls")

    monkeypatch.setattr(homes, "_make_private", refuse)
    with pytest.raises(InvalidSettings, match="cannot be used"):
        Home(tmp_path / "home").prepare()


def test_replacing_a_file_that_another_process_has_open_is_retried(tmp_path, monkeypatch):
    """Windows refuses to replace a file that is open: `status` may be reading it."""
    home = Home(tmp_path / "home")
    home.prepare()
    refusals, replace = [1, 2, 3], Path.replace
    waits: list[float] = []

    def refuse_while_open(self, target):
        if refusals:
            refusals.pop()
            raise PermissionError(13, "The process cannot access the file")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse_while_open)
    monkeypatch.setattr(time, "sleep", waits.append)
    home.write_text("problems.txt", "new")
    assert (home.folder / "problems.txt").read_text() == "new"
    assert len(waits) == 3

    refusals.extend(range(99))
    with pytest.raises(InvalidSettings, match="cannot be written"):
        home.write_text("problems.txt", "newer")
    assert [path.name for path in home.folder.iterdir() if path.name.endswith(".new")] == []
