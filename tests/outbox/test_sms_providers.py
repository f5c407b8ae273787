"""Text messages by Twilio, GOV.UK Notify and a gateway: real HTTP servers stand in for them, with their failures.

Receipts are sent as the provider would, over HTTP to our own address, twice, forged and out of order.
"""

import base64
import hashlib
import hmac
import json
import socket
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr

from idp.outbox import receipts
from idp.outbox.channels.callback import Receipt
from idp.outbox.models import Message
from tests.ports import free_port

NUMBER = "+447700900123"
TOKEN = "the auth token of the account"
SERVICE, KEY = "26785a09-ab16-4eb0-8407-a37497a57506", "3d844edf-8d35-48ac-975b-e847b4f122b0"
RECEIPT_TOKEN = "a bearer token of thirty-two characters"


@pytest.fixture
def provider():
    """An HTTP server that responds with `status` and `body`, waits `delay`, or hangs up; keeps the requests."""
    state = SimpleNamespace(requests=[], status=201, body=b"{}", hangs_up=False, waits=threading.Event(), slow=False)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append(SimpleNamespace(path=self.path, headers=self.headers, body=body))
            if state.slow:
                state.waits.wait(30)
            if state.hangs_up or state.slow:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{httpd.server_address[1]}"
        yield state
        state.waits.set()
        httpd.shutdown()
        thread.join()


@pytest.fixture
def twilio(provider, change_settings):
    provider.body = b'{"sid": "SM123", "status": "queued"}'
    change_settings(
        sms={"channel": "twilio", "gateway_url": provider.url, "account": "AC42", "gateway_token": SecretStr(TOKEN)}
    )
    return provider


@pytest.fixture
def notify(provider, change_settings):
    provider.body = b'{"id": "740e5834-3a29-46b4-9a6f-16142fde533a", "reference": null}'
    change_settings(
        sms={
            "channel": "notify", "gateway_url": provider.url, "template": "f33517ff-2a88", "sender": "",
            "gateway_token": SecretStr(f"our_key-{SERVICE}-{KEY}"), "receipt_token": SecretStr(RECEIPT_TOKEN),
        }
    )  # fmt: skip
    return provider


@pytest.fixture
def gateway(provider, change_settings):
    provider.body = b'{"id": "gateway-7"}'
    change_settings(sms={"channel": "http", "gateway_url": provider.url, "receipt_token": SecretStr(RECEIPT_TOKEN)})
    return provider


@pytest.fixture(params=["twilio", "notify", "gateway"])
def any_provider(request):
    return request.getfixturevalue(request.param)


class TestTwilio:
    def test_a_message_is_sent_to_twilio_as_a_form_with_basic_authentication(
        self, twilio, queue_message, row, deliver_all
    ):
        sent = queue_message(NUMBER)
        deliver_all()
        (request,) = twilio.requests
        assert request.path == "/2010-04-01/Accounts/AC42/Messages.json"
        assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")) == f"AC42:{TOKEN}".encode()
        assert parse_qs(request.body.decode()) == {
            "To": [NUMBER], "From": ["IDaaS"], "Body": ["IDaaS: your code is 123456"],
            "StatusCallback": [f"http://localhost:5000/receipts/sms/{sent}"],
        }  # fmt: skip
        assert (row(sent).provider_id, row(sent).last_error) == ("SM123", None)
        assert row(sent).sent_at
        assert row(sent).delivered_at is None

    def test_the_sender_may_be_a_messaging_service(self, twilio, queue_message, deliver_all, change_settings):
        change_settings(sms={"sender": "MG0123"})
        queue_message(NUMBER)
        deliver_all()
        form = parse_qs(twilio.requests[0].body.decode())
        assert form["MessagingServiceSid"] == ["MG0123"]
        assert "From" not in form

    @pytest.mark.parametrize(
        ("status", "code", "fails"),
        [(400, 21211, True), (400, 21614, True), (400, 21610, True), (400, 21606, False), (400, 21660, False),
         (401, 20003, False), (404, 20404, False), (429, 20429, False), (500, None, False), (503, None, False)],
    )  # fmt: skip
    def test_a_message_to_an_invalid_number_fails_and_after_other_errors_of_twilio_it_is_sent_again(
        self, twilio, queue_message, row, deliver_all, status, code, fails
    ):
        twilio.status, twilio.body = status, json.dumps({"code": code, "message": f"{NUMBER} is wrong"}).encode()
        message = queue_message(NUMBER)
        deliver_all()
        assert bool(row(message).failed_at) is fails
        assert f"Twilio returned {status}" in row(message).last_error
        assert NUMBER not in row(message).last_error
        assert (str(code) in row(message).last_error) is (code is not None)


class TestNotify:
    def test_a_message_is_sent_to_notify_by_the_template_with_a_new_token(
        self, notify, queue_message, row, deliver_all, clock
    ):
        sent = queue_message(NUMBER)
        deliver_all()
        (request,) = notify.requests
        token = jwt.decode(request.headers["Authorization"].removeprefix("Bearer "), OctKey.import_key(KEY))
        assert request.path == "/v2/notifications/sms"
        assert token.header == {"alg": "HS256", "typ": "JWT"}
        assert token.claims == {"iss": SERVICE, "iat": clock.timestamp()}
        assert json.loads(request.body) == {
            "phone_number": NUMBER, "template_id": "f33517ff-2a88", "reference": sent,
            "personalisation": {"message": "IDaaS: your code is 123456"},
        }  # fmt: skip
        assert row(sent).provider_id == "740e5834-3a29-46b4-9a6f-16142fde533a"

    def test_the_sender_of_notify_may_be_set(self, notify, queue_message, deliver_all, change_settings):
        change_settings(sms={"sender": "8e222534-7f05"})
        queue_message(NUMBER)
        deliver_all()
        assert json.loads(notify.requests[0].body)["sms_sender_id"] == "8e222534-7f05"

    @pytest.mark.parametrize(
        ("status", "error", "body", "fails"),
        [
            (400, "ValidationError", "phone_number Number is not valid \N{EN DASH} double check it", True),
            (400, "BadRequestError", "Can't send to this recipient using a team-only API key", False),
            (400, "BadRequestError", "Template not found", False),
            (403, "AuthError", "Error: Your system clock must be accurate to within 30 seconds", False),
            (429, "RateLimitError", "Exceeded rate limit", False),
            (500, "Exception", "Internal server error", False),
        ],
    )
    def test_a_message_to_an_invalid_number_fails_and_after_other_errors_of_notify_it_is_sent_again(
        self, notify, queue_message, row, deliver_all, status, error, body, fails
    ):
        response = {"status_code": status, "errors": [{"error": error, "message": body}]}
        notify.status, notify.body = status, json.dumps(response).encode()
        message = queue_message(NUMBER)
        deliver_all()
        assert bool(row(message).failed_at) is fails
        assert f"GOV.UK Notify returned {status} {error}" in row(message).last_error


class TestEveryProvider:
    def test_a_message_is_sent_again_after_the_provider_closed_the_connection(
        self, any_provider, queue_message, row, deliver_all, clock
    ):
        any_provider.hangs_up = True
        message = queue_message(NUMBER)
        deliver_all()
        assert row(message).failed_at is row(message).sent_at is None
        assert "does not respond" in row(message).last_error
        any_provider.hangs_up = False
        clock.move(row(message).due_at - clock.now())
        deliver_all()
        assert row(message).sent_at

    def test_a_round_ends_after_one_timeout_of_the_provider(
        self, any_provider, queue_message, row, deliver_all, change_settings
    ):
        change_settings(fetch={"timeout": 0.3})
        any_provider.slow = True
        messages = [queue_message(NUMBER) for _ in range(4)]
        deliver_all()
        assert len(any_provider.requests) == 1
        assert all(row(message).failed_at is None for message in messages)

    def test_messages_wait_while_the_provider_is_unreachable(
        self, any_provider, queue_message, row, deliver_all, change_settings
    ):
        change_settings(sms={"gateway_url": f"http://127.0.0.1:{free_port()}"})
        messages = [queue_message(NUMBER) for _ in range(3)]
        deliver_all()
        assert all("does not respond" in row(message).last_error for message in messages)
        assert all(row(message).failed_at is None for message in messages)

    @pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b'{"sid": 7, "id": []}', b"[" * 60_000])
    def test_a_response_that_cannot_be_read_still_counts_as_sent(
        self, any_provider, queue_message, row, deliver_all, body
    ):
        any_provider.body = body
        message = queue_message(NUMBER)
        deliver_all()
        assert row(message).sent_at
        assert row(message).provider_id is None


def signature(url, fields, token=TOKEN):
    """The signature of a request as Twilio makes it."""
    signed = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def send_twilio_receipt(web, message, status, error=None, **forged):
    """Send a receipt as Twilio does; returns our response."""
    path = f"/receipts/sms/{message}"
    fields = {"MessageSid": "SM123", "MessageStatus": status, "To": NUMBER} | ({"ErrorCode": error} if error else {})
    signed = forged.get("signature", signature(f"http://localhost:5000{path}", fields))
    return web.post(path, data=fields | forged.get("fields", {}), headers={"X-Twilio-Signature": signed})


def send_notify_receipt(web, message, status, **forged):
    """Send a receipt as GOV.UK Notify does; returns our response."""
    sent = {"id": "740e5834", "reference": message, "to": NUMBER, "status": status, "notification_type": "sms"}
    token = forged.get("token", RECEIPT_TOKEN)
    return web.post("/receipts/sms", json=sent, headers={"Authorization": f"Bearer {token}"})


def send_gateway_receipt(web, message, status, error="handset is off", **forged):
    """Send a receipt as a gateway does; returns our response."""
    token = forged.get("token", RECEIPT_TOKEN)
    sent = {"id": message, "status": status, "error": error}
    return web.post("/receipts/sms", json=sent, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(
    params=[
        ("twilio", send_twilio_receipt, "delivered", "undelivered", "Twilio's error"),
        ("notify", send_notify_receipt, "delivered", "permanent-failure", "GOV.UK Notify: permanent-failure"),
        ("gateway", send_gateway_receipt, "delivered", "failed", "the gateway: handset is off"),
    ],
    ids=["twilio", "notify", "gateway"],
)
def receipt(request, web, queue_message, deliver_all):
    """A message that the provider accepted, and a function that sends its receipt."""
    name, send, delivered, failed, reason = request.param
    request.getfixturevalue(name)
    message = queue_message(NUMBER)
    deliver_all()
    return SimpleNamespace(
        message=message, delivered=lambda: send(web, message, delivered), failed=lambda: send(web, message, failed),
        send=lambda *args, **options: send(web, *args, **options), reason=reason, statuses=(delivered, failed),
    )  # fmt: skip


class TestReceipts:
    def test_a_receipt_of_a_delivery_is_recorded(self, receipt, row, clock):
        clock.move(timedelta(seconds=9))
        assert receipt.delivered().status_code == 204
        assert row(receipt.message).delivered_at == clock.now()
        assert row(receipt.message).failed_at is None

    def test_a_receipt_of_a_failure_is_recorded_with_the_reason(self, receipt, row, clock):
        assert receipt.failed().status_code == 204
        assert row(receipt.message).failed_at == clock.now()
        assert row(receipt.message).sent_at
        assert row(receipt.message).last_error.startswith(f"not delivered: {receipt.reason}")

    def test_a_second_receipt_of_a_delivery_changes_nothing(self, receipt, row, clock):
        receipt.delivered()
        recorded_at = row(receipt.message).delivered_at
        clock.move(timedelta(hours=1))
        assert receipt.delivered().status_code == 204
        assert row(receipt.message).delivered_at == recorded_at

    def test_a_second_receipt_of_a_failure_changes_nothing(self, receipt, row, clock):
        receipt.failed()
        recorded_at = row(receipt.message).failed_at
        clock.move(timedelta(hours=1))
        assert receipt.failed().status_code == 204
        assert row(receipt.message).failed_at == recorded_at

    @pytest.mark.parametrize("order", [("delivered", "failed"), ("failed", "delivered")])
    def test_a_receipt_of_a_delivery_overrides_one_of_a_failure_in_either_order(self, receipt, row, order):
        for kind in order:
            getattr(receipt, kind)()
        assert row(receipt.message).delivered_at
        assert row(receipt.message).failed_at is row(receipt.message).last_error is None

    @pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent"])
    def test_an_intermediate_status_of_twilio_changes_nothing(
        self, twilio, web, queue_message, deliver_all, row, status
    ):
        message = queue_message(NUMBER)
        deliver_all()
        assert send_twilio_receipt(web, message, status).status_code == 204
        assert row(message).delivered_at is row(message).failed_at is None

    @pytest.mark.parametrize("status", ["created", "sending", "pending"])
    def test_an_intermediate_status_of_notify_changes_nothing(
        self, notify, web, queue_message, deliver_all, row, status
    ):
        message = queue_message(NUMBER)
        deliver_all()
        assert send_notify_receipt(web, message, status).status_code == 204
        assert row(message).delivered_at is row(message).failed_at is None

    def test_a_receipt_for_an_unknown_message_gets_the_same_response(self, receipt, row):
        assert receipt.send("msg_unknown", receipt.statuses[0]).status_code == 204
        assert receipt.send("x" * 500, receipt.statuses[0]).status_code == 204

    def test_a_receipt_with_an_unknown_status_is_refused(self, receipt, row):
        assert receipt.send(receipt.message, "teleported").status_code == 400
        assert row(receipt.message).delivered_at is None

    def test_a_receipt_for_a_mail_changes_nothing(self, receipt, queue_message, row):
        mail = queue_message("jo@oakhill.example")
        assert receipt.send(mail, receipt.statuses[1]).status_code == 204
        assert row(mail).failed_at is None

    def test_a_receipt_before_the_worker_has_stored_the_response_records_the_sending(self, receipt, row, transaction):
        """The receipt arrives before the worker has stored the response: the worker then finds it recorded."""
        with transaction() as session:
            message = session.get(Message, receipt.message)
            message.sent_at = None
        receipt.delivered()
        assert row(receipt.message).sent_at
        assert row(receipt.message).delivered_at
        assert row(receipt.message).leased_until is row(receipt.message).sealed is None


class TestForgeries:
    @pytest.mark.parametrize(
        "token", ["", "wrong", RECEIPT_TOKEN + "x", RECEIPT_TOKEN.upper(), "\N{SNOWMAN}".encode().decode("latin-1")]
    )
    @pytest.mark.parametrize("send", [send_notify_receipt, send_gateway_receipt])
    def test_a_receipt_without_the_token_is_refused(self, request, web, queue_message, deliver_all, row, send, token):
        request.getfixturevalue("notify" if send is send_notify_receipt else "gateway")
        message = queue_message(NUMBER)
        deliver_all()
        assert send(web, message, "delivered", token=token).status_code == 401
        assert row(message).delivered_at is None

    @pytest.mark.parametrize("send", [send_notify_receipt, send_gateway_receipt])
    def test_receipts_are_refused_while_no_token_is_set(
        self, request, web, queue_message, deliver_all, send, change_settings
    ):
        request.getfixturevalue("notify" if send is send_notify_receipt else "gateway")
        change_settings(sms={"receipt_token": SecretStr("")})
        message = queue_message(NUMBER)
        deliver_all()
        for token in ("", "Bearer"):
            assert send(web, message, "delivered", token=token).status_code == 401
        assert web.post("/receipts/sms", json={"id": message, "status": "delivered"}).status_code == 401

    def test_a_receipt_that_twilio_did_not_sign_is_refused(self, twilio, web, queue_message, deliver_all, row):
        message, other = queue_message(NUMBER), queue_message(NUMBER)
        deliver_all()
        fields = {"MessageSid": "SM123", "MessageStatus": "delivered", "To": NUMBER}
        other_signature = signature(f"http://localhost:5000/receipts/sms/{other}", fields)
        other_key = signature(f"http://localhost:5000/receipts/sms/{message}", fields, token="guessed")
        for forged in ("", "AAAA", other_signature, other_key):
            assert send_twilio_receipt(web, message, "delivered", signature=forged).status_code == 401
        changed = send_twilio_receipt(web, message, "undelivered", fields={"MessageStatus": "delivered"})
        added = send_twilio_receipt(web, message, "delivered", fields={"More": "x"})
        assert {changed.status_code, added.status_code} == {401}
        assert row(message).delivered_at is None

    def test_the_signature_of_twilio_is_checked_for_the_url_of_the_settings(
        self, twilio, web, queue_message, deliver_all
    ):
        message = queue_message(NUMBER)
        deliver_all()
        fields = {"MessageSid": "SM123", "MessageStatus": "delivered", "To": NUMBER}
        forged = signature(f"http://evil.example/receipts/sms/{message}", fields)
        headers = {"X-Twilio-Signature": forged, "X-Forwarded-Host": "evil.example"}
        assert web.post(f"/receipts/sms/{message}", data=fields, headers=headers).status_code == 401

    def test_a_receipt_that_is_too_large_is_refused(self, notify, web):
        response = web.post("/receipts/sms", data=b"x" * 20_000, headers={"Authorization": f"Bearer {RECEIPT_TOKEN}"})
        assert response.status_code == 413

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"[" * 15_000, b"{}", b'{"reference": 7, "status": "delivered"}', b"\xff"]
    )
    def test_an_invalid_receipt_is_refused(self, notify, web, body):
        headers = {"Authorization": f"Bearer {RECEIPT_TOKEN}", "Content-Type": "application/json"}
        assert web.post("/receipts/sms", data=body, headers=headers).status_code == 400

    def test_a_channel_without_receipts_has_no_url_for_them(self, web, change_settings):
        for channel in ("console", "mailbox"):
            change_settings(sms={"channel": channel, "receipt_token": SecretStr(RECEIPT_TOKEN)})
            assert send_gateway_receipt(web, "msg_x", "delivered").status_code == 404


def test_of_eight_receipts_at_once_one_is_recorded(queue_message, row, run_concurrently, twilio, deliver_all):
    message = queue_message(NUMBER)
    deliver_all()
    outcomes = run_concurrently(8, lambda: receipts.record(Receipt(message, "delivered")))
    assert sorted(outcomes) == [False] * 7 + [True]
