"""The channels, each with a real receiver: an SMTP server, a text gateway, a Maildir, standard output."""

import json
import mailbox
import socket
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from aiosmtpd.smtp import AuthResult
from pydantic import SecretStr

from idp.outbox.models import Message
from tests.ports import free_port

PASSWORD = "of the mail server"


def authenticated(server, session, envelope, mechanism, data):
    """An authenticator for aiosmtpd: accepts one username and password."""
    return AuthResult(success=(data.login, data.password) == (b"us", PASSWORD.encode()), handled=False)


class TestSmtp:
    def test_a_mail_arrives_with_both_its_texts(self, server, posted, row, deliver_all):
        sent = posted(name="Zoë <Al>")
        deliver_all()
        (mail,) = server.taken
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

    def test_it_says_that_no_reply_is_wanted_and_which_message_it_is(self, server, posted, deliver_all, clock):
        sent = posted()
        deliver_all()
        message = server.taken[0].message
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Message-ID"] == f"<{sent}@localhost>"
        assert message["Date"].datetime == clock.now()

    def test_sent_twice_it_is_the_same_message(self, server, posted, deliver_all, transaction, clock):
        sent = posted()
        with transaction() as session:
            message_row = session.get(Message, sent).sealed
        deliver_all()
        with transaction() as session:  # as if the worker had died before it stored that this was sent
            message = session.get(Message, sent)
            message.sent_at, message.sealed, message.recipient = None, message_row, "jo@oakhill.example"
        deliver_all()
        first, second = (mail.message for mail in server.taken)
        assert first["Message-ID"] == second["Message-ID"]
        assert first["Date"] == second["Date"]

    def test_a_long_link_arrives_whole(self, server, posted, deliver_all):
        link = "https://us.example/v/" + "x" * 1500
        posted(link=link)
        deliver_all()
        text, html = server.taken[0].message.iter_parts()
        assert link in text.get_content()
        assert link in html.get_content()

    def test_a_round_uses_one_connection(self, server, posted, deliver_all):
        for _ in range(5):
            posted()
        deliver_all()
        assert len(server.taken) == 5
        assert server.connections == 1

    def test_an_address_that_does_not_exist_fails_alone_and_for_good(self, server, posted, row, deliver_all):
        server.replies["al@gone.example"] = "550 5.1.1 no such user"
        before, gone, after = posted(), posted("al@gone.example"), posted()
        deliver_all()
        assert len(server.taken) == 2
        assert row(before).sent_at
        assert row(after).sent_at
        assert row(gone).failed_at
        assert "no such user" in row(gone).last_error

    def test_an_address_that_is_busy_is_tried_again(self, server, posted, row, deliver_all, clock):
        server.replies["al@busy.example"] = "451 4.7.1 greylisted, try later"
        message = posted("al@busy.example")
        deliver_all()
        assert row(message).failed_at is None
        assert "greylisted" in row(message).last_error
        server.replies.clear()
        clock.move(row(message).due_at - clock.now())
        deliver_all()
        assert row(message).sent_at

    @pytest.mark.parametrize(("response", "fails"), [("554 5.7.1 spam", True), ("452 4.3.1 disk full", False)])
    def test_a_message_refused_after_it_was_read_fails_or_waits(
        self, server, posted, row, deliver_all, response, fails
    ):
        server.after_data = response
        message = posted()
        deliver_all()
        assert bool(row(message).failed_at) is fails
        assert row(message).sent_at is None

    def test_what_the_server_says_is_kept_as_a_line_that_any_database_and_terminal_can_have(
        self, server, posted, row, deliver_all
    ):
        server.replies["al@gone.example"] = "550 no\0 such \x1b[31muser"
        message = posted("al@gone.example")
        deliver_all()
        assert row(message).failed_at
        assert "550 no\ufffd such \ufffd[31muser" in row(message).last_error

    def test_a_connection_lost_half_way_loses_nothing(self, server, posted, row, deliver_all, clock):
        server.hangs_up_after = 1
        messages = [posted() for _ in range(3)]
        deliver_all()
        server.hangs_up_after = None
        waiting = [message for message in messages if not row(message).sent_at]
        assert waiting
        assert all(row(message).failed_at is None for message in waiting)
        clock.move(max(row(message).due_at for message in waiting) - clock.now())
        deliver_all()
        assert all(row(message).sent_at for message in messages)

    def test_a_server_that_is_not_there_keeps_every_letter(self, change_settings, posted, row, deliver_all):
        change_settings(mail={"channel": "smtp", "host": "127.0.0.1", "port": free_port(), "timeout": 2})
        messages = [posted() for _ in range(3)]
        deliver_all()
        for message in messages:
            assert "no connection to the mail server" in row(message).last_error
            assert row(message).failed_at is row(message).leased_until is None

    def test_a_server_that_never_responds_costs_one_timeout_and_not_one_a_letter(
        self, change_settings, posted, row, deliver_all
    ):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            change_settings(
                mail={"channel": "smtp", "host": "127.0.0.1", "port": silent.getsockname()[1], "timeout": 0.5}
            )
            messages = [posted() for _ in range(5)]
            deliver_all()
            silent.accept()[0].close()
            silent.setblocking(False)
            with pytest.raises(BlockingIOError):
                silent.accept()
        assert all(row(message).due_at > row(message).created_at for message in messages)

    def test_starttls_and_a_password(self, serving, certificate, change_settings, posted, deliver_all, monkeypatch):
        file, context = certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        server = serving(tls_context=context, require_starttls=True, authenticator=authenticated, auth_required=True)
        signed_in = {"username": "us", "password": secret(PASSWORD)}
        change_settings(
            mail={"channel": "smtp", "host": "localhost", "port": server.port, "security": "starttls", **signed_in}
        )
        posted()
        deliver_all()
        (mail,) = server.taken
        assert mail.encrypted
        assert mail.signed_in

    def test_tls_from_the_start(self, serving, certificate, change_settings, posted, deliver_all, monkeypatch):
        file, context = certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        server = serving(ssl_context=context)
        change_settings(mail={"channel": "smtp", "host": "localhost", "port": server.port, "security": "tls"})
        posted()
        deliver_all()
        assert len(server.taken) == 1

    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_a_certificate_no_one_vouches_for_gets_no_mail(
        self, serving, certificate, change_settings, posted, row, deliver_all, security
    ):
        _, context = certificate
        server = serving(**({"ssl_context": context} if security == "tls" else {"tls_context": context}))
        change_settings(mail={"channel": "smtp", "host": "localhost", "port": server.port, "security": security})
        message = posted()
        deliver_all()
        assert server.taken == []
        assert "certificate verify failed" in row(message).last_error.lower()

    def test_a_server_without_starttls_gets_no_mail_in_clear(self, server, change_settings, posted, row, deliver_all):
        change_settings(
            mail={"channel": "smtp", "host": "127.0.0.1", "port": server.port, "timeout": 60, "security": "starttls"}
        )
        message = posted()
        deliver_all()
        assert server.taken == []
        assert row(message).failed_at is None

    def test_a_wrong_password_waits_for_an_operator(
        self, serving, certificate, change_settings, posted, row, deliver_all
    ):
        server = serving(auth_require_tls=False, authenticator=authenticated)
        wrong = {"username": "us", "password": secret("wrong")}
        change_settings(mail={"channel": "smtp", "host": "127.0.0.1", "port": server.port, "timeout": 60, **wrong})
        message = posted()
        deliver_all()
        assert "535" in row(message).last_error
        assert row(message).failed_at is None


def secret(text):
    return SecretStr(text)


class TestMailbox:
    @pytest.fixture
    def box(self, scratch, change_settings):
        change_settings(
            mail={"channel": "mailbox"}, sms={"channel": "mailbox"}, outbox={"mailbox": scratch / "deep" / "mailbox"}
        )

        def letters():
            box = mailbox.Maildir(scratch / "deep" / "mailbox", create=False)
            return [message_from_bytes(box.get_bytes(key), policy=policy.default) for key in box.keys()]  # noqa: SIM118

        return letters

    def test_mails_are_left_as_they_would_have_been_sent(self, box, posted, deliver_all):
        sent = posted()
        deliver_all()
        (message,) = box()
        assert message["X-Channel"] is None
        assert message["Message-ID"] == f"<{sent}@localhost>"
        assert message["Subject"] == "Hello Jo"
        assert "https://us.example/v/x" in message.get_body(("plain",)).get_content()

    def test_text_messages_are_told_from_mails(self, box, posted, deliver_all):
        posted("+447700900123")
        deliver_all()
        (message,) = box()
        assert message["X-Channel"] == "sms"
        assert message["To"] == "+447700900123"
        assert message.get_content().strip() == "IDaaS: your code is 123456"


class TestConsole:
    def test_both_kinds_are_printed(self, change_settings, posted, deliver_all, capsys):
        change_settings(mail={"channel": "console"}, sms={"channel": "console"})
        posted()
        posted("+447700900123")
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
            change_settings(sms={"channel": "http", "gateway_url": url, "gateway_token": secret("a-token")})
            yield Gateway
            httpd.shutdown()
            thread.join()

    def test_it_is_handed_the_message_with_our_token(self, gateway, posted, row, deliver_all):
        sent = posted("+447700900123")
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
    def test_a_refusal_is_for_good_and_the_rest_is_tried_again(
        self, gateway, posted, row, deliver_all, response, fails
    ):
        gateway.response = response
        message = posted("+447700900123")
        deliver_all()
        assert bool(row(message).failed_at) is fails
        assert f"returned {response}" in row(message).last_error

    def test_a_gateway_that_is_not_there_keeps_every_message(self, change_settings, posted, row, deliver_all):
        change_settings(sms={"channel": "http", "gateway_url": f"http://127.0.0.1:{free_port()}/"})
        messages = [posted("+447700900123") for _ in range(3)]
        deliver_all()
        for message in messages:
            assert row(message).last_error == "the gateway does not respond"
            assert row(message).failed_at is None
