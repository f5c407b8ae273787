"""The worker is killed while it delivers, or the mail server is unreachable: no message is lost, and one that is sent
again has the same id.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler

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
def read_row(transaction):
    """`read_row(id)` is the row of a message."""

    def read(message):
        with transaction() as session:
            return session.get(Message, message)

    return read


class Gateway(ThreadingHTTPServer):
    """A gateway for text messages, which does not respond to the first one until `may_respond` is set."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.received, self.first_received, self.may_respond = [], threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append((self.headers["Idempotency-Key"], body["text"]))
        is_first = not self.server.first_received.is_set()
        self.server.first_received.set()
        if is_first:
            self.server.may_respond.wait()
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
        server.may_respond.set()
        server.shutdown()
        thread.join()


def test_a_message_of_a_worker_that_was_killed_is_sent_again_with_the_same_id(worker, gateway, transaction, read_row):
    environment = {"sms__channel": "http", "sms__gateway_url": gateway.url, "outbox__interval": 0.05}
    with transaction():
        sent = post.sms("mobile_code", to="+447700900123", code="123456")
    with worker(**environment) as process:
        process.wait_until(gateway.first_received.is_set)
        process.kill()
    assert read_row(sent).sent_at is None
    assert read_row(sent).leased_until is not None, "another worker could send it while it may still be on its way"

    with transaction() as session:  # as if the lease had ended
        session.get(Message, sent).leased_until -= deliver.LEASE
    with worker(**environment) as process:
        process.wait_until(lambda: read_row(sent).sent_at)
    assert [key for key, _ in gateway.received] == [sent, sent]
    assert len({text for _, text in gateway.received}) == 1


class ReceivedMails(MessageHandler):
    """The messages that a mail server received."""

    def __init__(self):
        super().__init__()
        self.received = []

    def handle_message(self, message):
        self.received.append(message["Message-ID"])


@contextmanager
def mail_server(port):
    messages = ReceivedMails()
    controller = Controller(messages, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    try:
        yield messages
    finally:
        controller.stop()


def test_after_an_outage_of_the_mail_server_each_message_is_sent_once(worker, transaction, read_row):
    port = free_port()
    environment = {"mail__channel": "smtp", "mail__host": "127.0.0.1", "mail__port": port, "outbox__interval": 0.05}
    with transaction():
        messages = [
            post.email("password_changed", to=f"jo{number}@oakhill.example", name="Jo", at="today")
            for number in range(3)
        ]
    with worker(**environment) as process:
        process.wait_until(lambda: all(read_row(message).last_error for message in messages))
        for message in messages:
            message_row = read_row(message)
            assert "no connection to the mail server" in message_row.last_error
            assert message_row.failed_at is message_row.sent_at is None
            assert message_row.due_at > message_row.created_at
        with mail_server(port) as server:
            process.wait_until(lambda: all(read_row(message).sent_at for message in messages))

    assert len(server.received) == len(set(server.received)) == 3
    assert all(read_row(message).sent_at <= clock.now() for message in messages)
