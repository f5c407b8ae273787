"""Responses with all records of a collection: how many are sent at once, to clients that read slowly or not at all."""

import socket
from contextlib import ExitStack, contextmanager
from threading import Thread

import pytest
from werkzeug.serving import make_server

from clients.xporter.__main__ import Handler
from clients.xporter.bulk import MAX_PER_PARTNER
from clients.xporter.snapshots import MAX_SNAPSHOTS
from tests.clients.xporter.school_data import Stored
from tests.ports import free_port
from tests.processes import eventually

NDJSON = {"Accept": "application/x-ndjson"}
RECORDS = 40
FETCH_SIZE = 4
"""How many records are read from the database at a time."""


@pytest.fixture
def many_records(app, granted):
    """More records than the buffers of two sockets hold."""
    return Stored(app, {"students": {f"p{number}": {"upn": "x" * 400_000} for number in range(RECORDS)}})


@pytest.fixture
def port(app, monkeypatch):
    """The port of the program, which is served as its own command serves it."""
    monkeypatch.setattr(Handler, "log", lambda *_: None)
    monkeypatch.setattr("clients.xporter.storage.FETCH_SIZE", FETCH_SIZE)
    port = free_port()
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield port
    server.shutdown()
    server.server_close()


@contextmanager
def slow_reader(port):
    """Request all pupils, and read only the beginning of the response."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET /v1/students HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n")
        yield connection.recv(12).decode()


def test_slow_readers_of_one_partner_are_limited_and_do_not_delay_pages(api, app, many_records, port, granted):
    with ExitStack() as reading:
        statuses = [reading.enter_context(slow_reader(port)) for _ in range(MAX_PER_PARTNER)]
        assert statuses == ["HTTP/1.1 200"] * MAX_PER_PARTNER
        assert [reading.enter_context(slow_reader(port)) for _ in range(2)] == ["HTTP/1.1 503"] * 2
        refused = api.get("/v1/students", headers=NDJSON)
        assert (refused.status_code, refused.json["code"]) == (503, "temporarily_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        assert api.get("/v1/students?limit=1").status_code == 200
        granted.grant("students", client_id="another")
        assert len(api.get("/v1/students", headers=NDJSON).text.splitlines()) == RECORDS + 1, "and a last line"
    eventually(lambda: app.extensions["xporter"].bulk.running == 0)


def test_a_reader_that_reads_nothing_loses_its_connection(app, many_records, port, monkeypatch):
    monkeypatch.setattr(Handler, "timeout", 0.3)
    bulk, snapshots = app.extensions["xporter"].bulk, app.extensions["xporter"].database._snapshots
    with slow_reader(port) as status:
        assert status == "HTTP/1.1 200"
        eventually(lambda: snapshots.available == MAX_SNAPSHOTS and bulk.running == 0)


def test_a_response_that_takes_too_long_ends_without_its_last_line(api, many_records, monkeypatch):
    monkeypatch.setattr("clients.xporter.storage.FETCH_SIZE", FETCH_SIZE)
    monkeypatch.setattr("clients.xporter.bulk.MAX_SECONDS", -1)
    response = api.get("/v1/students", headers=NDJSON)
    assert len(response.text.splitlines()) == FETCH_SIZE
    assert '"total"' not in response.text
