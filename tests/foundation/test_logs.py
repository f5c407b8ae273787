"""The log: a JSON line for each request, without credentials."""

import errno
import json
import threading

import pytest
from sqlalchemy.exc import IntegrityError

from idp.app import create_app
from idp.foundation import logs
from idp.foundation.fastpath import request_line
from idp.foundation.load_settings import load
from tests.factories import an_administrator
from tests.processes import eventually


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdefghijkl", "abcdefghijkl"),
        ("client_secret=s3cr3tvalue&x=1", "s3cr3tvalue"),
        ('{"password": "hunter2"}', "hunter2"),
        ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        ("code=SplxlOBeZQQYbYS6WxSbIA", "SplxlOBeZQQYbYS6WxSbIA"),
        ("DPoP eyJhbGciOiJFUzI1NiJ9", "eyJhbGciOiJFUzI1NiJ9"),
    ],
)
def test_credentials_are_scrubbed(text, secret):
    assert secret not in logs.scrub(text)


def test_ordinary_words_are_not_scrubbed():
    assert logs.scrub("the outbox has 3 messages") == "the outbox has 3 messages"


def test_a_database_error_is_logged_without_its_values(transaction):
    with transaction() as session:
        estab = an_administrator(email="canary@oakhill.example").memberships[0].estab
        with pytest.raises(IntegrityError) as error:
            an_administrator(estab, email="canary@oakhill.example", username="another")
        session.rollback()

    line = logs.scrub(str(error.value))

    assert "sign_in_email" in line
    assert "canary" not in line
    assert "argon2" not in line


@pytest.mark.parametrize(
    ("detail", "after"),
    [
        ("Key (sign_in_email)=(canary@oakhill.example) already exists.", ""),
        ("Key (sign_in_email)=(canary@oakhill.example) already exists.", "\n[SQL: INSERT INTO x]\n(Background on …)"),
        ("Failing row contains (1, canary\nof two lines, canary).", "\n[SQL: INSERT INTO x]"),
        ("Failing row contains (canary).\nCONTEXT:  unnamed portal with parameters: $1 = 'canary'", "\n\nThe above …"),
    ],
)
def test_values_that_postgresql_quotes_in_errors_are_scrubbed_completely(detail, after):
    message = f'(psycopg.errors.UniqueViolation) duplicate key violates "uq_people"\nDETAIL:  {detail}{after}'
    line = logs.scrub(message)

    assert "canary" not in line
    assert line == f'(psycopg.errors.UniqueViolation) duplicate key violates "uq_people"\nDETAIL: [scrubbed]{after}'


def test_fields_that_are_not_allowed_are_dropped_and_named():
    event = logs._drop_other_fields(None, "info", {"event": "x", "password": "hunter2", "status": 200})

    assert event == {"event": "x", "status": 200, "dropped": ["password"]}


def test_every_response_has_an_id_of_its_request(web):
    first, second = web.get("/healthz"), web.get("/healthz")

    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


@pytest.fixture
def log_output(capsys):
    """The log of a service that logs in JSON, as soon as it has a text."""

    def read_until(text):
        output = [""]

        def has_text():
            output[0] += capsys.readouterr().err
            return text in output[0]

        eventually(has_text)
        return output[0]

    yield read_until
    logs.configure(load())


def test_every_request_is_logged_as_one_json_line_with_its_route_and_not_its_path(log_output):
    web = create_app(load(server={"log_format": "json", "log_level": "INFO"})).test_client()
    response = web.open("/canary-path?token=canary", method='ODD"}', base_url="http://localhost")

    lines = log_output('"event": "request"')
    (line,) = [json.loads(line) for line in lines.splitlines() if '"event": "request"' in line]

    assert line["request"] == response.headers["X-Request-ID"]
    assert line["method"] == 'ODD"}'
    assert line["route"] == "(none)"
    assert line["status"] == response.status_code
    assert line["logger"] == "idp.request"
    assert line["level"] == "info"
    assert "canary" not in lines


def test_lines_of_requests_are_written_together_and_none_is_lost_when_nothing_reads_them(monkeypatch):
    monkeypatch.setattr(request_line, "WRITE_INTERVAL_SECONDS", 3600)
    monkeypatch.setattr(request_line, "MAX_WAITING_LINES", 3)
    writes: list[str] = []

    class Stream:
        write = staticmethod(writes.append)
        flush = staticmethod(lambda: None)

    writer = request_line.LineWriter(Stream())
    for number in range(7):
        writer.add(str(number))
    assert writes == ["0\n1\n2\n", "3\n4\n5\n"]
    writer.write()
    assert writes[2:] == ["6\n"]


def test_a_line_that_cannot_be_written_is_lost_and_the_next_is_written(monkeypatch):
    monkeypatch.setattr(request_line, "WRITE_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(request_line, "MAX_WAITING_LINES", 2)
    attempts: list[str] = []

    class FullDisk:
        def write(self, text: str) -> None:
            attempts.append(text)
            if len(attempts) <= 2:
                raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            pass

    writer = request_line.LineWriter(FullDisk())
    for number in range(2):
        writer.add(f"line {number}")  # the second is written by its request, which does not fail
    for expected in (2, 3):
        writer.add("by the thread")
        eventually(lambda expected=expected: len(attempts) >= expected)
    assert attempts[-1] == "by the thread\n"


def test_a_slow_reader_of_the_log_does_not_block_requests_before_the_limit():
    reads, is_writing = threading.Event(), threading.Event()

    class SlowReader:
        def write(self, _text: str) -> None:
            is_writing.set()
            assert reads.wait(30)

        def flush(self) -> None:
            pass

    writer = request_line.LineWriter(SlowReader())
    writer.add("the first")
    assert is_writing.wait(30)
    others = [threading.Thread(target=writer.add, args=(str(number),)) for number in range(10)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(10)
        assert not thread.is_alive()
    reads.set()
