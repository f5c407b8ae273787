"""The four programs of a demonstration: started together, waited for, watched, and stopped together.

What they say goes to a file each below `var/demo/`; the terminal stays readable.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from idp.demo.places import FOLDER
from idp.foundation.setting_types import ROOT

START_TIMEOUT_SECONDS = 30.0
"""Seconds until a program has to answer."""

GRACE = 8.0
"""Seconds a program has to stop by itself."""

LOOK = 0.05
"""Seconds between two looks."""

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine is never behind a proxy


class Died(Exception):
    """A program ended, or never answered; `log` is what it said last."""

    def __init__(self, program: "Program", how: str) -> None:
        super().__init__(f"{program.name} {how}")
        self.log = program.log


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and the address that answers once it is ready: None for one without a port."""

    name: str
    arguments: tuple[str, ...]
    answers_at: str | None = None

    @property
    def log(self) -> Path:
        """What it says."""
        return FOLDER / f"{self.name}.log"


class Running:
    """Programs in their processes; leaving the block stops whatever still runs, last begun first."""

    def __init__(self) -> None:
        self._processes: dict[Program, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in reversed(self._processes.values()):
            _signal(process, signal.SIGTERM)
        until = time.monotonic() + GRACE
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            _signal(process, signal.SIGKILL)  # whatever it left behind, too
            process.wait()

    def start(self, program: Program, environment: Mapping[str, str]) -> None:
        """Start one. It gets a group of its own, so that Ctrl-C reaches us and we stop them in order."""
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
        """Return once every program answers. Raises `Died` for one that ends, or takes too long."""
        until = time.monotonic() + START_TIMEOUT_SECONDS
        silent = {program for program in self._processes if program.answers_at}
        while silent:
            self._see_that_all_run()
            silent = {program for program in silent if not _answers(program.answers_at)}
            if silent and time.monotonic() > until:
                raise Died(silent.pop(), f"did not answer within {START_TIMEOUT_SECONDS:.0f} seconds")
            time.sleep(LOOK)

    def watch(self) -> None:
        """Run until one of them ends, which raises `Died`."""
        while True:
            self._see_that_all_run()
            time.sleep(0.5)

    def _see_that_all_run(self) -> None:
        for program, process in self._processes.items():
            if (code := process.poll()) is not None:
                raise Died(program, f"stopped by itself (exit code {code})")


def last_lines(log: Path, count: int = 15) -> list[str]:
    """The end of a log."""
    return log.read_text("utf-8", "replace").splitlines()[-count:] if log.exists() else []


def _answers(address: str | None) -> bool:
    try:
        with _direct.open(str(address), timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Tell a program and all that it started."""
    with suppress(ProcessLookupError, PermissionError):  # the latter is what macOS says of one that has ended
        os.killpg(process.pid, number)
