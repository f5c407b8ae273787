"""The file of breached passwords: each is found by bisection, at any place in the file."""

import hashlib
import random

import pytest

from idp.estabs import breached, credentials

GOOD_PASSWORD = "wobbly kettle sings at dusk"


def sha1(password):
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@pytest.fixture
def install(app, scratch, change_settings):
    """`install(passwords, end="\\n")` writes a file in the published form, and changes the setting to it."""

    def write(passwords, end="\r\n", last=True):
        numbers = random.Random(7)
        lines = [f"{digest}:{numbers.choice((1, 23, 456, 7_890_123))}" for digest in sorted(map(sha1, passwords))]
        path = scratch / "breached.txt"
        path.write_bytes((end.join(lines) + (end if last else "")).encode())
        change_settings(passwords={"breached_file": str(path)})
        return path

    with app.app_context():
        yield write


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 64, 500])
def test_every_listed_password_is_found_and_no_other(install, count, end, last):
    """Lines of different lengths are found, the first and the last too, with and without a final line end."""
    passwords = [f"password number {number}" for number in range(count)]
    install(passwords, end, last)

    assert [password for password in passwords if not breached.is_breached(password)] == []
    assert [number for number in range(300) if breached.is_breached(f"another {number}")] == []


def test_a_password_is_looked_up_exactly_as_typed(install):
    install([GOOD_PASSWORD])

    assert breached.is_breached(GOOD_PASSWORD)
    assert not breached.is_breached(GOOD_PASSWORD.upper())
    assert not breached.is_breached(f"{GOOD_PASSWORD} ")


def test_a_search_reads_a_few_lines_and_not_the_file(install, monkeypatch):
    install([f"password number {number}" for number in range(20_000)])
    reads, line_from = [], breached._line_from

    def counted(*args):
        reads.append(args)
        return line_from(*args)

    monkeypatch.setattr(breached, "_line_from", counted)

    assert breached.is_breached("password number 12345")
    assert not breached.is_breached("never seen anywhere")
    assert len(reads) < 60


def test_a_breached_password_is_refused_with_the_reason(install):
    assert credentials.rejection_reason(GOOD_PASSWORD) is None
    install([GOOD_PASSWORD])
    assert "stolen from another website" in credentials.rejection_reason(GOOD_PASSWORD)


def test_without_a_file_nothing_is_breached(app):
    with app.app_context():
        assert not breached.is_breached("password1234")


def test_a_file_that_is_not_there_refuses_nothing_and_is_logged(install, caplog):
    install([GOOD_PASSWORD]).unlink()

    assert not breached.is_breached(GOOD_PASSWORD)
    assert "breached passwords" in caplog.text


def test_an_empty_file_contains_no_password(install):
    install([]).write_bytes(b"")
    assert not breached.is_breached(GOOD_PASSWORD)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"password\n123456\n", "is not a list of SHA-1 hashes, each with a colon and a number"),
        (b"\xff" * 10_000, "is not a list of SHA-1 hashes, each with a colon and a number"),
        (f"{'B' * 40}:3\n{'A' * 40}:2\n".encode(), "is not ordered by hash"),
        (f"{'A' * 40}:3\n{'B' * 40}:2\n".encode(), None),
    ],
)
def test_the_error_of_an_unusable_file_is_described(scratch, content, problem):
    path = scratch / "breached.txt"
    if content is not None:
        path.write_bytes(content)

    assert breached.file_problem(path) == problem


@pytest.mark.parametrize("content", [b"\n" * 500, b"\x00" * 5000, b"A" * 5000, b"x\n" * 700])
def test_a_file_of_another_format_ends_the_search(install, content):
    install([]).write_bytes(content)
    assert not breached.is_breached(GOOD_PASSWORD)
