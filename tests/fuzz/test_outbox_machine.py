"""The outbox, with any order of queueing, delivering, failing, waiting and retrying: a message is sent at most once."""

import contextlib
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from idp.foundation import clock
from idp.foundation.errors import Refusal
from idp.outbox import channels, deliver, post
from idp.outbox.models import Message
from idp.outbox.outgoing import PermanentFailure, ServerUnreachable, TemporaryFailure
from tests.fuzz.profiles import fuzz_settings

OUTCOMES = (
    None,
    None,
    None,
    TemporaryFailure("busy"),
    PermanentFailure("no such number"),
    ServerUnreachable("no answer"),
    OSError("ours"),
)


class Outbox(RuleBasedStateMachine):
    """Messages, and a channel whose next outcome the preceding rule has set."""

    transaction: Any = None

    def __init__(self):
        super().__init__()
        self.outcomes, self.sent, self.expires = [], [], {}

    @contextlib.contextmanager
    def _open(self, _kind, _settings):
        yield self._send

    def _send(self, mail):
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        if (message := mail.id) in self.expires:
            assert self.expires[message] is None or clock.now() < self.expires[message], "sent after it had expired"
            self.sent.append(message)

    @rule(minutes=st.sampled_from([None, 0, 5, 600]))
    def write(self, minutes):
        expires = None if minutes is None else clock.now() + timedelta(minutes=minutes)
        with self.transaction():
            self.expires[post.sms("mobile_code", to="+447700900123", expires=expires, code="123456")] = expires

    @rule()
    def queue_and_roll_back(self):
        with contextlib.suppress(ZeroDivisionError), self.transaction():
            post.sms("mobile_code", to="+447700900123", code="123456")
            raise ZeroDivisionError

    @rule(outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=4))
    def deliver(self, outcomes):
        self.outcomes = outcomes
        deliver.run_once(self.transaction, "sms")

    @rule(seconds=st.sampled_from([1, 10, 400, 700, 40_000, 200_000]))
    def wait(self, seconds):
        clock.move(timedelta(seconds=seconds))

    @precondition(lambda self: self.expires)
    @rule(data=st.data())
    def retry(self, data):
        message = data.draw(st.sampled_from(sorted(self.expires)))
        try:
            with self.transaction():
                deliver.retry(message)
        except Refusal:
            with self.transaction() as session:
                message_row = session.get_one(Message, message)
                assert (
                    message_row.failed_at is None or message_row.sealed is None or message_row.expires_at <= clock.now()
                )

    @invariant()
    def each_is_sent_once_and_wiped(self):
        assert len(set(self.sent)) == len(self.sent)
        with self.transaction() as session:
            rows = {row.id: row for row in session.query(Message).filter(Message.id.in_(self.expires))}
        assert rows.keys() == self.expires.keys()
        for name, row in rows.items():
            assert (row.sent_at is not None) == (name in self.sent)
            assert row.sent_at is None or (row.sealed is row.recipient is row.failed_at is None)
            assert row.failed_at is None or row.sent_at is None

    def teardown(self):
        self.outcomes = []
        for _ in range(3):
            clock.move(timedelta(minutes=20))
            while deliver.run_once(self.transaction, "sms"):
                pass
        with self.transaction() as session:
            waiting = session.query(Message).filter(Message.sent_at.is_(None), Message.failed_at.is_(None)).count()
        assert waiting == 0, "a message was neither sent nor given up"


def test_each_message_is_sent_at_most_once(module_transaction, monkeypatch):
    class Machine(Outbox):
        transaction = staticmethod(module_transaction)

        def __init__(self):
            super().__init__()
            monkeypatch.setattr(channels, "open_channel", self._open)

    run_state_machine_as_test(Machine, settings=fuzz_settings())
