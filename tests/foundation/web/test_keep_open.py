"""`fetch.keep_open`: several requests over one connection, whatever the server does with it."""

import socket
import threading
from contextlib import contextmanager

import pytest

from idp.foundation.settings import Fetch
from idp.foundation.web import fetch

RULES = fetch.for_operator(
    Fetch(allow_loopback=True, timeout=3, extra_ca="", operator_private_hosts=(), partner_private_hosts=())
)
EVENT = {"body": b"an event", "content_type": "text/plain", "headers": {"Accept": "application/json"}}
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def a_server(*connections):
    """Serve each connection its responses, one for each request, and close it.

    Yields a connection that is kept open, and the requests that were received, by connection.
    """
    received: list[list[bytes]] = []

    def serve(listener):
        for responses in connections:
            connection, _ = listener.accept()
            received.append([])
            with connection:
                for response in responses:
                    received[-1].append(_request(connection))
                    connection.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        with fetch.keep_open(f"http://127.0.0.1:{listener.getsockname()[1]}/events?a=b", RULES) as connection:
            yield connection, received
        thread.join(5)


def _request(connection):
    """Read one request, or what there was before the connection was closed."""
    data = b""
    while not data.endswith(EVENT["body"]):
        if not (chunk := connection.recv(4096)):
            return data
        data += chunk
    return data


def test_requests_follow_each_other_over_one_connection():
    refusal = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\nX-One: 1\r\n\r\n{"err":1}'
    chunked = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    with a_server([ACCEPTED, refusal, chunked, ACCEPTED]) as (connection, received):
        responses = [connection.post(**EVENT) for _ in range(4)]
    assert [response.status for response in responses] == [202, 400, 202, 202]
    assert [response.body for response in responses] == [b"", b'{"err":1}', b"abc", b""]
    assert responses[1].headers["x-one"] == "1"
    [[request, *_]] = received
    head, body = request.split(b"\r\n\r\n")
    assert head.startswith(b"POST /events?a=b HTTP/1.1\r\n")
    assert b"Content-Length: 8" in head
    assert b"Content-Type: text/plain" in head
    assert body == EVENT["body"]


def test_a_connection_that_the_server_closes_after_each_response_is_opened_again():
    with a_server([ACCEPTED], [ACCEPTED], [ACCEPTED]) as (connection, received):
        assert [connection.post(**EVENT).status for _ in range(3)] == [202] * 3
    assert [len(requests) for requests in received] == [1, 1, 1]


def test_a_connection_is_opened_again_after_a_response_with_connection_close():
    closes = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\n\r\nall"
    with a_server([closes], [ACCEPTED]) as (connection, _):
        assert [connection.post(**EVENT).body for _ in range(2)] == [b"all", b""]


def test_a_request_that_was_lost_with_its_connection_is_sent_once_more_only():
    with a_server([ACCEPTED, b""], [ACCEPTED], [b""]) as (connection, received):
        assert connection.post(**EVENT).status == 202
        assert connection.post(**EVENT).status == 202
        with pytest.raises(fetch.FetchFailed):
            connection.post(**EVENT)
    assert [len(requests) for requests in received] == [2, 1, 1]


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 70000\r\n\r\n" + 70_000 * b"a",
        b"HTTP/1.1 two\r\n\r\n",
        b"\x00\x00\r\n",
        b"",
    ],
)
def test_an_invalid_response_raises_and_the_next_request_has_a_new_connection(response):
    with a_server([response], [ACCEPTED]) as (connection, _):
        with pytest.raises(fetch.FetchFailed):
            connection.post(**EVENT)
        assert connection.post(**EVENT).status == 202
