"""XporterOnDemand is killed between two pieces of an extract, or while it applies one; and two extracts at once."""

import threading
import time
import uuid
from contextlib import contextmanager

import pytest
import requests
from flask import Flask, jsonify

from clients.xporter import extracts, storage
from clients.xporter.database import Database
from clients.xporter.extracts import Announcement
from clients.xporter.settings import Settings
from clients.xporter.worker import Worker
from tests.clients.xporter import school_data
from tests.clients.xporter.support import (
    ESTAB,
    MEMBERS,
    SIGNER,
    build_announcement,
    build_extract,
    proof,
    student,
    token,
)
from tests.ports import free_port
from tests.processes import a_process, eventually
from tests.serving import serving


@pytest.fixture
def provider():
    """A fake issuer, for which every token that its key signed is the token of a school's endpoint."""
    port, app = free_port(), Flask("provider")
    issuer = f"http://localhost:{port}"
    documents = {
        "/.well-known/oauth-authorization-server": {
            "issuer": issuer, "jwks_uri": f"{issuer}/jwks", "introspection_endpoint": f"{issuer}/introspect",
        },
        "/jwks": {"keys": [SIGNER.as_dict(private=False)]},
        "/introspect": {"active": True, "scope": "endpoint", "estab_id": ESTAB, "estab_status": "verified"},
        "/api/scopes": school_data.PUBLISHED,
    }  # fmt: skip
    for path, document in documents.items():
        view = lambda document=document: jsonify(document)  # noqa: E731
        app.add_url_rule(path, path.replace(".", "_"), view, methods=["GET", "POST"])
    with serving(app, port):
        yield issuer


class Program:
    """XporterOnDemand, which is served at the same URL each time."""

    def __init__(self, issuer, folder):
        port = free_port()
        self.url, self.issuer, self.folder = f"http://localhost:{port}", issuer, folder
        self.environment = {"ISSUER": issuer, "PORT": port, "DATA": folder / "xporter"}

    @contextmanager
    def run(self, *arguments):
        with a_process(*(arguments or ("clients.xporter",)), log=self.folder / "log") as process:
            process.wait_until(self._responds)
            yield process

    def call(self, method, path, *, headers=None, **options):
        access_token = token(iss=self.issuer, aud=self.url)
        headers_with_proof = {
            "Authorization": f"DPoP {access_token}",
            "DPoP": proof(access_token, method, path, htu=self.url + path),
        }
        return requests.request(
            method, self.url + path, headers=headers_with_proof | (headers or {}), timeout=20, **options
        )

    def send_piece(self, extract_id, offset, piece):
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"}
        return self.call("PATCH", f"/v1/extracts/{extract_id}", headers=headers, data=piece)

    def extract(self, extract_id):
        """The document about an extract."""
        return self.call("GET", f"/v1/extracts/{extract_id}").json()

    def count_pupils(self):
        """The number of pupils that are stored, and the school's version."""
        database = Database(f"sqlite:///{self.folder / 'xporter' / 'xporter.sqlite3'}")
        with database.snapshot() as connection:
            school = storage.school(connection, ESTAB)
            number = len(storage.page(connection, school.id, "students", limit=1000).ids)
        database.close()
        return number, school.version

    def _responds(self):
        try:
            return requests.get(f"{self.url}/healthz", timeout=10).ok
        except requests.RequestException:
            return False


@pytest.fixture
def program(provider, tmp_path, monkeypatch):
    program = Program(provider, tmp_path)
    for name, value in program.environment.items():
        monkeypatch.setenv(f"XPORTER_{name}", str(value))
    return program


def test_an_extract_is_resumed_after_the_program_was_killed_and_applied_once(program, tmp_path):
    content = build_extract(*(student(str(number)) for number in range(300)), complete=["students"])
    document, half = build_announcement(content), len(content) // 2

    # Killed between two pieces, and while it applies them: all is written, and nothing committed
    with program.run() as process:
        assert program.call("POST", "/v1/extracts", json=document).status_code == 201
        assert program.send_piece(document["id"], 0, content[:half]).status_code == 200
        process.kill()
    reached = tmp_path / "reached"
    with program.run("tests.faults.hanging_xporter", str(reached)) as process:
        assert program.call("POST", "/v1/extracts", json=document).json()["offset"] == half
        assert program.send_piece(document["id"], half, content[half:]).status_code == 202
        process.wait_until(reached.exists)
        assert program.count_pupils() == (0, 0)
        process.kill()
    assert program.count_pupils() == (0, 0)

    with program.run():
        eventually(lambda: program.extract(document["id"])["state"] != "checking")
        state = program.extract(document["id"])
        assert (state["state"], state["counts"]["students"]["added"]) == ("applied", 300)
        repeated = program.send_piece(document["id"], half, content[half:])
        assert (repeated.status_code, repeated.json()["state"]) == (200, "applied")
    assert program.count_pupils() == (300, 300)


@pytest.fixture
def database(databases):
    database = Database(databases.new("xporter").replace("postgresql+psycopg", "postgresql"))
    yield database
    database.close()


def call_concurrently(*jobs):
    """Call each of the jobs in a thread of its own, at the same moment; returns their results or exceptions."""
    ready, outcomes = threading.Barrier(len(jobs)), []

    def run(job):
        ready.wait(60)
        try:
            outcomes.append(job())
        except Exception as error:  # noqa: BLE001  it is the outcome
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return outcomes


def upload(database, *lines, made_at=None, complete=("students",)):
    """Send an extract, which then waits to be checked; returns its id."""
    content, now = build_extract(*lines, complete=complete), time.time()
    document = build_announcement(content)
    announcement = Announcement(document["id"], "sims", len(content), document["sha256"], made_at or now)
    extracts.announce(database, ESTAB, announcement, now)
    extracts.add_piece(database, ESTAB, announcement.id, 0, content, now)
    return announcement.id


def test_of_two_extracts_at_once_the_later_one_stays_and_versions_are_unique(database, tmp_path):
    settings = Settings("https://idp.example", "xporter", "https://api.example", 1, tmp_path)
    now = time.time()
    older = upload(database, student("1", "Old"), student("2"), made_at=now - 60)
    newer = upload(database, student("1", "New"), student("3"), made_at=now)
    workers = [Worker(database, settings, lambda: MEMBERS) for _ in range(4)]
    outcomes = call_concurrently(*(worker.apply_waiting for worker in workers))
    while any(worker.apply_waiting() for worker in workers):
        continue

    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert extracts.find(database, ESTAB, newer).state == "applied"
    assert extracts.find(database, ESTAB, older).state in {"applied", "refused"}
    with database.snapshot() as connection:
        school = storage.school(connection, ESTAB)
        present = storage.page(connection, school.id, "students", limit=9)
        *_, changes = storage.page_of_school(connection, ESTAB, "students", since=0, limit=9)
    assert b"Old" not in present.data
    assert len(present.ids) == 2
    assert len(set(changes.versions)) == len(changes.versions)
    assert school.version == max(changes.versions)


def test_the_next_page_is_read_after_the_server_ended_all_connections(database):
    with database.snapshot(one_statement=True) as connection:
        assert storage.page_of_school(connection, ESTAB, "students", limit=9) is None
    with database.write() as connection:
        if not database.is_sqlite:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    time.sleep(0.2)
    with database.snapshot() as connection:
        assert storage.school(connection, ESTAB) is None


def test_a_piece_that_is_sent_twice_at_once_is_stored_once(database):
    content, now = b"0123456789" * 100, time.time()
    document = build_announcement(content)
    announcement = Announcement(document["id"], "sims", 2 * len(content), document["sha256"], now)
    announcing = call_concurrently(
        *(lambda: extracts.announce(database, ESTAB, announcement, now)[1] for _ in range(4))
    )
    assert sorted(announcing) == [False, False, False, True]

    sending = call_concurrently(
        *(lambda: extracts.add_piece(database, ESTAB, announcement.id, 0, content, now) for _ in range(6))
    )
    assert [piece.offset for piece in sending] == [len(content)] * 6


def test_all_data_of_a_school_can_be_deleted_while_an_extract_is_applied(database, tmp_path):
    settings = Settings("https://idp.example", "xporter", "https://api.example", 1, tmp_path)
    upload(database, *(student(str(number)) for number in range(200)))
    worker = Worker(database, settings, lambda: MEMBERS)
    outcomes = call_concurrently(worker.apply_waiting, lambda: extracts.delete_all(database, ESTAB))
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    extracts.delete_all(database, ESTAB)
    with database.snapshot() as connection:
        assert storage.school(connection, ESTAB) is None
    assert str(uuid.UUID(upload(database, student("1"))))
    assert worker.apply_waiting() == 1
