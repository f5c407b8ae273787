"""Fixtures of the tests of the register: the sample, its import, and files made from it."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from idp.foundation.setting_types import ROOT
from idp.schools import files, refresh
from idp.schools.gias import FileRefused
from idp.schools.refresh import Summary

SAMPLE = ROOT / "config" / "sample-register.csv"
SAMPLE_LINKS = ROOT / "config" / "sample-register-links.csv"

Row = dict[str, str]


def rows_of(path: Path) -> list[Row]:
    """The rows of a register or links file."""
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("cp1252"), newline="")))


def csv_of(rows: list[Row], *, encoding: str = "cp1252", header: list[str] | None = None) -> bytes:
    """Rows as a file of the register's form; `header` chooses and orders the columns."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header or list(rows[0]), extrasaction="ignore", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


@pytest.fixture
def sample() -> list[Row]:
    return rows_of(SAMPLE)


@pytest.fixture
def import_register(transaction, tmp_path) -> Callable[..., Summary]:
    """`import_register(rows or bytes, name=…)` imports them, by default the sample, in a transaction."""

    def run_import(
        content: list[Row] | bytes | None = None, *, links=None, name="edubasealldata.csv", **options
    ) -> Summary:
        path = SAMPLE if content is None else tmp_path / name
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else csv_of(content))
        if isinstance(links, bytes | list):
            links_path = tmp_path / "links.csv"
            links_path.write_bytes(links if isinstance(links, bytes) else csv_of(links))
            links = links_path
        with transaction(), files.open_sources(path, links) as sources:
            return refresh.run(sources, **options)

    return run_import


@pytest.fixture
def register(import_register, clock) -> Summary:
    """The sample register and its links, imported."""
    return import_register(links=SAMPLE_LINKS)


@contextmanager
def text_of(content: bytes, tmp_path: Path) -> Iterator[io.TextIOWrapper]:
    """The content of a file with these bytes, as the import reads it."""
    path = tmp_path / "some.csv"
    path.write_bytes(content)
    with files.open_sources(path) as sources, sources.schools.text() as text:
        yield text


@contextmanager
def refused(pattern: str) -> Iterator[None]:
    """Check that the block refuses a file, with a message that matches `pattern`."""
    with pytest.raises(FileRefused) as refusal:
        yield
    assert re.search(pattern, refusal.value.message), refusal.value.message
