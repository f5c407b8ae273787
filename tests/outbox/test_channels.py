"""The channels, each with a real receiver: an SMTP server, an SMS gateway, a Maildir, standard output."""

import json
import mailbox
import re
import socket
import threading
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from aiosmtpd.smtp import AuthResult
from pydantic import SecretStr

from idp.outbox.models import Message
from tests.ports import free_port

PASSWORD = "of the mail server"


def authenticate(server, session, envelope, mechanism, data):
    """An authenticator for aiosmtpd: accepts one username and password."""
    return AuthResult(success=(data.login, data.password) == (b"us", PASSWORD.encode()), handled=False)


def header_value(headers, name):
    """The value of a header as the server received it, unfolded (RFC 5322 §2.2.3)."""
    lines = re.sub(r"\r\n(?=[ \t])", "", headers).split("\r\n")
    (value,) = [line.partition(": ")[2] for line in lines if line.startswith(f"{name}: ")]
    return value


def decoded(value):
    """The text of a value with encoded words (RFC 2047)."""
    return str(make_header(decode_header(value)))


def assert_header_is(headers, name, text):
    value = header_value(headers, name)
    assert decoded(value) == text
    assert "?==?" not in value, "encoded words must be apart (RFC 2047 §2), and some servers refuse others"
    assert max(map(len, headers.split("\r\n"))) <= 78


class TestSmtp:
    def test_a_mail_arrives_as_plain_text_and_html(self, server, queue_message, row, deliver_all):
        sent = queue_message(name="Zoë <Al>")
        deliver_all()
        (mail,) = server.received
        message = mail.message
        assert (mail.sender, mail.to) == ("no-reply@idaas.example", ["jo@oakhill.example"])
        assert message["From"] == "IDaaS <no-reply@idaas.example>"
        assert message["To"] == "jo@oakhill.example"
        assert message["Subject"] == "Hello Zoë <Al>"
        assert message.get_content_type() == "multipart/alternative"
        text, html = message.iter_parts()
        assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
        assert "Dear Zoë <Al>, see https://us.example/v/x" in text.get_content()
        assert "Zoë &lt;Al&gt;" in html.get_content()
        assert row(sent).sent_at

    @pytest.mark.parametrize(
        "name",
        [
            "School – – Nursery a’r Tŷ a’r a’r",
            "of England of Primary and and Gymunedol St Nursery Tŷ",
            "Nursery Gymunedol of Gymunedol Gymraeg School St and Mary’s Mary’s – of Sant-Siôr",
            "=?utf-8?q?Jo?= of =?x?= =?utf-8?q?a=0D=0AX-Injected:_b?=",
            "Jo " + "and Al " * 30,
        ],
    )
    def test_a_subject_arrives_as_it_was_written_in_words_that_are_apart(
        self, server, queue_message, deliver_all, name
    ):
        queue_message(name=name)
        deliver_all()

        assert_header_is(server.received[0].headers, "Subject", f"Hello {name}".strip())

    @pytest.mark.parametrize("name", ["Ysgolion Cymru, Mewngofnodi “Sign-in” – “Ysgol” Mary’s Ysgolion", "IDaaS, Ltd"])
    def test_the_name_of_the_sender_arrives_as_it_is_set(
        self, server, queue_message, deliver_all, change_settings, name
    ):
        change_settings(mail={"sender": f'"{name}" <no-reply@idaas.example>'})
        queue_message()
        deliver_all()

        assert server.received[0].sender == "no-reply@idaas.example"
        shown, address = parseaddr(header_value(server.received[0].headers, "From"))
        assert (decoded(shown), address) == (name, "no-reply@idaas.example")

    def test_the_headers_say_that_it_was_generated_and_identify_the_message(
        self, server, queue_message, deliver_all, clock
    ):
        sent = queue_message()
        deliver_all()
        message = server.received[0].message
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Message-ID"] == f"<{sent}@localhost>"
        assert message["Date"].datetime == clock.now()

    def test_a_mail_that_is_sent_twice_has_the_same_message_id_and_date(
        self, server, queue_message, deliver_all, transaction, clock
    ):
        sent = queue_message()
        with transaction() as session:
            sealed = session.get(Message, sent).sealed
        deliver_all()
        with transaction() as session:  # as if the worker had died before it stored that this was sent
            message = session.get(Message, sent)
            message.sent_at, message.sealed, message.recipient = None, sealed, "jo@oakhill.example"
        deliver_all()
        first, second = (mail.message for mail in server.received)
        assert first["Message-ID"] == second["Message-ID"]
        assert first["Date"] == second["Date"]

    def test_a_long_link_arrives_whole(self, server, queue_message, deliver_all):
        link = "https://us.example/v/" + "x" * 1500
        queue_message(link=link)
        deliver_all()
        text, html = server.received[0].message.iter_parts()
        assert link in text.get_content()
        assert link in html.get_content()

    def test_a_round_uses_one_connection(self, server, queue_message, deliver_all):
        for _ in range(5):
            queue_message()
        deliver_all()
        assert len(server.received) == 5
        assert server.connections == 1

    def test_a_mail_to_an_unknown_address_fails_and_the_others_are_sent(self, server, queue_message, row, deliver_all):
        server.replies["al@gone.example"] = "550 5.1.1 no such user"
        before, gone, after = queue_message(), queue_message("al@gone.example"), queue_message()
        deliver_all()
        assert len(server.received) == 2
        assert row(before).sent_at
        assert row(after).sent_at
        assert row(gone).failed_at
        assert "no such user" in row(gone).last_error

    def test_a_mail_to_an_address_that_is_greylisted_is_sent_again(
        self, server, queue_message, row, deliver_all, clock
    ):
        server.replies["al@greylisting.example"] = "451 4.7.1 greylisted, try later"
        message = queue_message("al@greylisting.example")
        deliver_all()
        assert row(message).failed_at is None
        assert "greylisted" in row(message).last_error
        server.replies.clear()
        clock.move(row(message).due_at - clock.now())
        deliver_all()
        assert row(message).sent_at

    @pytest.mark.parametrize(("response", "fails"), [("554 5.7.1 spam", True), ("452 4.3.1 disk full", False)])
    def test_a_message_refused_after_its_data_fails_or_is_sent_again_later(
        self, server, queue_message, row, deliver_all, response, fails
    ):
        server.after_data = response
        message = queue_message()
        deliver_all()
        assert bool(row(message).failed_at) is fails
        assert row(message).sent_at is None

    def test_control_characters_in_the_servers_response_are_replaced_before_it_is_stored(
        self, server, queue_message, row, deliver_all
    ):
        server.replies["al@gone.example"] = "550 no\0 such \x1b[31muser"
        message = queue_message("al@gone.example")
        deliver_all()
        assert row(message).failed_at
        assert "550 no\ufffd such \ufffd[31muser" in row(message).last_error

    def test_after_a_lost_connection_the_remaining_mails_are_sent_later(
        self, server, queue_message, row, deliver_all, clock
    ):
        server.disconnects_after = 1
        messages = [queue_message() for _ in range(3)]
        deliver_all()
        server.disconnects_after = None
        waiting = [message for message in messages if not row(message).sent_at]
        assert waiting
        assert all(row(message).failed_at is None for message in waiting)
        clock.move(max(row(message).due_at for message in waiting) - clock.now())
        deliver_all()
        assert all(row(message).sent_at for message in messages)

    def test_if_the_mail_server_does_not_accept_connections_every_mail_waits(
        self, change_settings, queue_message, row, deliver_all
    ):
        change_settings(mail={"channel": "smtp", "host": "127.0.0.1", "port": free_port(), "timeout": 2})
        messages = [queue_message() for _ in range(3)]
        deliver_all()
        for message in messages:
            assert "no connection to the mail server" in row(message).last_error
            assert row(message).failed_at is row(message).leased_until is None

    def test_a_round_ends_after_one_timeout_of_the_mail_server(self, change_settings, queue_message, row, deliver_all):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            change_settings(
                mail={"channel": "smtp", "host": "127.0.0.1", "port": silent.getsockname()[1], "timeout": 0.5}
            )
            messages = [queue_message() for _ in range(5)]
            deliver_all()
            silent.accept()[0].close()
            silent.setblocking(False)
            with pytest.raises(BlockingIOError):
                silent.accept()
        assert all(row(message).due_at > row(message).created_at for message in messages)

    def test_mail_is_sent_by_starttls_with_a_password(
        self, start_server, certificate, change_settings, queue_message, deliver_all, monkeypatch
    ):
        file, context = certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        server = start_server(
            tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True
        )
        credentials = {"username": "us", "password": SecretStr(PASSWORD)}
        change_settings(
            mail={"channel": "smtp", "host": "localhost", "port": server.port, "security": "starttls", **credentials}
        )
        queue_message()
        deliver_all()
        (mail,) = server.received
        assert mail.encrypted
        assert mail.signed_in

    def test_mail_is_sent_by_implicit_tls(
        self, start_server, certificate, change_settings, queue_message, deliver_all, monkeypatch
    ):
        file, context = certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        server = start_server(ssl_context=context)
        change_settings(mail={"channel": "smtp", "host": "localhost", "port": server.port, "security": "tls"})
        queue_message()
        deliver_all()
        assert len(server.received) == 1

    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_a_server_whose_certificate_is_not_trusted_gets_no_mail(
        self, start_server, certificate, change_settings, queue_message, row, deliver_all, security
    ):
        _, context = certificate
        server = start_server(**({"ssl_context": context} if security == "tls" else {"tls_context": context}))
        change_settings(mail={"channel": "smtp", "host": "localhost", "port": server.port, "security": security})
        message = queue_message()
        deliver_all()
        assert server.received == []
        assert "certificate verify failed" in row(message).last_error.lower()

    def test_a_server_without_starttls_gets_no_unencrypted_mail(
        self, server, change_settings, queue_message, row, deliver_all
    ):
        change_settings(
            mail={"channel": "smtp", "host": "127.0.0.1", "port": server.port, "timeout": 60, "security": "starttls"}
        )
        message = queue_message()
        deliver_all()
        assert server.received == []
        assert row(message).failed_at is None

    def test_a_mail_waits_if_the_password_for_the_server_is_wrong(
        self, start_server, certificate, change_settings, queue_message, row, deliver_all
    ):
        server = start_server(auth_require_tls=False, authenticator=authenticate)
        credentials = {"username": "us", "password": SecretStr("wrong")}
        change_settings(
            mail={"channel": "smtp", "host": "127.0.0.1", "port": server.port, "timeout": 60, **credentials}
        )
        message = queue_message()
        deliver_all()
        assert "535" in row(message).last_error
        assert row(message).failed_at is None


class TestMailbox:
    @pytest.fixture
    def read_mailbox(self, scratch, change_settings):
        """`read_mailbox()` returns the messages in the Maildir."""
        change_settings(
            mail={"channel": "mailbox"}, sms={"channel": "mailbox"}, outbox={"mailbox": scratch / "deep" / "mailbox"}
        )

        def read():
            maildir = mailbox.Maildir(scratch / "deep" / "mailbox", create=False)
            return [message_from_bytes(maildir.get_bytes(key), policy=policy.default) for key in maildir.keys()]  # noqa: SIM118

        return read

    def test_a_mail_is_stored_as_it_would_be_sent(self, read_mailbox, queue_message, deliver_all):
        sent = queue_message()
        deliver_all()
        (message,) = read_mailbox()
        assert message["X-Channel"] is None
        assert message["Message-ID"] == f"<{sent}@localhost>"
        assert message["Subject"] == "Hello Jo"
        assert "https://us.example/v/x" in message.get_body(("plain",)).get_content()

    def test_a_header_distinguishes_text_messages_from_mails(self, read_mailbox, queue_message, deliver_all):
        queue_message("+447700900123")
        deliver_all()
        (message,) = read_mailbox()
        assert message["X-Channel"] == "sms"
        assert message["To"] == "+447700900123"
        assert message.get_content().strip() == "IDaaS: your code is 123456"


class TestConsole:
    def test_mails_and_text_messages_are_printed(self, change_settings, queue_message, deliver_all, capsys):
        change_settings(mail={"channel": "console"}, sms={"channel": "console"})
        queue_message()
        queue_message("+447700900123")
        deliver_all()
        output = capsys.readouterr().out
        assert "email to jo@oakhill.example\nSubject: Hello Jo\n" in output
        assert "sms to +447700900123" in output
        assert "your code is 123456" in output


class TestSmsGateway:
    @pytest.fixture
    def gateway(self, change_settings):
        """A gateway that responds with `response` and keeps the requests that it received."""

        class Gateway(BaseHTTPRequestHandler):
            requests: ClassVar[list[tuple[str, dict[str, str], dict[str, str]]]] = []
            response = 200

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                Gateway.requests.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(Gateway.response)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        with HTTPServer(("127.0.0.1", 0), Gateway) as httpd:
            thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
            thread.start()
            url = f"http://127.0.0.1:{httpd.server_address[1]}/send?account=7"
            change_settings(sms={"channel": "http", "gateway_url": url, "gateway_token": SecretStr("a-token")})
            yield Gateway
            httpd.shutdown()
            thread.join()

    def test_it_receives_the_message_and_our_token(self, gateway, queue_message, row, deliver_all):
        sent = queue_message("+447700900123")
        deliver_all()
        ((path, headers, body),) = gateway.requests
        assert path == "/send?account=7"
        assert body == {"to": "+447700900123", "from": "IDaaS", "text": "IDaaS: your code is 123456"}
        assert headers["Authorization"] == "Bearer a-token"
        assert headers["Idempotency-Key"] == sent
        assert row(sent).sent_at

    @pytest.mark.parametrize(
        ("response", "fails"),
        [(400, True), (422, True), (499, True), (401, False), (403, False), (404, False), (405, False), (408, False),
         (425, False), (429, False), (500, False), (503, False), (302, False)],
    )  # fmt: skip
    def test_a_refused_message_fails_and_after_other_errors_it_is_sent_again(
        self, gateway, queue_message, row, deliver_all, response, fails
    ):
        gateway.response = response
        message = queue_message("+447700900123")
        deliver_all()
        assert bool(row(message).failed_at) is fails
        assert f"returned {response}" in row(message).last_error

    def test_if_the_gateway_does_not_accept_connections_every_message_waits(
        self, change_settings, queue_message, row, deliver_all
    ):
        change_settings(sms={"channel": "http", "gateway_url": f"http://127.0.0.1:{free_port()}/"})
        messages = [queue_message("+447700900123") for _ in range(3)]
        deliver_all()
        for message in messages:
            assert row(message).last_error == "the gateway does not respond"
            assert row(message).failed_at is None
