"""The worker is killed while it delivers, or the mail server is away: nothing is lost, and a repeated message has the
same id.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Taker

from idp.foundation import clock
from idp.outbox import deliver, post
from idp.outbox.models import Message
from tests.ports import free_port
from tests.processes import a_process


@pytest.fixture
def worker(settings, tmp_path):
    """`worker(…)` runs `idp worker` in a new process, with these settings."""

    def run(**settings_):
        return a_process("idp.cli", "worker", log=tmp_path / "log", database__url=settings.database.url, **settings_)

    return run


@pytest.fixture
def row(work):
    def read(message):
        with work() as session:
            return session.get(Message, message)

    return read


class Gateway(ThreadingHTTPServer):
    """A gateway for text messages, which responds to the first one only when a test lets it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken, self.came, self.goes_on = [], threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((self.headers["Idempotency-Key"], body["text"]))
        is_first = not self.server.came.is_set()
        self.server.came.set()
        if is_first:
            self.server.goes_on.wait()
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Log no requests."""


@pytest.fixture
def gateway():
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.goes_on.set()
        server.shutdown()
        thread.join()


def test_a_worker_killed_while_it_delivers_leaves_the_message_to_the_next_which_says_that_it_is_the_same(
    worker, gateway, work, row
):
    environment = {"sms__channel": "http", "sms__gateway_url": gateway.url, "outbox__interval": 0.05}
    with work():
        sent = post.sms("mobile_code", to="+447700900123", code="123456")
    with worker(**environment) as process:
        process.wait_until(gateway.came.is_set)
        process.kill()
    assert row(sent).sent_at is None
    assert row(sent).leased_until is not None, "another worker could send it while it may still be on its way"

    with work() as session:  # as if the lease had ended
        session.get(Message, sent).leased_until -= deliver.LEASE
    with worker(**environment) as process:
        process.wait_until(lambda: row(sent).sent_at)
    assert [key for key, _ in gateway.taken] == [sent, sent]
    assert len({text for _, text in gateway.taken}) == 1


class Letters(Taker):
    """The messages that a mail server received."""

    def __init__(self):
        super().__init__()
        self.taken = []

    def handle_message(self, message):
        self.taken.append(message["Message-ID"])


@contextmanager
def a_mail_server(port):
    letters = Letters()
    controller = Controller(letters, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    try:
        yield letters
    finally:
        controller.stop()


def test_a_mail_server_that_was_away_gets_each_letter_once_when_it_is_back(worker, work, row):
    port = free_port()
    environment = {"mail__channel": "smtp", "mail__host": "127.0.0.1", "mail__port": port, "outbox__interval": 0.05}
    with work():
        letters = [
            post.email("password_changed", to=f"jo{number}@oakhill.example", name="Jo", at="today")
            for number in range(3)
        ]
    with worker(**environment) as process:
        process.wait_until(lambda: all(row(letter).last_error for letter in letters))
        for item in letters:
            message_row = row(item)
            assert "no connection to the mail server" in message_row.last_error
            assert message_row.failed_at is message_row.sent_at is None
            assert message_row.due_at > message_row.created_at
        with a_mail_server(port) as server:
            process.wait_until(lambda: all(row(letter).sent_at for letter in letters))

    assert len(server.taken) == len(set(server.taken)) == 3
    assert all(row(letter).sent_at <= clock.now() for letter in letters)
