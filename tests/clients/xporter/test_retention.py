"""What is deleted and when, and the commands of the program."""

import threading
import time

import pytest
from click.testing import CliRunner
from sqlalchemy import func, insert, select, update

from clients.xporter import __main__, retention, storage, tables
from tests.clients.xporter.support import ESTAB, build_announcement, build_extract, line, student

DAY = 86_400


@pytest.fixture
def database(app):
    return app.extensions["xporter"].database


@pytest.fixture
def delete_old(database, settings):
    """`delete_old(days=31)` deletes old rows as if 31 days had passed."""
    return lambda days: retention.delete_old(database, settings, time.time() + days * DAY)


def count(database, table):
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_an_extract_that_does_not_arrive_within_a_day_is_deleted_with_its_bytes(endpoint, database, delete_old):
    document = build_announcement(b"abc")
    endpoint.announce(document)
    endpoint.send_piece(document["id"], 0, b"ab")
    delete_old(days=0.9)
    assert endpoint.send_piece(document["id"], 0, b"ab").status_code == 200
    delete_old(days=1.1)
    assert (count(database, tables.extracts), count(database, tables.pieces)) == (0, 0)


def test_an_extract_that_waits_to_be_checked_is_never_deleted(endpoint, delete_old):
    extract_id = endpoint.upload(build_extract(student("1")))
    delete_old(days=300)
    endpoint.run_worker()
    assert endpoint.status_of(extract_id)["state"] == "applied"


def test_the_record_of_deletions_is_deleted_after_a_month_and_older_cursors_expire(endpoint, database, delete_old):
    endpoint.deliver(student("1"), student("2"), complete=["students"])
    endpoint.deliver(student("2"), complete=["students"])
    version = endpoint.version()
    delete_old(days=29)
    assert len(endpoint.changes("students", 0)) == 2
    delete_old(days=31)
    assert len(endpoint.changes("students", 0)) == 1
    with database.snapshot() as connection:
        assert storage.school(connection, ESTAB).forgotten_version == version
    assert len(endpoint.stored("students")) == 1


def test_the_data_of_a_deleted_record_is_removed_at_once(endpoint, database):
    endpoint.deliver(student("1"), line("attendance", "a", student="1", date="2026-11-27", session="AM", mark="/"))
    endpoint.deliver(complete=["students", "attendance"])
    with database.read() as connection:
        rows = connection.execute(select(tables.records)).all()
    assert [(row.data, row.student, row.date, row.digest) for row in rows] == [(None, None, None, b"")] * 2


def test_counts_of_reads_are_deleted_after_three_months_and_schools_with_data_never(endpoint, database, delete_old):
    endpoint.deliver(student("1"))
    row = {"estab_id": ESTAB, "client_id": "c", "scope": "students", "requests": 1, "records": 1, "last_at": 0.0}
    with database.write() as connection:
        connection.execute(insert(tables.reads).values(row | {"day": time.strftime("%Y-%m-%d", time.gmtime())}))
    delete_old(days=90)
    assert count(database, tables.reads) == 1
    delete_old(days=95)
    assert (count(database, tables.reads), len(endpoint.stored("students"))) == (0, 1)


def test_a_school_that_never_sent_an_extract_is_deleted_after_a_month(endpoint, database, delete_old):
    endpoint.announce(build_announcement(b"abc"))
    delete_old(days=2)
    assert count(database, tables.schools) == 1
    delete_old(days=31)
    assert count(database, tables.schools) == 0


@pytest.fixture
def command(settings, monkeypatch):
    """`command("status")` is what the program prints, and its exit status."""
    monkeypatch.setenv("XPORTER_DATA", str(settings.data))
    monkeypatch.setenv("XPORTER_DATABASE", settings.database)

    def run(*arguments):
        result = CliRunner().invoke(__main__.main, arguments)
        return result.exit_code, result.output

    return run


def test_status_prints_totals_and_errors_without_personal_data(endpoint, command):
    endpoint.deliver(student("key-of-ada", "Ada"))
    endpoint.deliver(student("key-of-ben", shoe_size="5"))
    status, output = command("status")
    assert status == 0
    assert output.startswith(f"1 schools\n{ESTAB}  sims  last extract applied: 20")
    assert "  students: 1, changed 20" in output
    assert "refused (invalid_content, 1 problems)" in output
    assert "Ada" not in output
    assert "key-of" not in output


def test_everything_of_a_school_is_deleted_by_a_command_once_it_is_confirmed(endpoint, command):
    endpoint.deliver(student("1"))
    assert command("delete-school", ESTAB)[0] == 1, "it asks first"
    assert len(endpoint.stored("students")) == 1
    assert command("delete-school", ESTAB, "--yes") == (0, "Everything is deleted.\n")
    assert command("delete-school", ESTAB, "--yes") == (1, "Nothing is stored for this school.\n")


def test_a_new_key_is_made_by_a_command(endpoint, command):
    assert command("rotate-key")[0] == 0
    assert len(endpoint.api.get("/jwks.json").json["keys"]) == 2


def test_a_wrong_environment_is_reported(command, monkeypatch):
    monkeypatch.setenv("XPORTER_PORT", "x")
    status, output = command("status")
    assert status == 2
    assert "XPORTER_PORT" in output


def test_deletions_are_not_forgotten_while_an_extract_is_applied(endpoint, database, delete_old):
    """The extract may restore a deleted record, and has already read the row that it is about to change."""
    endpoint.deliver(student("1"), student("2"), complete=["students"])
    endpoint.deliver(student("2"), complete=["students"])
    deletion = threading.Thread(target=delete_old, args=(31,))
    with database.write() as connection:
        connection.execute(select(tables.schools).with_for_update()).all()
        deletion.start()
        deletion.join(0.3)
        connection.execute(update(tables.records).values(deleted_at=None, data="{}"))
    deletion.join()
    assert count(database, tables.records) == 2
