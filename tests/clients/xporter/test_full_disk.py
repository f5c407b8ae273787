"""The disk is full while an extract is received, checked or applied, and has free space again later."""

import errno
import os
import sqlite3
import tempfile

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from tests.clients.xporter.support import build_announcement, build_extract, student


class Disk:
    """The disk of the database, simulated by the highest number of pages that SQLite allows in a file."""

    def __init__(self, database):
        self.engine, self.pages = database._engine, 0
        event.listen(self.engine, "checkout", self._limit)

    def _limit(self, connection, *_):
        current = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {current if self.pages else 1 << 30}")

    def fill(self):
        self.pages = 1

    def free(self):
        self.pages = 0


@pytest.fixture
def disk(app):
    database = app.extensions["xporter"].database
    if not database.is_sqlite:
        pytest.skip("the disk of a database server cannot be filled here")
    return Disk(database)


def test_a_piece_is_refused_with_retry_after_while_the_disk_is_full(disk, endpoint, caplog):
    content = os.urandom(1 << 20)
    document = build_announcement(content)
    endpoint.announce(document)
    disk.fill()
    for _ in range(2):
        refused = endpoint.send_piece(document["id"], 0, content[: 1 << 19])
        assert (refused.status_code, refused.json["code"]) == (503, "temporarily_unavailable")
        assert refused.headers["Retry-After"] == "60"
    assert endpoint.status_of(document["id"])["offset"] == 0
    disk.free()
    assert endpoint.send_piece(document["id"], 0, content[: 1 << 19]).json["offset"] == 1 << 19
    assert "the disk is full" in caplog.text


def test_an_extract_waits_while_the_disk_is_full(disk, app, endpoint, monkeypatch):
    def raise_disk_full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    extract_id, worker = endpoint.upload(build_extract(student("1"))), app.extensions["xporter"].worker
    now = [worker._now()]
    monkeypatch.setattr(worker, "_now", lambda: now[0])
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", raise_disk_full)
        for _ in range(9):
            endpoint.run_worker()
            now[0] += 61
        assert endpoint.status_of(extract_id)["state"] == "checking"
    endpoint.run_worker()
    assert endpoint.status_of(extract_id)["state"] == "applied"


@pytest.fixture(
    params=[psycopg.errors.DiskFull("could not extend file"), sqlite3.OperationalError("database or disk is full")],
    ids=["postgresql", "sqlite"],
)
def raise_disk_full(request):
    """A function that raises the error of a driver that is used without SQLAlchemy."""

    def fail(*_, **__):
        raise request.param

    return fail


def test_a_full_disk_reported_by_the_driver_is_refused_with_retry_after(endpoint, raise_disk_full, monkeypatch):
    document = build_announcement(b"abc")
    endpoint.announce(document)
    monkeypatch.setattr("clients.xporter.extracts.add_piece", raise_disk_full)
    refused = endpoint.send_piece(document["id"], 0, b"abc")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")


def test_an_extract_waits_while_the_driver_reports_a_full_disk(app, endpoint, raise_disk_full, monkeypatch):
    extract_id, worker = endpoint.upload(build_extract(student("1"))), app.extensions["xporter"].worker
    now = [worker._now()]
    monkeypatch.setattr(worker, "_now", lambda: now[0])
    with monkeypatch.context() as patch:
        patch.setattr("clients.xporter.applying.inserting", raise_disk_full)
        for _ in range(9):
            endpoint.run_worker()
            now[0] += 61
    endpoint.run_worker()
    assert endpoint.status_of(extract_id)["state"] == "applied"


def test_an_extract_that_cannot_be_applied_on_a_full_disk_changes_nothing_yet(disk, app, endpoint, monkeypatch, caplog):
    endpoint.deliver(student("1", "Ada"), complete=["students"])
    others = [student(str(number), "Secret" * 100) for number in range(500)]
    extract_id = endpoint.upload(build_extract(*others, complete=["students"]))
    worker = app.extensions["xporter"].worker
    now = [worker._now()]
    monkeypatch.setattr(worker, "_now", lambda: now[0])
    disk.fill()
    endpoint.run_worker()
    assert endpoint.ids("students").keys() == {"Ada"}
    disk.free()
    now[0] += 300
    endpoint.run_worker()
    assert endpoint.status_of(extract_id)["state"] == "applied"
    assert "Secret" not in caplog.text


def test_an_error_of_the_database_quotes_no_data_of_people(app):
    with pytest.raises(DBAPIError) as raised, app.extensions["xporter"].database.read() as connection:
        connection.execute(text("SELECT nothing FROM nowhere WHERE name = :name"), {"name": "Ada Moss"})
    assert "Ada Moss" not in str(raised.value)


def test_another_error_of_files_is_not_reported_as_a_full_disk(app, endpoint, monkeypatch):
    def raise_io_error(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("clients.xporter.extracts.add_piece", raise_io_error)
    document = build_announcement(b"abc")
    endpoint.announce(document)
    app.testing = False
    assert endpoint.send_piece(document["id"], 0, b"a").status_code == 500
