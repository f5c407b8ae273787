"""Entries are written in the transaction of the action that they record, and never change."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from idp.audit import chain, events, log, queries
from idp.audit.models import Details, Entry
from idp.foundation import clock as clocks


def entries(session, event):
    return session.scalars(select(Entry).where(Entry.event == event).order_by(Entry.id)).all()


def test_an_entry_has_the_event_the_moment_the_actor_and_the_objects(transaction, clock):
    with transaction() as session:
        log.record(
            events.SHARING_GIVEN,
            by="adm_jo", estab="est_oak", client="assembly", subject="aut_1",
            scopes=frozenset({"students", "school"}), until=datetime(2027, 3, 2, tzinfo=UTC), days=365,
        )  # fmt: skip
    with transaction() as session:
        (entry,) = entries(session, events.SHARING_GIVEN)
        assert (entry.at, entry.actor, entry.estab, entry.client, entry.subject) == (
            clocks.now(), "adm_jo", "est_oak", "assembly", "aut_1",
        )  # fmt: skip
        assert entry.facts == {"scopes": ["school", "students"], "until": "2027-03-02T00:00:00+00:00", "days": 365}
        assert entry.position is entry.chained is None


def test_an_action_that_is_rolled_back_leaves_no_entry(transaction):
    def act():
        with transaction():
            log.record(events.SIGNED_IN, by="adm_jo")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        act()
    with transaction() as session:
        assert entries(session, events.SIGNED_IN) == []


def test_an_action_that_cannot_be_recorded_is_rolled_back(transaction, tamper):
    def act():
        with transaction() as session:
            session.add(Details(entry_id=1, salt=b"", said={}))
            log.record(events.SIGNED_IN, by=None)

    with pytest.raises(DBAPIError):
        act()
    with transaction() as session:
        assert session.scalars(select(Details)).all() == []


def test_personal_details_are_stored_apart_and_the_entry_keeps_only_a_salted_digest(transaction):
    details = {"name": "Jo Bloggs", "email": "jo@oakhill.example"}
    with transaction():
        for _ in range(2):
            log.record(events.PERSON_ADDED, by="adm_jo", details=details)
    with transaction() as session:
        first, second = entries(session, events.PERSON_ADDED)
        details_row = session.get_one(Details, first.id)
        assert details_row.said == details
        assert first.details_digest == log.salted(details_row.salt, details)
        assert first.details_digest != second.details_digest
        stored = str(session.execute(text("SELECT * FROM audit_entries")).all())
        assert "Bloggs" not in stored  # "Jo" alone can stand in a digest by chance
        assert "oakhill" not in stored


def test_a_value_that_an_entry_cannot_hold_is_refused_at_once(transaction):
    with transaction(), pytest.raises(TypeError, match="bytes"):
        log.record(events.SIGNED_IN, by="adm_jo", secret=b"x")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET actor = 'adm_other' WHERE id = :id",
        "UPDATE audit_entries SET facts = '{}' WHERE id = :id",
        "UPDATE audit_entries SET position = 99 WHERE id = :id",
        "UPDATE audit_entries SET position = 99, chained = NULL WHERE id = :id",
        "UPDATE audit_entries SET position = 99, chained = :hash, event = 'x.y' WHERE id = :id",
        "DELETE FROM audit_entries WHERE id = :id",
    ],
)
@pytest.mark.parametrize("is_sealed", [False, True])
def test_the_database_itself_refuses_to_edit_or_delete_an_entry(transaction, statement, is_sealed):
    with transaction() as session:
        log.record(events.SIGNED_IN, by="adm_jo", how="pwd")
        if is_sealed:
            chain.seal()
        (entry,) = entries(session, events.SIGNED_IN)
        last = entry.id

    def act():
        with transaction() as session:
            session.execute(text(statement), {"id": last, **({"hash": b"x"} if ":hash" in statement else {})})

    with pytest.raises(DBAPIError, match="never"):
        act()


def test_the_database_itself_refuses_to_seal_twice(transaction, sealed):
    def act():
        with transaction() as session:
            session.execute(
                text("UPDATE audit_entries SET position = 99, chained = :hash WHERE id = 1"), {"hash": b"x"}
            )

    with pytest.raises(DBAPIError, match="never"):
        act()


@pytest.mark.parametrize("statement", ["UPDATE audit_checkpoints SET position = 1", "DELETE FROM audit_checkpoints"])
def test_the_database_itself_refuses_to_change_a_checkpoint(transaction, sealed, statement):
    with transaction():
        chain.checkpoint()

    def act():
        with transaction() as session:
            session.execute(text(statement))

    with pytest.raises(DBAPIError, match="never"):
        act()


def test_entries_are_filtered_and_the_newest_within_the_limit_are_listed_oldest_first(transaction, clock):
    with transaction():
        for number in range(5):
            log.record(events.SHARING_GIVEN, by="adm_jo", estab="est_oak", client="assembly", number=number)
        log.record(events.SHARING_WITHDRAWN, by="adm_al", estab="est_oak", client="other")
        log.record(events.SIGNED_IN, by="adm_al", estab="est_elm")

    def numbers(**filters):
        return [entry.facts.get("number") for entry in queries.find(**filters)]

    with transaction():
        assert numbers(client="assembly", limit=3) == [2, 3, 4]
        assert len(numbers(estab="est_oak")) == 6
        assert len(numbers(event="sharing")) == 6
        assert len(numbers(event="sharing.withdrawn")) == 1
        assert len(numbers(actor="adm_al")) == 2
        assert numbers(estab="est_oak", since=datetime(2026, 3, 2, 9, 31, tzinfo=UTC)) == []


def test_names_of_events_are_unique():
    names = [value for name, value in vars(events).items() if name.isupper()]
    assert len(names) == len(set(names))
    assert all(name.count(".") == 1 for name in names)
