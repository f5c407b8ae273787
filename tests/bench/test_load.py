"""The load generator: what it sends and counts, and that it reports a stall."""

import threading
import time

import pytest

from bench import load, servers
from bench.load import Load, RequestKind
from tests.ports import free_port
from tests.serving import serving


class Server:
    """A server whose responses repeat the path, and which can make all requests wait once."""

    def __init__(self):
        self.port = free_port()
        self.paths = []
        self.stall = 0.0
        self._one_at_a_time = threading.Lock()

    def __call__(self, environ, start_response):
        with self._one_at_a_time:
            self.paths.append(environ["PATH_INFO"])
            if self.stall and len(self.paths) == 20:
                time.sleep(self.stall)
        body = f"you asked for {environ['PATH_INFO']}".encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def kind(self, *paths, status=200, expected_text="you asked", single_use=False):
        return RequestKind(
            "it", [servers.request("GET", path, self.port) for path in paths], status, expected_text, single_use
        )


@pytest.fixture
def server():
    app = Server()
    with serving(app, app.port):
        yield app


def test_a_percentile_is_not_exceeded_by_that_share_of_values():
    values = [float(value) for value in range(101)]

    assert [load.percentile(values, per_cent) for per_cent in (1, 50, 99)] == [1, 50, 99]


def test_one_value_is_every_percentile():
    assert load.percentile([7.0], 99) == 7.0


def test_several_kinds_are_sent_in_turn(server):
    result = load.drive(Load(server.port, [server.kind("/a"), server.kind("/b")], 10, max_requests=40))

    assert result.responses == 40
    assert server.paths.count("/a") == server.paths.count("/b") == 20


def test_a_single_use_request_is_sent_once(server):
    result = load.drive(Load(server.port, [server.kind(*(f"/{number}" for number in range(30)), single_use=True)], 10))

    assert result.responses == 30
    assert sorted(server.paths) == sorted(f"/{number}" for number in range(30))


@pytest.mark.parametrize("expected", [{"status": 201}, {"expected_text": "something else"}])
def test_every_response_is_checked_by_its_status_and_a_text(server, expected):
    result = load.drive(Load(server.port, [server.kind("/a", **expected)], 10, max_requests=10))

    assert result.wrong_responses == 10
    assert "you asked for /a" in result.example


def test_a_load_with_a_rate_sends_that_number_of_requests_a_second(server):
    result = load.drive(Load(server.port, [server.kind("/a")], 0.5, rate=100))

    assert result.responses == 50
    assert result.wrong_responses == 0


def test_a_stall_counts_for_every_request_that_was_due_meanwhile(server):
    server.stall = 0.4

    result = load.drive(Load(server.port, [server.kind("/a")], 0.6, rate=100))

    assert result.responses == 60
    assert sum(latency > 0.1 for latency in result.latencies) >= 25
    assert result.percentile_ms(99) > 300


def test_the_load_generator_runs_in_a_separate_process(server):
    result = load.run(Load(server.port, [server.kind("/a")], 10, max_requests=20))

    assert (result.responses, result.wrong_responses) == (20, 0)
    assert result.rate > 0


def test_a_chunked_response_is_read_to_its_end():
    head = b"http/1.1 200 ok\r\ntransfer-encoding: chunked"

    assert not load._is_complete(head, b"3\r\nabc\r\n")
    assert load._is_complete(head, b"3\r\nabc\r\n0\r\n\r\n")


def test_an_unreachable_server_is_an_error():
    with pytest.raises(ConnectionRefusedError):
        load.drive(Load(free_port(), [RequestKind("it", [b"GET / HTTP/1.1\r\n\r\n"], 200, "")], 1))
