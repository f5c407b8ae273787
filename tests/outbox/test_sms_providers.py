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
    def test_a_message_is_a_form_with_our_name_and_the_account_by_basic(self, twilio, queue_message, row, deliver_all):
        sent = queue_message(NUMBER)
        deliver_all()
        (requests,) = twilio.requests
        assert requests.path == "/2010-04-01/Accounts/AC42/Messages.json"
        assert base64.b64decode(requests.headers["Authorization"].removeprefix("Basic ")) == f"AC42:{TOKEN}".encode()
        assert parse_qs(requests.body.decode()) == {
            "To": [NUMBER], "From": ["IDaaS"], "Body": ["IDaaS: your code is 123456"],
            "StatusCallback": [f"http://localhost:5000/receipts/sms/{sent}"],
        }  # fmt: skip
        assert (row(sent).provider_id, row(sent).last_error) == ("SM123", None)
        assert row(sent).sent_at
        assert row(sent).delivered_at is None

    def test_a_messaging_service_may_be_the_sender(self, twilio, queue_message, deliver_all, change_settings):
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
    def test_a_bad_number_is_final_and_what_we_or_twilio_can_mend_is_tried_again(
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
    def test_a_message_goes_through_one_template_with_a_token_of_this_moment(
        self, notify, queue_message, row, deliver_all, clock
    ):
        sent = queue_message(NUMBER)
        deliver_all()
        (requests,) = notify.requests
        token = jwt.decode(requests.headers["Authorization"].removeprefix("Bearer "), OctKey.import_key(KEY))
        assert requests.path == "/v2/notifications/sms"
        assert token.header == {"alg": "HS256", "typ": "JWT"}
        assert token.claims == {"iss": SERVICE, "iat": clock.timestamp()}
        assert json.loads(requests.body) == {
            "phone_number": NUMBER, "template_id": "f33517ff-2a88", "reference": sent,
            "personalisation": {"message": "IDaaS: your code is 123456"},
        }  # fmt: skip
        assert row(sent).provider_id == "740e5834-3a29-46b4-9a6f-16142fde533a"

    def test_a_sender_may_be_chosen(self, notify, queue_message, deliver_all, change_settings):
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
    def test_a_bad_number_is_final_and_the_rest_is_tried_again(
        self, notify, queue_message, row, deliver_all, status, error, body, fails
    ):
        response = {"status_code": status, "errors": [{"error": error, "message": body}]}
        notify.status, notify.body = status, json.dumps(response).encode()
        message = queue_message(NUMBER)
        deliver_all()
        assert bool(row(message).failed_at) is fails
        assert f"GOV.UK Notify returned {status} {error}" in row(message).last_error


class TestEveryProvider:
    def test_a_connection_that_is_cut_loses_nothing(self, any_provider, queue_message, row, deliver_all, clock):
        any_provider.hangs_up = True
        message = queue_message(NUMBER)
        deliver_all()
        assert row(message).failed_at is row(message).sent_at is None
        assert "does not respond" in row(message).last_error
        any_provider.hangs_up = False
        clock.move(row(message).due_at - clock.now())
        deliver_all()
        assert row(message).sent_at

    def test_one_that_hangs_costs_one_timeout_and_not_one_a_message(
        self, any_provider, queue_message, row, deliver_all, change_settings
    ):
        change_settings(fetch={"timeout": 0.3})
        any_provider.slow = True
        messages = [queue_message(NUMBER) for _ in range(4)]
        deliver_all()
        assert len(any_provider.requests) == 1
        assert all(row(message).failed_at is None for message in messages)

    def test_one_that_is_away_keeps_every_message(self, any_provider, queue_message, row, deliver_all, change_settings):
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


def by_twilio(web, message, status, error=None, **forged):
    path = f"/receipts/sms/{message}"
    fields = {"MessageSid": "SM123", "MessageStatus": status, "To": NUMBER} | ({"ErrorCode": error} if error else {})
    signed = forged.get("signature", signature(f"http://localhost:5000{path}", fields))
    return web.post(path, data=fields | forged.get("fields", {}), headers={"X-Twilio-Signature": signed})


def by_notify(web, message, status, **forged):
    sent = {"id": "740e5834", "reference": message, "to": NUMBER, "status": status, "notification_type": "sms"}
    token = forged.get("token", RECEIPT_TOKEN)
    return web.post("/receipts/sms", json=sent, headers={"Authorization": f"Bearer {token}"})


def by_gateway(web, message, status, error="handset is off", **forged):
    token = forged.get("token", RECEIPT_TOKEN)
    sent = {"id": message, "status": status, "error": error}
    return web.post("/receipts/sms", json=sent, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(
    params=[
        ("twilio", by_twilio, "delivered", "undelivered", "Twilio's error"),
        ("notify", by_notify, "delivered", "permanent-failure", "GOV.UK Notify: permanent-failure"),
        ("gateway", by_gateway, "delivered", "failed", "the gateway: handset is off"),
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
        send=lambda *args, **options: send(web, *args, **options), why=reason, words=(delivered, failed),
    )  # fmt: skip


class TestReceipts:
    def test_it_is_known_when_a_message_has_reached_the_telephone(self, receipt, row, clock):
        clock.move(timedelta(seconds=9))
        assert receipt.delivered().status_code == 204
        assert row(receipt.message).delivered_at == clock.now()
        assert row(receipt.message).failed_at is None

    def test_it_is_known_when_it_has_not_and_why(self, receipt, row, clock):
        assert receipt.failed().status_code == 204
        assert row(receipt.message).failed_at == clock.now()
        assert row(receipt.message).sent_at
        assert row(receipt.message).last_error.startswith(f"not delivered: {receipt.why}")

    def test_a_receipt_that_comes_twice_changes_nothing(self, receipt, row, clock):
        receipt.delivered()
        then = row(receipt.message).delivered_at
        clock.move(timedelta(hours=1))
        assert receipt.delivered().status_code == 204
        assert row(receipt.message).delivered_at == then

    def test_a_failure_that_is_reported_twice_keeps_its_time(self, receipt, row, clock):
        receipt.failed()
        then = row(receipt.message).failed_at
        clock.move(timedelta(hours=1))
        assert receipt.failed().status_code == 204
        assert row(receipt.message).failed_at == then

    @pytest.mark.parametrize("order", [("delivered", "failed"), ("failed", "delivered")])
    def test_delivered_is_final_in_whichever_order_they_come(self, receipt, row, order):
        for kind in order:
            getattr(receipt, kind)()
        assert row(receipt.message).delivered_at
        assert row(receipt.message).failed_at is row(receipt.message).last_error is None

    @pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent"])
    def test_one_that_is_on_its_way_with_twilio_is_neither(self, twilio, web, queue_message, deliver_all, row, status):
        message = queue_message(NUMBER)
        deliver_all()
        assert by_twilio(web, message, status).status_code == 204
        assert row(message).delivered_at is row(message).failed_at is None

    @pytest.mark.parametrize("status", ["created", "sending", "pending"])
    def test_one_that_is_on_its_way_with_notify_is_neither(self, notify, web, queue_message, deliver_all, row, status):
        message = queue_message(NUMBER)
        deliver_all()
        assert by_notify(web, message, status).status_code == 204
        assert row(message).delivered_at is row(message).failed_at is None

    def test_a_message_that_is_not_ours_gets_the_same_response(self, receipt, row):
        assert receipt.send("msg_unknown", receipt.words[0]).status_code == 204
        assert receipt.send("x" * 500, receipt.words[0]).status_code == 204

    def test_a_status_that_is_not_known_is_refused(self, receipt, row):
        assert receipt.send(receipt.message, "teleported").status_code == 400
        assert row(receipt.message).delivered_at is None

    def test_one_for_a_mail_changes_nothing(self, receipt, queue_message, row):
        mail = queue_message("jo@oakhill.example")
        assert receipt.send(mail, receipt.words[1]).status_code == 204
        assert row(mail).failed_at is None

    def test_one_that_comes_before_the_worker_has_recorded_the_sending(self, receipt, row, transaction):
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
    @pytest.mark.parametrize("send", [by_notify, by_gateway])
    def test_a_receipt_without_the_token_is_refused(self, request, web, queue_message, deliver_all, row, send, token):
        request.getfixturevalue("notify" if send is by_notify else "gateway")
        message = queue_message(NUMBER)
        deliver_all()
        assert send(web, message, "delivered", token=token).status_code == 401
        assert row(message).delivered_at is None

    @pytest.mark.parametrize("send", [by_notify, by_gateway])
    def test_without_a_token_in_the_settings_none_is_taken(
        self, request, web, queue_message, deliver_all, send, change_settings
    ):
        request.getfixturevalue("notify" if send is by_notify else "gateway")
        change_settings(sms={"receipt_token": SecretStr("")})
        message = queue_message(NUMBER)
        deliver_all()
        for token in ("", "Bearer"):
            assert send(web, message, "delivered", token=token).status_code == 401
        assert web.post("/receipts/sms", json={"id": message, "status": "delivered"}).status_code == 401

    def test_one_that_twilio_did_not_sign_is_refused(self, twilio, web, queue_message, deliver_all, row):
        message, other = queue_message(NUMBER), queue_message(NUMBER)
        deliver_all()
        fields = {"MessageSid": "SM123", "MessageStatus": "delivered", "To": NUMBER}
        other_signature = signature(f"http://localhost:5000/receipts/sms/{other}", fields)
        by_wrong_key = signature(f"http://localhost:5000/receipts/sms/{message}", fields, token="guessed")
        for forged in ("", "AAAA", other_signature, by_wrong_key):
            assert by_twilio(web, message, "delivered", signature=forged).status_code == 401
        changed = by_twilio(web, message, "undelivered", fields={"MessageStatus": "delivered"})
        added = by_twilio(web, message, "delivered", fields={"More": "x"})
        assert {changed.status_code, added.status_code} == {401}
        assert row(message).delivered_at is None

    def test_the_url_that_is_signed_is_the_settings_and_not_the_requests(self, twilio, web, queue_message, deliver_all):
        message = queue_message(NUMBER)
        deliver_all()
        fields = {"MessageSid": "SM123", "MessageStatus": "delivered", "To": NUMBER}
        evil = signature(f"http://evil.example/receipts/sms/{message}", fields)
        headers = {"X-Twilio-Signature": evil, "X-Forwarded-Host": "evil.example"}
        assert web.post(f"/receipts/sms/{message}", data=fields, headers=headers).status_code == 401

    def test_it_is_not_read_when_it_is_large(self, notify, web):
        response = web.post("/receipts/sms", data=b"x" * 20_000, headers={"Authorization": f"Bearer {RECEIPT_TOKEN}"})
        assert response.status_code == 413

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"[" * 15_000, b"{}", b'{"reference": 7, "status": "delivered"}', b"\xff"]
    )
    def test_what_cannot_be_read_is_refused(self, notify, web, body):
        headers = {"Authorization": f"Bearer {RECEIPT_TOKEN}", "Content-Type": "application/json"}
        assert web.post("/receipts/sms", data=body, headers=headers).status_code == 400

    def test_a_channel_without_receipts_has_no_such_url(self, web, change_settings):
        for channel in ("console", "mailbox"):
            change_settings(sms={"channel": channel, "receipt_token": SecretStr(RECEIPT_TOKEN)})
            assert by_gateway(web, "msg_x", "delivered").status_code == 404


def test_receipts_at_once_are_one(queue_message, row, run_concurrently, twilio, deliver_all):
    message = queue_message(NUMBER)
    deliver_all()
    outcomes = run_concurrently(8, lambda: receipts.record(Receipt(message, "delivered")))
    assert sorted(outcomes) == [False] * 7 + [True]
