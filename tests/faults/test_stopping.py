"""Whatever it is doing when it is told to stop, `idp serve` has stopped soon after."""

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from idp import serve
from tests.faults.conftest import HOST
from tests.ports import free_port
from tests.processes import a_process

MOST = 35.0
"""Seconds that a stop may take."""


def stops(process):
    """Tell it to stop, and say how long that took. Nothing of it is left."""
    began = time.monotonic()
    process.popen.send_signal(signal.SIGTERM)
    process.popen.wait(MOST * 3)
    took = time.monotonic() - began
    with pytest.raises(ProcessLookupError):
        os.killpg(process.popen.pid, 0)
    return took


@pytest.fixture
def begun(settings, tmp_path):
    """`with begun() as process:` is one that was started a moment ago."""

    @contextmanager
    def begin(**told):
        told = {"database__url": settings.database.url, "server__port": free_port()} | told
        with a_process("idp.cli", "serve", log=tmp_path / "log", **told) as process:
            yield process

    return begin


def children(process):
    """The ids of its own processes."""
    return Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text("ascii").split()


@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.4, 0.8])
def test_told_so_while_its_worker_starts(begun, after):
    with begun() as process:
        process.until(lambda: children(process))
        time.sleep(after)
        assert stops(process) < MOST


@pytest.mark.parametrize("after", [0.3, 1.0])
def test_told_so_before_it_has_a_worker(begun, after):
    with begun() as process:
        time.sleep(after)
        assert stops(process) < MOST


@pytest.mark.parametrize("after", [0.0, 0.1, 0.6])
def test_told_so_while_a_worker_is_replaced(begun, instance, after):
    with instance() as (process, _):
        first = children(process)
        os.kill(int(first[0]), signal.SIGKILL)
        process.until(lambda: set(children(process)) - set(first))
        time.sleep(after)
        assert stops(process) < MOST


@contextmanager
def a_half_sent_request(address):
    """Beside an idle connection."""
    place = urlsplit(address).hostname, urlsplit(address).port
    with socket.create_connection(place, 60) as idle, socket.create_connection(place, 60) as half:
        idle.sendall(f"GET /healthz HTTP/1.1\r\nHost: {HOST['Host']}\r\n\r\n".encode())
        assert idle.recv(1000).startswith(b"HTTP/1.1 200 ")
        half.sendall(f"POST /oauth/token HTTP/1.1\r\nHost: {HOST['Host']}\r\nContent-Length: 100\r\n\r\ngrant".encode())
        yield


def test_a_half_sent_request_and_a_worker_that_does_not_end_are_ended(instance):
    """Both wait `FAREWELL` seconds, so they wait at the same time."""
    with instance() as (waiting, address), instance() as (stuck, _), a_half_sent_request(address):
        os.kill(int(children(stuck)[0]), signal.SIGSTOP)  # it no longer notices anything
        with ThreadPoolExecutor() as pool:
            took = list(pool.map(stops, (waiting, stuck)))

    assert took[0] < MOST
    assert serve.FAREWELL - 1 < took[1] < MOST
