"""Run the product's own programs in processes of their own, which a test may kill."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import requests

from idp.foundation.setting_types import ROOT
from tests.ports import free_port

TIMEOUT_SECONDS = 120.0
"""How long a program may take to respond: a busy machine is slow."""


@dataclass
class Process:
    """A running program, and the file of its output."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        """The output so far."""
        return self.log.read_text("utf-8", "replace")

    def kill(self) -> None:
        """Kill the program and the processes that it started, as the kernel does when memory runs out."""
        os.killpg(self.popen.pid, 9)
        self.popen.wait()

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until `condition()` is true; fails if the program ends first, or after `TIMEOUT_SECONDS`."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert self.popen.poll() is None, f"the program ended:\n{self.output}"
            assert time.monotonic() < deadline, f"timed out:\n{self.output}"
            time.sleep(0.02)


def eventually(condition: Callable[[], Any]) -> None:
    """Wait until `condition()` is true; fails after `TIMEOUT_SECONDS`."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def environment_with(**settings: object) -> dict[str, str]:
    """The environment variables of one of our programs, with these settings (`database__url=…`)."""
    environment = {f"IDP_{name.upper()}": str(value) for name, value in settings.items()}
    return os.environ | {"IDP_CONFIG": "config/test.toml"} | environment


@contextmanager
def a_process(*arguments: str, log: Path, **settings: object) -> Iterator[Process]:
    """Run `python -m` with these arguments and settings (`database__url=…`) until the block ends."""
    with log.open("wb") as log_file:
        popen = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=environment_with(**settings),
            stdin=subprocess.DEVNULL, stdout=log_file, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    process = Process(popen, log)
    try:
        yield process
    finally:
        if popen.poll() is None:
            process.kill()


class Instance(NamedTuple):
    """The identity provider in a process of its own: the process, and its URL."""

    process: Process
    url: str


@contextmanager
def an_instance(
    log: Path, *, program: tuple[str, ...] = ("idp.cli", "serve"), port: int = 0, **settings: object
) -> Iterator[Instance]:
    """Run the identity provider until the block ends, by `idp serve` unless `program` is another."""
    port = port or free_port()
    url = f"http://localhost:{port}"
    settings = {"server__port": port, "server__issuer": url} | settings
    with a_process(*program, log=log, **settings) as process:
        process.wait_until(lambda: _responds(f"http://localhost:{port}"))
        yield Instance(process, url)


def _responds(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=10).ok
    except requests.RequestException:
        return False
