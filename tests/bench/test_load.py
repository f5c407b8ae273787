"""The load generator: what it sends, what it counts, and that it hides no stall."""

import threading
import time

import pytest

from bench import load, served
from bench.load import Asked, Load
from tests.ports import free_port
from tests.serving import serving


class Server:
    """Answers with what it was asked, and can be told to keep everybody waiting once."""

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

    def asked(self, *paths, status=200, word="you asked", once=False):
        return Asked("it", [served.request("GET", path, self.port) for path in paths], status, word, once)


@pytest.fixture
def server():
    app = Server()
    with serving(app, app.port):
        yield app


def test_percentiles_are_those_that_so_many_values_do_not_exceed():
    values = [float(value) for value in range(101)]

    assert [load.percentile(values, per_cent) for per_cent in (1, 50, 99)] == [1, 50, 99]


def test_one_value_is_every_percentile():
    assert load.percentile([7.0], 99) == 7.0


def test_requests_take_turns(server):
    told = load.drive(Load(server.port, [server.asked("/a"), server.asked("/b")], 10, most=40))

    assert told.answers == 40
    assert server.paths.count("/a") == server.paths.count("/b") == 20


def test_what_is_good_once_is_sent_once(server):
    told = load.drive(Load(server.port, [server.asked(*(f"/{number}" for number in range(30)), once=True)], 10))

    assert told.answers == 30
    assert sorted(server.paths) == sorted(f"/{number}" for number in range(30))


@pytest.mark.parametrize("expected", [{"status": 201}, {"word": "something else"}])
def test_every_answer_is_checked_by_its_status_and_a_word(server, expected):
    told = load.drive(Load(server.port, [server.asked("/a", **expected)], 10, most=10))

    assert told.wrong == 10
    assert "you asked for /a" in told.example


def test_with_a_rate_so_many_are_sent_and_no_more(server):
    told = load.drive(Load(server.port, [server.asked("/a")], 0.5, rate=100))

    assert told.answers == 50
    assert told.wrong == 0


def test_a_stall_is_told_of_by_every_request_that_was_due_meanwhile(server):
    server.stall = 0.4

    told = load.drive(Load(server.port, [server.asked("/a")], 0.6, rate=100))

    assert told.answers == 60
    assert sum(took > 0.1 for took in told.took) >= 25
    assert told.within(99) > 300


def test_it_runs_in_a_process_of_its_own(server):
    told = load.run(Load(server.port, [server.asked("/a")], 10, most=20))

    assert (told.answers, told.wrong) == (20, 0)
    assert told.rate > 0


def test_an_answer_in_chunks_is_heard_to_its_end():
    head = b"http/1.1 200 ok\r\ntransfer-encoding: chunked"

    assert not load._is_whole(head, b"3\r\nabc\r\n")
    assert load._is_whole(head, b"3\r\nabc\r\n0\r\n\r\n")


def test_a_server_that_is_not_there_is_an_error():
    with pytest.raises(ConnectionRefusedError):
        load.drive(Load(free_port(), [Asked("it", [b"GET / HTTP/1.1\r\n\r\n"], 200, "")], 1))
