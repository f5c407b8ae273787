"""Messages are sent once, retried later, or given up; their rows record which."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event

from idp.foundation import clock as clocks
from idp.foundation.database import db
from idp.outbox import channels, deliver
from idp.outbox.models import Message
from idp.outbox.outgoing import PermanentFailure, ServerUnreachable, TemporaryFailure

pytestmark = pytest.mark.usefixtures("clock")  # it is stopped, and moved on by `clocks.move`


class FakeChannel:
    """A channel that raises the outcomes that a test sets, one for each message; without one it sends."""

    def __init__(self):
        self.sent, self.outcomes, self.opened = [], [], 0
        self.lock = threading.Lock()

    @contextmanager
    def open(self, kind, settings):
        self.opened += 1
        yield self.send

    def send(self, outgoing):
        with self.lock:
            outcome = self.outcomes.pop(0) if self.outcomes else None
            if outcome is not None:
                raise outcome
            self.sent.append(outgoing)


@pytest.fixture
def channel(monkeypatch):
    fake = FakeChannel()
    monkeypatch.setattr(channels, "open_channel", fake.open)
    return fake


def test_the_text_and_the_recipient_of_a_sent_message_are_deleted(queue_message, row, channel, deliver_all):
    sent = queue_message()
    assert deliver_all() == 1
    message_row = row(sent)
    assert message_row.sent_at == clocks.now()
    assert message_row.sealed is message_row.recipient is message_row.last_error is message_row.leased_until is None
    assert [outgoing.id for outgoing in channel.sent] == [sent]
    assert deliver_all() == 0
    assert len(channel.sent) == 1


def test_a_message_that_could_not_be_sent_is_sent_again_at_growing_intervals(queue_message, row, channel, deliver_all):
    message, waits = queue_message(), []
    for number in range(1, 10):
        channel.outcomes = [TemporaryFailure("busy")]
        assert deliver_all() == 1
        message_row = row(message)
        assert (message_row.attempts, message_row.last_error, message_row.failed_at, message_row.leased_until) == (
            number,
            "busy",
            None,
            None,
        )
        waits.append((message_row.due_at - clocks.now()).total_seconds())
        assert deliver_all() == 0
        clocks.move(message_row.due_at - clocks.now())
    for number, wait in enumerate(waits):
        longest = min(5 * 2**number, 600)
        assert longest / 2 <= wait <= longest
    deliver_all()
    assert row(message).sent_at


def test_the_intervals_between_retries_vary_so_that_not_all_are_due_at_once(queue_message, row, channel, deliver_all):
    messages = [queue_message() for _ in range(8)]
    channel.outcomes = [TemporaryFailure("busy")] * 8
    deliver_all()
    assert len({row(message).due_at for message in messages}) > 4


def test_a_message_that_could_not_be_sent_for_a_day_has_failed_and_stays_listed(
    queue_message, row, channel, deliver_all
):
    message = queue_message()
    while not (message_row := row(message)).failed_at:
        clocks.move(max(message_row.due_at - clocks.now(), timedelta()))
        channel.outcomes = [TemporaryFailure("busy")]
        assert deliver_all() == 1
    assert timedelta(hours=23) < message_row.failed_at - message_row.created_at <= timedelta(hours=24)
    assert message_row.last_error == "busy"
    assert deliver_all() == 0


def test_a_failed_message_that_is_retried_has_another_day(queue_message, row, channel, deliver_all, transaction):
    message = queue_message()
    channel.outcomes = [PermanentFailure("mailbox full")]
    deliver_all()
    assert row(message).failed_at
    clocks.move(timedelta(days=2))
    with transaction():
        deliver.retry(message)
    channel.outcomes = [TemporaryFailure("busy")]
    deliver_all()
    assert row(message).failed_at is None
    clocks.move(timedelta(minutes=1))
    deliver_all()
    assert row(message).sent_at


def test_a_message_that_did_not_fail_cannot_be_retried(queue_message, channel, deliver_all, transaction):
    waiting, sent = queue_message(), queue_message()
    for message in (waiting, sent, "msg_unknown"):
        with transaction(), pytest.raises(deliver.NoSuchFailure):
            deliver.retry(message)


def test_a_message_whose_link_expired_is_not_sent_and_its_text_is_deleted(
    queue_message, row, channel, deliver_all, transaction
):
    message = queue_message(expires=clocks.now() + timedelta(hours=1))
    clocks.move(timedelta(hours=1))
    assert deliver_all() == 0
    message_row = row(message)
    assert channel.sent == []
    assert message_row.failed_at
    assert message_row.last_error == "expired"
    assert message_row.sealed is message_row.recipient is None
    with transaction(), pytest.raises(deliver.MessageExpired):
        deliver.retry(message)


def test_a_message_that_fails_does_not_delay_the_others(queue_message, row, channel, deliver_all):
    before, failing, after = queue_message(), queue_message(), queue_message()
    outcomes = {before: None, failing: PermanentFailure("unknown user", code=550), after: None}
    channel.send = lambda outgoing: raise_outcome(outcomes[outgoing.id])
    deliver_all()
    assert row(before).sent_at
    assert row(after).sent_at
    assert row(failing).failed_at
    assert row(failing).last_error == "unknown user"


def raise_outcome(outcome):
    if outcome:
        raise outcome


def test_an_internal_error_for_one_message_does_not_delay_the_others(queue_message, row, channel, deliver_all):
    failing, good = queue_message(), queue_message()
    channel.send = lambda outgoing: raise_outcome(ZeroDivisionError("oops") if outgoing.id == failing else None)
    deliver_all()
    assert row(good).sent_at
    assert "ZeroDivisionError" in row(failing).last_error
    assert row(failing).due_at > clocks.now()


def test_a_round_stops_when_the_server_is_unreachable(queue_message, row, channel, deliver_all):
    messages = [queue_message() for _ in range(5)]
    channel.outcomes = [None, ServerUnreachable("connection lost")]
    deliver_all()
    assert len(channel.sent) == 1
    waiting = [row(message) for message in messages if not row(message).sent_at]
    assert len(waiting) == 4
    assert all(message.due_at > clocks.now() and message.leased_until is None for message in waiting)


def test_a_message_sealed_with_an_unknown_key_fails_and_the_others_are_sent(
    queue_message, row, channel, deliver_all, transaction
):
    lost, good = queue_message(), queue_message()
    with transaction() as session:
        message_row = session.get(Message, lost)
        message_row.sealed = "old." + message_row.sealed.partition(".")[2]
    deliver_all()
    assert "cannot be opened" in row(lost).last_error
    assert row(lost).failed_at
    assert row(good).sent_at


def test_messages_leased_by_a_worker_that_died_are_sent_after_the_lease(
    queue_message, row, channel, deliver_all, transaction
):
    message = queue_message()
    with transaction():
        assert [outgoing.id for outgoing in deliver._lease("email")] == [message]
    assert deliver_all() == 0
    clocks.move(deliver.LEASE + timedelta(seconds=1))
    assert deliver_all() == 1
    assert row(message).sent_at


def test_several_workers_send_each_message_once(queue_message, channel, transaction):
    messages = {queue_message() for _ in range(30)}
    ready = threading.Barrier(4)

    def deliver_until_empty():
        ready.wait(60)
        while deliver.run_once(transaction, "email"):
            pass

    workers = [threading.Thread(target=deliver_until_empty) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    ids = [outgoing.id for outgoing in channel.sent]
    assert sorted(ids) == sorted(messages)


def test_a_round_that_is_stopped_releases_messages_that_it_has_not_tried(queue_message, row, channel, transaction):
    messages = [queue_message() for _ in range(3)]
    deliver.run_once(transaction, "email", stopping=lambda: len(channel.sent) == 1)
    assert len(channel.sent) == 1
    unsent = [row(message) for message in messages if not row(message).sent_at]
    assert [(message.leased_until, message.attempts) for message in unsent] == [(None, 0)] * 2
    assert deliver.run_once(transaction, "email") == 2


def test_no_transaction_is_open_while_a_message_is_sent(queue_message, channel, transaction, app):
    queue_message()
    with app.app_context():
        engine = db.engine
    open_now: list[str] = []

    def count_begin(*_):
        open_now.append("transaction")

    def count_end(*_):
        open_now.pop()

    for name, listener in (("begin", count_begin), ("commit", count_end), ("rollback", count_end)):
        event.listen(engine, name, listener)
    channel.send = lambda outgoing: channel.sent.append(len(open_now))
    deliver.run_once(transaction, "email")
    for name, listener in (("begin", count_begin), ("commit", count_end), ("rollback", count_end)):
        event.remove(engine, name, listener)
    assert channel.sent == [0]


def test_mails_and_text_messages_are_delivered_in_separate_rounds(queue_message, channel, transaction):
    mail, text = queue_message(), queue_message("+447700900123")
    deliver.run_once(transaction, "sms")
    assert [outgoing.id for outgoing in channel.sent] == [text]
    deliver.run_once(transaction, "email")
    assert [outgoing.id for outgoing in channel.sent] == [text, mail]
