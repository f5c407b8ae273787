"""The product's own programs as they are run: processes of their own, which a test may kill."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from idp.foundation.setting_types import ROOT
from tests.ports import free_port

PATIENCE = 120.0
"""Seconds until a program has to answer: a busy machine is slow."""


@dataclass
class Process:
    """One that runs, and the file with what it says."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """All of it, so far."""
        return self.log.read_text("utf-8", "replace")

    def kill(self) -> None:
        """As the kernel does when memory runs out: it has no say in it, nor has what it started."""
        os.killpg(self.popen.pid, 9)
        self.popen.wait()

    def until(self, happens: Any) -> None:
        """Wait for `happens()`; fails when the program ends before, or it takes too long."""
        until = time.monotonic() + PATIENCE
        while not happens():
            assert self.popen.poll() is None, f"it stopped by itself:\n{self.said}"
            assert time.monotonic() < until, f"it did not happen:\n{self.said}"
            time.sleep(0.02)


def eventually(happens: Callable[[], Any]) -> None:
    """Wait for `happens()` in this process; fails when it takes too long."""
    until = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def under(**settings: object) -> dict[str, str]:
    """The environment of a program of ours under these settings (`database__url=…`)."""
    given = {f"IDP_{name.upper()}": str(value) for name, value in settings.items()}
    return os.environ | {"IDP_CONFIG": "config/test.toml"} | given


@contextmanager
def a_process(*words: str, log: Path, **settings: object) -> Iterator[Process]:
    """`python -m words`, under these settings (`database__url=…`), until the block ends."""
    with log.open("wb") as to:
        popen = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=under(**settings),
            stdin=subprocess.DEVNULL, stdout=to, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    process = Process(popen, log)
    try:
        yield process
    finally:
        if popen.poll() is None:
            process.kill()


@contextmanager
def an_instance(
    log: Path, *, program: tuple[str, ...] = ("idp.cli", "serve"), port: int = 0, **settings: object
) -> Iterator[tuple[Process, str]]:
    """The identity provider, served by `idp serve` unless told otherwise, and its address."""
    port = port or free_port()
    address = f"http://localhost:{port}"
    settings = {"server__port": port, "server__issuer": address} | settings
    with a_process(*program, log=log, **settings) as process:
        process.until(lambda: _answers(f"http://localhost:{port}"))
        yield process, address


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/healthz", timeout=10).ok
    except requests.RequestException:
        return False
