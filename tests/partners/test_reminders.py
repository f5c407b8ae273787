"""Partners are told once that a former secret or an initial access token expires soon."""

from datetime import timedelta

import pytest

from idp import worker
from idp.foundation import clock as clocks
from idp.partners import initial_tokens, registry, reminders
from tests.factories import a_client, a_partner

DAY, WEEK = timedelta(days=1), timedelta(days=7)


def send_reminders(transaction, outbox, name):
    """Send the reminders that are due; returns all mails of this name."""
    worker.remind_of_expiry(transaction)
    return outbox.all(name)


@pytest.fixture
def client(transaction, clock):
    """The id of a client that was given a new secret; the former one works for a week."""
    with transaction():
        client = a_client()
        registry.rotate_secret(client.id, overlap=WEEK, by="cli")
        return client.id


def a_token(*, lasts=WEEK):
    allowed = {"scopes": {"required": ["openid"]}, "most": 2}
    return initial_tokens.issue(a_partner(name="Assembly").name, allowed, lasts=lasts, by="cli")[0].id


def test_a_reminder_of_a_former_secret_is_sent_once_two_days_before_its_end(transaction, client, clock, outbox):
    clock.move(5 * DAY - timedelta(seconds=1))
    assert send_reminders(transaction, outbox, "client_secret_expires") == []
    clock.move(timedelta(seconds=1))
    [mail] = send_reminders(transaction, outbox, "client_secret_expires")
    assert mail.to == "developers@assembly.example"
    assert f"({client}), made on 2 March 2026, works until 9 March 2026 at 09:30" in mail.text
    assert send_reminders(transaction, outbox, "client_secret_expires") == [mail]


def test_another_reminder_is_sent_if_a_secret_ends_sooner_than_the_first_said(transaction, client, clock, outbox):
    clock.move(5 * DAY)
    assert len(send_reminders(transaction, outbox, "client_secret_expires")) == 1
    with transaction():
        registry.rotate_secret(client, overlap=DAY, by="cli")
    texts = [mail.text for mail in send_reminders(transaction, outbox, "client_secret_expires")]
    assert [text.count("until 8 March 2026 at 09:30") for text in texts].count(1) == 2  # of both former secrets


@pytest.mark.parametrize("end", ["over", "disabled", "partner disabled", "keys"])
def test_no_reminder_is_sent_of_a_secret_that_no_longer_works(transaction, client, clock, outbox, end):
    with transaction():
        row = registry.find(client)
        if end == "disabled":
            registry.disable(client, by="cli")
        elif end == "partner disabled":
            row.partner.disabled_at = clocks.now()
        elif end == "keys":
            row.token_endpoint_auth_method = "private_key_jwt"
    clock.move(WEEK if end == "over" else 6 * DAY)
    assert send_reminders(transaction, outbox, "client_secret_expires") == []


def test_a_reminder_of_an_initial_token_is_sent_once_two_days_before_its_end(transaction, clock, outbox):
    with transaction():
        token = a_token()
    clock.move(5 * DAY - timedelta(seconds=1))
    assert send_reminders(transaction, outbox, "initial_token_expires") == []
    clock.move(timedelta(seconds=1))
    [mail] = send_reminders(transaction, outbox, "initial_token_expires")
    assert mail.to == "developers@assembly.example"
    assert f"{token} of Assembly can be used until 9 March 2026 at 09:30. 2 clients" in mail.text
    assert send_reminders(transaction, outbox, "initial_token_expires") == [mail]


def test_the_reminder_of_a_token_that_lasts_a_day_is_sent_after_half_a_day(transaction, clock, outbox):
    with transaction():
        a_token(lasts=DAY)
    clock.move(timedelta(hours=11))
    assert send_reminders(transaction, outbox, "initial_token_expires") == []
    clock.move(timedelta(hours=1))
    assert len(send_reminders(transaction, outbox, "initial_token_expires")) == 1


@pytest.mark.parametrize("end", ["revoked", "used up", "over", "partner disabled"])
def test_no_reminder_is_sent_of_a_token_that_no_longer_works(transaction, clock, outbox, end):
    with transaction():
        token = a_token()
        if end == "revoked":
            initial_tokens.revoke(token, by="cli")
        elif end == "used up":
            assert initial_tokens.claim(token)
            assert initial_tokens.claim(token)
        elif end == "partner disabled":
            initial_tokens.all_tokens()[0].partner.disabled_at = clocks.now()
    clock.move(WEEK if end == "over" else 6 * DAY)
    assert send_reminders(transaction, outbox, "initial_token_expires") == []


def test_of_two_workers_one_sends_the_reminder(transaction, client, clock, outbox, run_overlapping):
    with transaction():
        a_token()
    clock.move(6 * DAY)
    assert run_overlapping(reminders.remind_due, reminders.remind_due) is None
    assert len(outbox.all("client_secret_expires")) == len(outbox.all("initial_token_expires")) == 1
