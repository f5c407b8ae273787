"""Reading the register's files: encodings, zips, dates."""

import zipfile
from datetime import date

import pytest

from idp.schools import files, gias
from tests.schools.conftest import SAMPLE, SAMPLE_LINKS, csv_of, refused


def names_in(path, links=None):
    with files.open_sources(path, links) as sources, sources.schools.text() as text:
        return {line.values[gias.LABELS.index("EstablishmentName")] for line in gias.lines(text)}


@pytest.fixture
def a_zip(tmp_path):
    def make(**entries):
        path = tmp_path / "extract.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name.replace("__", "/").replace("_csv", ".csv"), content)
        return path

    return make


def test_windows_1252_is_what_is_left_when_it_is_not_utf8():
    with files.open_sources(SAMPLE) as sources:
        assert (sources.schools.encoding, sources.schools.replaced) == ("cp1252", 0)
    assert {"Voilà Bilingual Primary School", "Côté Jardin Nursery", "St Anne’s Hill School"} <= names_in(SAMPLE)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_is_read_with_and_without_its_mark(tmp_path, sample, encoding):
    path = tmp_path / "some.csv"
    path.write_bytes(csv_of(sample, encoding=encoding))

    assert names_in(path) == names_in(SAMPLE)


def test_one_byte_at_the_very_end_decides_the_encoding_too(tmp_path):
    path = tmp_path / "some.csv"
    path.write_bytes(b"a" * 3_000_000 + b"\xe0\r\n")

    with files.open_sources(path) as sources:
        assert sources.schools.encoding == "cp1252"


def test_a_letter_cut_by_the_end_of_a_block_is_still_utf8(tmp_path):
    path = tmp_path / "some.csv"
    path.write_bytes(b"a" * ((1 << 20) - 1) + "à\r\n".encode())

    with files.open_sources(path) as sources:
        assert sources.schools.encoding == "utf-8-sig"


def test_bytes_without_meaning_are_replaced_and_counted(tmp_path, sample):
    path = tmp_path / "some.csv"
    path.write_bytes(csv_of(sample).replace("Voilà".encode("cp1252"), b"Voil\x81\xe0"))

    with files.open_sources(path) as sources:
        assert sources.schools.replaced == 1
    assert any(name.startswith("Voil") for name in names_in(path))


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><html>", b"\xef\xbb\xbf\r\n <html>", b"<Error><Code>BlobNotFound</Code>"]
)
def test_a_web_page_is_refused(tmp_path, page):
    path = tmp_path / "edubasealldata.csv"
    path.write_bytes(page)

    with refused("is a web page"), files.open_sources(path):
        pass


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "edubasealldata.csv"
    path.touch()

    with refused("is empty"), files.open_sources(path):
        pass


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with refused(r"nothing\.csv cannot be opened"), files.open_sources(tmp_path / "nothing.csv"):
        pass


def test_a_zip_is_opened_with_the_links_next_to_it(a_zip):
    path = a_zip(
        edubasealldata20250422_csv=SAMPLE.read_bytes(),
        links_edubasealldata20250422_csv=SAMPLE_LINKS.read_bytes(),
        readme="hello",
    )

    assert names_in(path) == names_in(SAMPLE)
    with files.open_sources(path) as sources:
        assert sources.schools.dated == date(2025, 4, 22)
        assert sources.links is not None
        assert sources.links.size == SAMPLE_LINKS.stat().st_size


def test_a_links_file_that_is_named_is_used_instead_of_the_one_in_the_zip(a_zip):
    path = a_zip(edubasealldata_csv=SAMPLE.read_bytes(), links_edubasealldata_csv=b"other\r\n")

    with files.open_sources(path, SAMPLE_LINKS) as sources:
        assert sources.links is not None
        assert sources.links.name == SAMPLE_LINKS.name


def test_a_file_in_a_folder_of_a_zip_is_read(a_zip):
    assert names_in(a_zip(**{"..__..__edubasealldata_csv": SAMPLE.read_bytes()})) == names_in(SAMPLE)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"readme": "hello"}, "has no edubasealldata"),
        ({"edubasealldata1_csv": "a", "edubasealldata2_csv": "b"}, "more than one register"),
        ({f"file{number}": "x" for number in range(60)}, "has 60 files in it"),
        ({"edubasealldata_csv": b"0" * 3_000_000}, "unpacks to 3,000,000 bytes"),
    ],
)
def test_a_zip_without_a_register_or_that_unpacks_to_too_much_is_refused(a_zip, entries, message):
    with refused(message), files.open_sources(a_zip(**entries)):
        pass


def test_a_damaged_zip_is_refused(a_zip):
    path = a_zip(edubasealldata_csv=SAMPLE.read_bytes())
    path.write_bytes(path.read_bytes()[:-200])

    with refused("damaged"), files.open_sources(path):
        pass


@pytest.mark.parametrize(
    ("name", "day"),
    [("edubasealldata20240404.csv", date(2024, 4, 4)), ("edubasealldata20241399.csv", None), ("mine.csv", None)],
)
def test_the_date_of_a_file_is_that_in_its_name(tmp_path, name, day):
    path = tmp_path / name
    path.write_bytes(SAMPLE.read_bytes())

    with files.open_sources(path) as sources:
        assert sources.schools.dated == day
