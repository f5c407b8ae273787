"""A real SMTP server on a free port, and settings that differ for one test."""

from email import message_from_bytes, policy
from types import SimpleNamespace

import pytest
from aiosmtpd.controller import Controller
from jinja2 import ChoiceLoader, DictLoader

from idp.outbox import deliver, post
from idp.outbox.models import Message
from tests.certificates import a_certificate
from tests.ports import free_port


class Server:
    """Accepts mail, or gives responses that a test sets: `replies[recipient]` to RCPT, `after_data` to the message."""

    def __init__(self):
        self.received = []
        self.replies = {}
        self.after_data = None
        self.disconnects_after = None
        self.connections = 0

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802  aiosmtpd's name
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if response := self.replies.get(address):
            return response
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.after_data:
            return self.after_data
        self.received.append(
            SimpleNamespace(
                sender=envelope.mail_from,
                to=envelope.rcpt_tos,
                headers=envelope.content.partition(b"\r\n\r\n")[0].decode("ascii"),
                message=message_from_bytes(envelope.content, policy=policy.default),
                encrypted=session.ssl is not None,
                signed_in=session.authenticated,
            )
        )
        if self.disconnects_after == len(self.received):
            server.transport.close()
        return "250 OK"


@pytest.fixture
def start_server():
    """`start_server(**options)` starts a mail server; returns its handler, which has its port."""
    running = []

    def start(handler=None, **options):
        handler = handler or Server()
        handler.port = free_port()
        controller = Controller(handler, hostname="127.0.0.1", port=handler.port, ready_timeout=60, **options)
        controller.start()
        running.append(controller)
        return handler

    yield start
    for controller in running:
        controller.stop()


@pytest.fixture
def server(start_server, change_settings):
    """A mail server, and settings that send to it."""
    smtp_server = start_server()
    change_settings(mail={"channel": "smtp", "host": "127.0.0.1", "port": smtp_server.port, "timeout": 60})
    return smtp_server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for localhost that is its own authority: (file of the certificate, server's context)."""
    return a_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(autouse=True)
def _templates(app, monkeypatch):
    """Two messages of these tests, so that they do not depend on the product's templates."""
    ours = DictLoader(
        {
            "mail/hello.txt": '{% extends "mail/base.txt" %}{% block subject %}Hello {{ name }}{% endblock %}'
            "{% block text %}Dear {{ name }}, see {{ link }}{% endblock %}",
            "mail/hello.html": '{% extends "mail/base.html" %}{% block heading %}Hello {{ name }}{% endblock %}'
            "{% block main %}{{ name }}: {{ link }}{% endblock %}",
            "sms/hello.txt": '{% extends "sms/base.txt" %}{% block text %}your code is {{ code }}{% endblock %}',
        }
    )
    monkeypatch.setattr(app.jinja_env, "loader", ChoiceLoader([ours, app.jinja_env.loader]))


@pytest.fixture
def queue_message(transaction):
    """`queue_message("jo@oakhill.example")` queues a mail, `queue_message("+44…")` a text message; returns the id."""

    def write(to="jo@oakhill.example", **overrides):
        with transaction():
            if to.startswith("+"):
                return post.sms("hello", to=to, **({"code": "123456"} | overrides))
            return post.email("hello", to=to, **({"name": "Jo", "link": "https://us.example/v/x"} | overrides))

    return write


@pytest.fixture
def row(transaction):
    """`row(id)` is the row of a message."""

    def read(message_id):
        with transaction() as session:
            return session.get(Message, message_id)

    return read


@pytest.fixture
def deliver_all(transaction):
    """`deliver_all()` delivers the mails and text messages that are due."""

    def run():
        return deliver.run_once(transaction, "email") + deliver.run_once(transaction, "sms")

    return run
