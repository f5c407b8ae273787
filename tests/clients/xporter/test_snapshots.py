"""Connections of the driver for partners' reads: one moment, the driver's errors, statements prepared once."""

import sqlite3

import psycopg
import pytest
from sqlalchemy import insert

from clients.xporter import storage, tables
from tests.clients.xporter.support import ESTAB

A_SCHOOL = {"epoch": "an epoch", "version": 0, "forgotten_version": 0, "created_at": 0.0}


@pytest.fixture
def database(app):
    return app.extensions["xporter"].database


def register(database, estab_id):
    with database.write() as connection:
        connection.execute(insert(tables.schools).values(estab_id=estab_id, **A_SCHOOL))


def test_all_statements_of_a_snapshot_read_the_same_state(database):
    with database.snapshot() as snapshot:
        assert storage.school(snapshot, ESTAB) is None
        register(database, ESTAB)
        assert storage.school(snapshot, ESTAB) is None
    with database.snapshot() as snapshot:
        assert storage.school(snapshot, ESTAB).estab_id == ESTAB


def test_a_snapshot_for_one_statement_reads_the_newest_state(database):
    with database.snapshot(one_statement=True) as snapshot:
        assert storage.school(snapshot, ESTAB) is None
    register(database, ESTAB)
    with database.snapshot(one_statement=True) as snapshot:
        assert storage.school(snapshot, ESTAB).estab_id == ESTAB


def test_text_with_any_characters_is_read_as_it_was_stored(database):
    register(database, "Zo\u00eb's \U0001f3eb, 50% $1")
    with database.snapshot() as snapshot:
        assert storage.school(snapshot, "Zo\u00eb's \U0001f3eb, 50% $1").estab_id == "Zo\u00eb's \U0001f3eb, 50% $1"


@pytest.mark.parametrize("one_statement", [True, False])
def test_a_failed_statement_raises_the_drivers_error_and_the_connection_can_be_used_again(database, one_statement):
    missing = sqlite3.OperationalError if database.is_sqlite else psycopg.errors.UndefinedTable
    with pytest.raises(missing, match="nowhere"), database.snapshot(one_statement=one_statement) as snapshot:
        snapshot.rows("SELECT 1 FROM nowhere", [])
    register(database, ESTAB)
    with database.snapshot(one_statement=one_statement) as again:
        assert again is snapshot
        assert storage.school(again, ESTAB).estab_id == ESTAB


def test_postgresql_prepares_a_statement_once_for_each_connection(database):
    if database.is_sqlite:
        pytest.skip("SQLite's driver remembers statements by itself")
    for _ in range(3):
        with database.snapshot() as snapshot:
            storage.school(snapshot, ESTAB)
    with database.snapshot() as snapshot:
        prepared = snapshot.rows("SELECT name FROM pg_prepared_statements", [])
    assert len(prepared) == 2


def test_a_transaction_that_only_reads_refuses_to_write_on_postgresql(database):
    if database.is_sqlite:
        pytest.skip("SQLite has no such transactions")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), database.snapshot() as snapshot:
        snapshot.rows("DELETE FROM schools", [])
