"""`idp outbox`, as an operator types it."""

import json

import pytest
from click.testing import CliRunner

from idp.outbox import deliver, receipts
from idp.outbox.channels.callback import Receipt
from idp.outbox.cli import commands


@pytest.fixture
def idp(app):
    """`idp("list")` runs `idp outbox list`; returns its result."""
    return lambda *arguments: CliRunner().invoke(commands, arguments, obj=lambda: app)


@pytest.fixture
def failed_message(server, queue_message, deliver_all):
    """The id of a mail to an address that does not exist."""
    server.replies["al@gone.example"] = "550 no such user"
    message = queue_message("al@gone.example")
    deliver_all()
    server.replies.clear()
    return message


def test_list_shows_failed_and_waiting_messages_without_their_text(idp, failed_message, queue_message):
    waiting = queue_message("+447700900123")
    output = idp("list").stdout
    assert failed_message in output
    assert "no such user" in output
    assert waiting in output
    assert "123456" not in output
    rows = json.loads(idp("list", "--failed", "--json").stdout)
    assert [row["id"] for row in rows] == [failed_message]


def test_list_says_when_every_message_has_been_sent(idp):
    assert idp("list").stdout == "Everything has been sent.\n"


def test_retry_sends_a_failed_message_again(idp, failed_message, server, transaction, row):
    assert idp("retry", failed_message).exit_code == 0
    deliver.run_once(transaction, "email")
    assert row(failed_message).sent_at
    assert [mail.to for mail in server.received] == [["al@gone.example"]]


def test_a_message_that_did_not_fail_cannot_be_retried(idp, failed_message, row):
    result = idp("retry", failed_message, "msg_unknown")
    assert result.exit_code == 1
    assert "no failed message" in result.stderr
    assert row(failed_message).failed_at


def test_texts_shows_whether_text_messages_were_delivered_without_numbers(idp, queue_message, transaction):
    arrived, lost = queue_message("+447700900123"), queue_message("+447700900124")
    with transaction():
        receipts.record(Receipt(arrived, "delivered"))
        receipts.record(Receipt(lost, "failed", "the telephone is off"))
    rows = {row["id"]: row for row in json.loads(idp("texts", "--json").stdout)}
    assert rows[arrived]["delivered_at"]
    assert rows[arrived]["failed_at"] is None
    assert rows[lost]["last_error"] == "not delivered: the telephone is off"
    assert lost in idp("list", "--failed").stdout
    assert "447700" not in idp("texts").stdout
    assert "expired or was deleted" in idp("retry", lost).stderr  # a new code has to be asked for


def test_texts_says_when_there_are_none(idp):
    assert idp("texts").stdout == "No text message has been posted.\n"
