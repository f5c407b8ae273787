"""`idp serve` stops soon after SIGTERM, whatever state it is in."""

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

MAX_STOP_SECONDS = 35.0
"""The seconds within which the process must have stopped."""


def seconds_to_stop(process):
    """Send SIGTERM; returns the seconds until the process ended, after checking that no child is left."""
    began = time.monotonic()
    process.popen.send_signal(signal.SIGTERM)
    process.popen.wait(MAX_STOP_SECONDS * 3)
    seconds = time.monotonic() - began
    with pytest.raises(ProcessLookupError):
        os.killpg(process.popen.pid, 0)
    return seconds


@pytest.fixture
def start(settings, tmp_path):
    """`with start() as process:` starts a server."""

    @contextmanager
    def run(**overrides):
        variables = {"database__url": settings.database.url, "server__port": free_port()} | overrides
        with a_process("idp.cli", "serve", log=tmp_path / "log", **variables) as process:
            yield process

    return run


def children(process):
    """The ids of the child processes."""
    return Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text("ascii").split()


@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.4, 0.8])
def test_the_server_stops_while_its_worker_starts(start, after):
    with start() as process:
        process.wait_until(lambda: children(process))
        time.sleep(after)
        assert seconds_to_stop(process) < MAX_STOP_SECONDS


@pytest.mark.parametrize("after", [0.3, 1.0])
def test_the_server_stops_before_it_has_a_worker(start, after):
    with start() as process:
        time.sleep(after)
        assert seconds_to_stop(process) < MAX_STOP_SECONDS


@pytest.mark.parametrize("after", [0.0, 0.1, 0.6])
def test_the_server_stops_while_a_worker_is_replaced(start, instance, after):
    with instance() as (process, _):
        first = children(process)
        os.kill(int(first[0]), signal.SIGKILL)
        process.wait_until(lambda: set(children(process)) - set(first))
        time.sleep(after)
        assert seconds_to_stop(process) < MAX_STOP_SECONDS


@contextmanager
def half_sent_request(url):
    """Open a connection with half a request, and an idle one."""
    host_and_port = urlsplit(url).hostname, urlsplit(url).port
    with socket.create_connection(host_and_port, 60) as idle, socket.create_connection(host_and_port, 60) as half:
        idle.sendall(f"GET /healthz HTTP/1.1\r\nHost: {HOST['Host']}\r\n\r\n".encode())
        assert idle.recv(1000).startswith(b"HTTP/1.1 200 ")
        half.sendall(f"POST /oauth/token HTTP/1.1\r\nHost: {HOST['Host']}\r\nContent-Length: 100\r\n\r\ngrant".encode())
        yield


def test_the_server_stops_despite_an_incomplete_request_and_a_hanging_worker(instance):
    """Both take `STOP_TIMEOUT_SECONDS`, so they are tested at the same time."""
    with instance() as (waiting, url), instance() as (hanging, _), half_sent_request(url):
        os.kill(int(children(hanging)[0]), signal.SIGSTOP)  # a stopped process handles no signal
        with ThreadPoolExecutor() as pool:
            seconds = list(pool.map(seconds_to_stop, (waiting, hanging)))

    assert seconds[0] < MAX_STOP_SECONDS
    assert serve.STOP_TIMEOUT_SECONDS - 1 < seconds[1] < MAX_STOP_SECONDS


def test_the_last_requests_before_the_server_stops_are_in_the_log(instance, outside):
    with instance(server__log_level="INFO", server__log_format="json") as (process, url):
        for _ in range(20):
            outside.get(f"{url}/oauth/userinfo", timeout=60)
        seconds_to_stop(process)
        lines = process.output.count('"route": "/oauth/userinfo"')
    assert lines == 20
