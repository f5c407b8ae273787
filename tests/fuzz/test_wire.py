"""Send raw bytes, well-formed or not, to `idp serve`: it must respond to the next request.

The server runs in a process of its own, because a test client cannot send malformed requests.
"""

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from hypothesis import given, strategies as st

from idp.app import create_app
from idp.foundation import database
from idp.foundation.load_settings import load
from tests.fuzz.profiles import fuzz_settings
from tests.processes import Process, an_instance

FORM_CONTENT_TYPE = b"Content-Type: application/x-www-form-urlencoded\r\n"
LINES = {
    "bytes that are no text": b"GET /\xff\xfe HTTP/1.1",
    "encoded bytes that are none": b"GET /%ff%fe HTTP/1.1",
    "an encoded NUL": b"GET /%00 HTTP/1.1",
    "an encoded line break": b"GET /a%0d%0aX-Evil:1 HTTP/1.1",
    "half an escape": b"GET /%zz% HTTP/1.1",
    "upwards": b"GET /static/../../etc/passwd HTTP/1.1",
    "upwards, encoded": b"GET /static/%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
    "backslashes": b"GET /static/..%5c..%5cx HTTP/1.1",
    "a NUL in a file's name": b"GET /static/a%00b HTTP/1.1",
    "a long name": b"GET /static/" + b"a" * 5000 + b" HTTP/1.1",
    "a folder": b"GET /static/vendor HTTP/1.1",
    "another host's URL": b"GET http://evil.example/sign-in HTTP/1.1",
    "a star": b"OPTIONS * HTTP/1.1",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1",
    "two slashes": b"GET //evil.example/x HTTP/1.1",
    "odd bytes in the query": b"GET /register?q=%ff%00 HTTP/1.1",
    "a long query": b"GET /register?q=" + b"a" * 30_000 + b" HTTP/1.1",
    "no such method": b"BREW /sign-in HTTP/1.1",
    "a long method": b"X" * 5000 + b" /sign-in HTTP/1.1",
    "a method that is no word": b"G\xc3\xa9T /sign-in HTTP/1.1",
    "HTTP/0.9": b"GET /sign-in",
    "HTTP/3": b"GET /sign-in HTTP/3.0",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
}
HEADERS = {
    "another host": b"Host: evil.example",
    "an unreadable host": b"Host: .",
    "odd bytes": b"X: \xff\xfe",
    "folded": b"X: a\r\n b",
    "a NUL": b"X: a\x00b",
    "many": b"".join(b"X%d: y\r\n" % number for number in range(2000)) + b"Y: z",
    "a large one": b"X: " + b"a" * 900_000,
    "a large cookie": b"Cookie: " + b"a=b; " * 15_000,
    "ranges": b"Range: bytes=0-1,5-6,1-99",
    "underscores": b"X_Forwarded_Host: evil.example\r\nContent_Length: 5\r\nHTTP_HOST: evil.example",
    "none": b"X: y",
    "WebSocket": b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
    "HTTP/2 from here on": b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
}
BODIES = {
    "a negative length": b"Content-Length: -3\r\n\r\na=b",
    "no number": b"Content-Length: x\r\n\r\na=b",
    "a sign": b"Content-Length: +3\r\n\r\na=b",
    "two lengths": b"Content-Length: 3\r\nContent-Length: 4\r\n\r\na=b",
    "a huge length": b"Content-Length: 99999999999\r\n\r\na=b",
    "a large one": b"Content-Length: 2000000\r\n\r\na=b",
    "too short": b"Content-Length: 30\r\n\r\na=b",
    "nothing at all": b"Content-Length: 30\r\n\r\n",
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n",
    "a chunk that is cut": b"Transfer-Encoding: chunked\r\n\r\n5\r\na=b",
    "no chunk": b"Transfer-Encoding: chunked\r\n\r\nzz\r\na=b\r\n0\r\n\r\n",
    "another coding": b"Transfer-Encoding: x\r\n\r\na=b",
    "both": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a request to continue": b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\na=b",
    "compressed": b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\na=b",
}
PATHS = ("/sign-in", "/oauth/token", "/oauth/register")


@dataclass
class Wire:
    """A served instance that is sent raw bytes."""

    process: Process
    url: str

    @property
    def host(self) -> bytes:
        """Its `Host` header."""
        return f"Host: {urlsplit(self.url).netloc}\r\n".encode()

    def exchange(self, data: bytes, *, timeout: float = 0.0) -> bytes:
        """The response to `data`. Waits `timeout` seconds for each part; by default it soon closes the connection."""
        parts, response = urlsplit(self.url), b""
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", parts.port or 80), 60) as connection:
            connection.sendall(data)
            connection.settimeout(timeout or 0.2)
            with suppress(TimeoutError):
                while part := connection.recv(65_536):
                    response += part
                    connection.settimeout(timeout or 0.05)
        return response

    def assert_healthy(self) -> None:
        """Assert that the server responds, was not restarted, and logged no exception."""
        response = self.exchange(b"GET /healthz HTTP/1.1\r\n" + self.host + b"Connection: close\r\n\r\n", timeout=60)
        assert response.startswith(b"HTTP/1.1 200 "), response
        output = self.process.output
        assert "Unexpected exit" not in output, output
        assert "Traceback" not in output, output


@pytest.fixture(scope="module")
def wire(databases, tmp_path_factory):
    url = databases.new("wire")
    app = create_app(load(database={"url": url}))
    databases.prepare(app)
    with app.app_context():
        database.db.engine.dispose()
    with an_instance(tmp_path_factory.mktemp("wire") / "log", database__url=url) as (process, url):
        yield Wire(process, url)


def _check(response: bytes) -> None:
    head, _, _ = response.partition(b"\r\n\r\n")
    assert not head[9:].startswith(b"5"), head
    assert b"X-Evil" not in head
    assert b"evil.example" not in response


@pytest.mark.parametrize("case", LINES)
def test_any_request_line_is_handled(wire, case):
    _check(wire.exchange(LINES[case] + b"\r\n" + wire.host + b"Connection: close\r\n\r\n"))
    wire.assert_healthy()


@pytest.mark.parametrize("case", HEADERS)
def test_any_headers_are_handled(wire, case):
    for host in (wire.host, b""):
        _check(wire.exchange(b"GET /sign-in HTTP/1.1\r\n" + host + HEADERS[case] + b"\r\nConnection: close\r\n\r\n"))
    wire.assert_healthy()


@pytest.mark.parametrize("case", BODIES)
def test_any_body_or_none_is_handled(wire, case):
    for path in PATHS:
        _check(
            wire.exchange(b"POST " + path.encode() + b" HTTP/1.1\r\n" + wire.host + FORM_CONTENT_TYPE + BODIES[case])
        )
    wire.assert_healthy()


def test_a_connection_that_begins_with_http_2_is_refused(wire):
    """Proxies send us HTTP/1.1; a protocol that is not needed is not offered."""
    empty_settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    response = wire.exchange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + empty_settings, timeout=2)
    assert response == b"" or response.startswith(b"HTTP/1.1 400 ")
    wire.assert_healthy()


def test_a_client_that_disconnects_early_does_not_affect_others(wire):
    """Writing a response to a closed connection raises a signal, which must not end the process."""
    for _ in range(5):
        data = b"POST /oauth/token HTTP/1.1\r\n" + wire.host + FORM_CONTENT_TYPE + BODIES["too short"]
        wire.exchange(data)
        time.sleep(0.02)
    wire.assert_healthy()


valid = st.sampled_from(
    [
        b"GET /sign-in HTTP/1.1\r\nHOST\r\n",
        b"GET /oauth/jwks HTTP/1.1\r\nHOST\r\n",
        b"GET /static/app.css HTTP/1.1\r\nHOST\r\n",
        b"POST /oauth/token HTTP/1.1\r\nHOST"
        + FORM_CONTENT_TYPE
        + b"Content-Length: 29\r\n\r\ngrant_type=client_credentials",
        b"POST /sign-in HTTP/1.1\r\nHOST" + FORM_CONTENT_TYPE + b"Content-Length: 12\r\n\r\nusername=abc",
    ]
)


@fuzz_settings()
@given(
    data=valid,
    index=st.integers(0, 200),
    lost=st.integers(0, 12),
    inserted=st.binary(max_size=12),
    is_cut_off=st.booleans(),
)
def test_lost_and_inserted_bytes_are_handled(wire, data, index, lost, inserted, is_cut_off):
    data = data.replace(b"HOST", wire.host)
    altered = data[:index] + inserted + data[index + lost :]
    _check(wire.exchange(altered[: index + 20] if is_cut_off else altered))
    wire.assert_healthy()
