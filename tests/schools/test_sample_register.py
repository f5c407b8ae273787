"""config/sample-register.csv has every kind of school, and no real data except local authorities."""

import re
from collections import Counter
from datetime import date

import pytest

from idp.schools import codes, gias, words
from tests.schools.conftest import SAMPLE, SAMPLE_LINKS, rows_of

ROWS = rows_of(SAMPLE)
LINKS = rows_of(SAMPLE_LINKS)
BY_URN = {row["URN"]: row for row in ROWS}
NAMES = [row["EstablishmentName"] for row in ROWS]


def rows_with_status(code: str) -> list[dict[str, str]]:
    return [row for row in ROWS if row["EstablishmentStatus (code)"] == code]


def day(text: str) -> date:
    return date(int(text[6:]), int(text[3:5]), int(text[:2]))


def successors(urn: str) -> list[str]:
    """Both directions of the links, as a graph."""
    forwards = [link["LinkURN"] for link in LINKS if link["URN"] == urn and link["LinkType"].startswith("Succ")]
    backwards = [link["URN"] for link in LINKS if link["LinkURN"] == urn and link["LinkType"].startswith("Pred")]
    return list(dict.fromkeys(forwards + backwards))


@pytest.mark.parametrize("path", [SAMPLE, SAMPLE_LINKS])
def test_the_sample_register_is_cp1252_with_crlf_line_ends(path):
    content = path.read_bytes()

    assert content.count(b"\r\n") == content.count(b"\n"), "every line ends in CRLF"
    content.decode("cp1252")


def test_the_sample_register_is_not_valid_utf8():
    with pytest.raises(UnicodeDecodeError):
        SAMPLE.read_bytes().decode("utf-8")


def test_the_sample_register_has_about_300_rows_in_140_columns():
    assert 290 <= len(ROWS) <= 310
    assert len(ROWS[0]) == 140
    assert set(gias.LABELS) <= set(ROWS[0])


def test_numbers_and_websites_of_the_sample_register_are_invented():
    for row in ROWS:
        urn, number = row["URN"], row["EstablishmentNumber"]
        assert 900001 <= int(urn) <= 900999 or urn in {"90001", "90002"}
        assert number in {"", "0750", "4567"} or 9001 <= int(number) <= 9999
        assert re.fullmatch(r"|1632960\d{3}|2079460\d{3}", row["TelephoneNum"])
        if host := gias.website_host(row["SchoolWebsite"]):
            assert host.endswith(".example")


def test_the_sample_register_has_the_school_of_the_examples():
    willow_bank = next(row for row in ROWS if (row["LA (code)"], row["EstablishmentNumber"]) == ("312", "4567"))

    assert willow_bank["EstablishmentStatus (code)"] == codes.OPEN


def test_the_sample_register_has_every_status_phase_and_type_group():
    assert {row["EstablishmentStatus (code)"] for row in ROWS} == set(codes.STATUSES)
    assert {row["PhaseOfEducation (code)"] for row in ROWS} == set(codes.PHASES)
    assert {row["EstablishmentTypeGroup (code)"] for row in ROWS} == set(codes.TYPE_GROUPS)
    assert {row["TypeOfEstablishment (code)"] for row in ROWS} == set(codes.TYPES)


def test_the_sample_register_has_twenty_local_authorities():
    assert len({row["LA (code)"] for row in ROWS}) >= 20


def test_the_sample_register_has_shared_postcodes_and_both_readings_of_b78():
    postcodes = Counter(row["Postcode"] for row in ROWS if row["Postcode"])

    assert sum(count > 1 for count in postcodes.values()) >= 5
    assert any(postcode.startswith("B78 ") for postcode in postcodes)
    assert any(postcode.startswith("B7 8") for postcode in postcodes)


def test_the_sample_register_has_dates_in_the_future_unknown_and_missing():
    assert all(day(row["CloseDate"]).year >= 2030 for row in rows_with_status(codes.CLOSING))
    assert any(row["OpenDate"] and day(row["OpenDate"]).year >= 2030 for row in rows_with_status(codes.PROPOSED))
    assert any(not row["OpenDate"] for row in rows_with_status(codes.PROPOSED))
    assert any(row["OpenDate"] == "01-01-1900" for row in ROWS)
    assert any(row["CloseDate"] == "01-01-1900" for row in ROWS)
    assert any(not row["OpenDate"] for row in rows_with_status(codes.OPEN))
    assert any(not row["CloseDate"] for row in rows_with_status(codes.CLOSED))


def test_the_sample_register_has_every_kind_of_successor():
    successors_of = {row["URN"]: successors(row["URN"]) for row in rows_with_status(codes.CLOSED)}
    only_successor = {urn: next_ones[0] for urn, next_ones in successors_of.items() if len(next_ones) == 1}

    with_the_same_number = [
        urn for urn, after in only_successor.items()
        if after in BY_URN and BY_URN[urn]["EstablishmentNumber"] == BY_URN[after]["EstablishmentNumber"]
        and BY_URN[urn]["LA (code)"] == BY_URN[after]["LA (code)"]
    ]  # fmt: skip
    chains = [
        urn
        for urn in only_successor
        if only_successor.get(only_successor[urn]) in only_successor and only_successor[only_successor[urn]] != urn
    ]
    loops = [urn for urn in only_successor if only_successor.get(only_successor[urn]) == urn]
    mergers = [after for after, count in Counter(only_successor.values()).items() if count > 1]
    absent = [urn for urn, after in only_successor.items() if after not in BY_URN]
    not_open_yet = [
        urn for urn, after in only_successor.items()
        if after in BY_URN and BY_URN[after]["EstablishmentStatus (code)"] == codes.PROPOSED
    ]  # fmt: skip
    splits = [urn for urn, next_ones in successors_of.items() if len(next_ones) > 1]

    assert all((with_the_same_number, chains, loops, mergers, absent, not_open_yet, splits))
    assert any(not next_ones for next_ones in successors_of.values()), "and some lead nowhere"


def test_the_sample_register_has_names_in_every_style_of_the_register():
    folded = [words.fold(name) for name in NAMES]

    assert sum("saint josephs" in name for name in folded) == 6
    for part in ("St ", "St. ", "Saint ", "King's", "Kings", "C of E", "CofE", "CE ", "&", " and ", ", ", '"', "("):
        assert any(part in name for name in NAMES), part
    for letter in "àô°’":
        assert any(letter in name for name in NAMES), letter
    assert any(" " not in name for name in NAMES), "one word"
    assert max(map(len, NAMES)) == 120
    assert any(name[0].isdigit() for name in NAMES)
    assert max(Counter((row["EstablishmentName"], row["Town"]) for row in ROWS).values()) > 1


def test_the_sample_register_has_missing_and_irregular_numbers_and_places():
    kinds = {row["TypeOfEstablishment (code)"] for row in ROWS}

    assert any(not row["EstablishmentNumber"] for row in ROWS)
    assert any(row["EstablishmentNumber"] == "0750" for row in ROWS)
    assert any(row["LA (code)"] == "0" and row["TypeOfEstablishment (code)"] == "37" for row in ROWS)
    assert {"25", "30"} <= kinds
    assert any(len(row["URN"]) == 5 for row in ROWS)
    assert any(row["PreviousLA (code)"] != "999" and row["PreviousEstablishmentNumber"] for row in ROWS)
    assert Counter(row["Trusts (code)"] for row in ROWS if row["Trusts (code)"]).most_common(1)[0][1] == 8
    for label in ("Postcode", "Street", "UKPRN", "TelephoneNum", "SchoolWebsite"):
        assert any(not row[label] for row in ROWS), label


def test_the_sample_register_has_websites_without_a_scheme_and_invalid_ones():
    sites = [row["SchoolWebsite"] for row in ROWS]

    assert any(site.startswith("http:www.") for site in sites)
    assert any(site and not site.startswith("http") and gias.website_host(site) for site in sites)
    assert any(site and not gias.website_host(site) for site in sites)


def test_git_does_not_convert_the_line_ends_of_the_sample_register():
    attributes = (SAMPLE.parents[1] / ".gitattributes").read_text()

    assert "config/sample-register*.csv -text" in attributes
