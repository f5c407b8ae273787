"""Start, watch and stop the programs of a demonstration.

Each writes its output to a file below `var/demo/`, so that the terminal stays readable.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from idp.demo.services import FOLDER
from idp.foundation.setting_types import ROOT

START_TIMEOUT_SECONDS = 30.0
"""How long each program may take until it responds."""

STOP_TIMEOUT_SECONDS = 8.0
"""How long each program may take to stop before it is killed."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

POLL_SECONDS = 0.05
"""The time between two checks whether a program responds."""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # without the proxies of the environment


class ProgramFailed(Exception):
    """A program ended, or did not respond in time; `log` is its output."""

    def __init__(self, program: "Program", reason: str) -> None:
        super().__init__(f"{program.name} {reason}")
        self.log = program.log


@dataclass(frozen=True, slots=True)
class Program:
    """A Python module to run, and the address that responds once it is ready; None if it has no port."""

    name: str
    arguments: tuple[str, ...]
    ready_url: str | None = None

    @property
    def log(self) -> Path:
        """The file that its output is written to."""
        return FOLDER / f"{self.name}.log"


class ProcessGroup:
    """Running programs; leaving the context stops them, the last started first."""

    def __init__(self) -> None:
        self._processes: dict[Program, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with _uninterrupted():  # a second Ctrl-C must not interrupt the stop
            for process in reversed(self._processes.values()):
                _signal(process, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            for process in self._processes.values():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
                _signal(process, signal.SIGKILL)  # also the processes it started
                process.wait()

    def start(self, program: Program, environment: Mapping[str, str]) -> None:
        """Start a program in a process group of its own, so that Ctrl-C reaches only us and we stop them in order."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        with program.log.open("wb") as log:
            self._processes[program] = subprocess.Popen(  # noqa: S603  our own programs
                [sys.executable, "-m", *program.arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Return when every program responds. Raises `ProgramFailed` if one ends, or does not respond in time."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        pending = {program for program in self._processes if program.ready_url}
        while pending:
            self._check_all_running()
            pending = {program for program in pending if not _responds(program.ready_url)}
            if pending and time.monotonic() > deadline:
                raise ProgramFailed(pending.pop(), f"did not respond within {START_TIMEOUT_SECONDS:.0f} seconds")
            time.sleep(POLL_SECONDS)

    def watch(self) -> None:
        """Wait until one of them ends, and raise `ProgramFailed`."""
        while True:
            self._check_all_running()
            time.sleep(0.5)

    def _check_all_running(self) -> None:
        for program, process in self._processes.items():
            if (code := process.poll()) is not None:
                raise ProgramFailed(program, f"stopped by itself (exit code {code})")


def last_lines(log: Path, count: int = 15) -> list[str]:
    """The last `count` lines of a log."""
    return log.read_text("utf-8", "replace").splitlines()[-count:] if log.exists() else []


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore signals that would end us while the block runs."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _responds(url: str | None) -> bool:
    try:
        with _opener.open(str(url), timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a program and all processes it started."""
    with suppress(ProcessLookupError, PermissionError):  # macOS raises the latter for a process that has ended
        os.killpg(process.pid, number)
