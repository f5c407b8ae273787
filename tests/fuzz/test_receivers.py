"""With any response of a mail server, a gateway or a client, the worker continues, and each message is sent, failed, or
due again.
"""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from hypothesis import given, strategies as st
from pydantic import SecretStr

from idp.foundation import clock, runtime
from idp.foundation.ports import EventRequest
from idp.outbox import channels, deliver, post
from idp.outbox.channels import http_push, sms_http, smtp
from idp.outbox.models import Message
from tests.fuzz.profiles import fuzz_settings
from tests.fuzz.responses import recorded_log
from tests.fuzz.test_fetched_keys import HEADS
from tests.raw_server import raw_server

TOKEN = "a-token-of-the-gateway"
REPLIES = (
    b"220 hello\r\n",
    b"250 yes\r\n",
    b"250-SIZE 10\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN\r\n",
    b"354 go on\r\n",
    b"221 bye\r\n",
    b"421 go away\r\n",
    b"450 later\r\n",
    b"550 no\r\n",
    b"554 never\r\n",
    b"334 \xff\xff\r\n",
    b"235 in\r\n",
    b"535 out\r\n",
    b"000 x\r\n",
    b"550 \x00\x1b[31m\r\n",
    b"550-\xff\xfe\r\n550 \xed\xa0\x80\r\n",
    b"abc def\r\n",
    b"-1 x\r\n",
    b"\r\n",
    b"\x00\r\n",
    b"250\r\n",
    b"2",
    b"550 " + b"x" * 9000 + b"\r\n",
    b"250-" + b"x" * 400 + b"\r\n",
    "550 \u202e½\r\n".encode(),
    b"999 x\r\n",
    b"55\xb2 x\r\n",
)
any_replies = st.lists(st.sampled_from(REPLIES), max_size=8).map(b"".join)
valid_until_recipient = st.tuples(
    st.sampled_from(REPLIES[:1]),
    *[st.sampled_from(REPLIES[1:3])] * 3,
    st.sampled_from(REPLIES),
    st.sampled_from(REPLIES),
).map(b"".join)


@pytest.fixture(scope="module")
def server():
    with raw_server() as served:
        yield served


@pytest.fixture(scope="module")
def channels_to_server(session_app, server, settings):
    """The channels, each connected to a server with random responses."""
    port = urlsplit(server.url).port
    changed_settings = settings.model_copy(
        update={
            "mail": settings.mail.model_copy(
                update={"host": "127.0.0.1", "port": port, "security": "none", "timeout": 60}
            ),
            "sms": settings.sms.model_copy(update={"gateway_url": server.url, "gateway_token": SecretStr(TOKEN)}),
        }
    )
    senders = {"email": smtp.sender, "sms": sms_http.sender, "event": http_push.sender}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channels, "open_channel", lambda kind, _settings: senders[kind](changed_settings))
        requests = {"hello": lambda id_, url, _facts: EventRequest(url, f"x={id_}", "text/plain")}
        ports = replace(runtime.for_app(session_app).ports, event_requests=requests)
        patch.setitem(
            session_app.extensions, runtime.EXTENSION_NAME, replace(runtime.for_app(session_app), ports=ports)
        )
        yield


def _check_delivery(module_transaction, queue_message, kind):
    """Queue a message and deliver it: it was sent, has failed, or is due again. Then delete it."""
    with module_transaction():
        message = queue_message()
    with recorded_log() as log:
        assert deliver.run_once(module_transaction, kind) == 1
    log.check([TOKEN])
    with module_transaction() as session:
        message_row = session.get_one(Message, message)
        assert message_row.leased_until is None
        assert (message_row.last_error or "").isprintable()
        assert message_row.sent_at or message_row.failed_at or message_row.due_at > clock.now()
        session.delete(message_row)


@fuzz_settings()
@given(message=any_replies | valid_until_recipient)
def test_any_response_of_a_mail_server_is_handled(module_transaction, channels_to_server, server, message):
    server.response, server.speaks_first = message, True
    about = {"question": "Who are you?", "name": "Jo", "school": "Oak Hill", "estab_id": "3124567"}
    _check_delivery(
        module_transaction, lambda: post.email("school_question", to="office@oakhill.example", **about), "email"
    )


@fuzz_settings()
@given(message=st.sampled_from(HEADS), body=st.binary(max_size=60))
def test_any_response_of_an_sms_gateway_is_handled(module_transaction, channels_to_server, server, message, body):
    server.response, server.speaks_first = message + body, False
    expires = clock.now() + timedelta(minutes=10)
    _check_delivery(
        module_transaction, lambda: post.sms("mobile_code", to="+447700900123", expires=expires, code="123456"), "sms"
    )


@fuzz_settings()
@given(message=st.sampled_from(HEADS), body=st.binary(max_size=60))
def test_any_response_of_a_client_to_an_event_is_handled(module_transaction, channels_to_server, server, message, body):
    server.response, server.speaks_first = message + body, False
    _check_delivery(module_transaction, lambda: post.event("hello", to=server.url, client="client-1"), "event")
