"""Expired rows are deleted in batches, the oldest first."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from idp.foundation import clock as clocks
from idp.jobs import cleaning
from idp.jobs.models import Heartbeat
from idp.oidc.models import UsedJti
from idp.signin.models import SessionClient

pytestmark = pytest.mark.usefixtures("clock")


def rows_left(session, model):
    return session.scalar(select(func.count()).select_from(model))


def test_a_batch_deletes_the_oldest_rows_and_returns_their_number(transaction, monkeypatch):
    monkeypatch.setattr(cleaning, "BATCH_SIZE", 10)
    now = clocks.now()
    with transaction() as session:
        for age in range(25):
            session.add(UsedJti(digest=bytes([age]), expires_at=now - timedelta(hours=age)))
    with transaction() as session:
        assert cleaning.delete_before(UsedJti.expires_at, now) == 10
        assert set(session.scalars(select(UsedJti.digest))) == {bytes([age]) for age in range(15)}
        assert cleaning.delete_before(UsedJti.expires_at, now) == 10
        assert cleaning.delete_before(UsedJti.expires_at, now) == 4
        assert session.scalars(select(UsedJti.digest)).all() == [bytes([0])]  # it expires at this very moment


def test_only_rows_that_meet_the_conditions_are_deleted(transaction):
    long_ago = clocks.now() - timedelta(days=9)
    with transaction() as session:
        for worker in ("one", "two"):
            session.add(Heartbeat(worker=worker, started_at=long_ago, beat_at=long_ago))
    with transaction() as session:
        assert cleaning.delete_before(Heartbeat.beat_at, clocks.now(), Heartbeat.worker == "one") == 1
        assert session.scalars(select(Heartbeat.worker)).all() == ["two"]


def test_a_table_with_a_composite_key_is_cleaned(transaction):
    now = clocks.now()
    with transaction() as session:
        for client in ("one", "two"):
            session.add(
                SessionClient(sid="s", session="s", client_id=client, since=now - timedelta(days=client == "one"))
            )
    with transaction() as session:
        assert cleaning.delete_before(SessionClient.since, now) == 1
        assert rows_left(session, SessionClient) == 1
