"""Reading the extracts of GIAS."""

from datetime import date

import pytest

from idp.schools import gias
from tests.schools.conftest import SAMPLE, csv_of, refused, text_of


@pytest.fixture
def lines_of(tmp_path):
    def read(content):
        content = content if isinstance(content, bytes) else csv_of(content)
        with text_of(content, tmp_path) as text:
            return list(gias.lines(text))

    return read


def stored_values(lines, name):
    """The stored values of the line with this name."""
    return next(gias.school(line)[0] for line in lines if name in line.values)


def test_every_school_of_the_sample_is_read(lines_of, sample):
    lines = lines_of(SAMPLE.read_bytes())

    assert [line.urn for line in lines] == [row["URN"] for row in sample]
    assert [line.number for line in lines[:3]] == [2, 3, 4]


def test_a_school_is_stored_under_our_column_names(lines_of):
    school = stored_values(lines_of(SAMPLE.read_bytes()), "Willow Bank Primary School")

    assert (school["register"], school["register_id"]) == ("gias", "900001")
    assert (school["dfe_number"], school["la_code"], school["la_name"]) == ("3124567", "312", "Hillingdon")
    assert (school["type_code"], school["group_code"], school["status_code"], school["phase_code"]) == (
        "1",
        "4",
        "1",
        "2",
    )
    assert (school["low_age"], school["high_age"], school["opened_on"]) == (4, 11, date(1968, 9, 1))
    assert (school["postcode"], school["postcode_key"]) == ("UB8 1WB", "UB81WB")
    assert school["website_host"] == "www.willowbank.example"
    assert school["telephone_e164"] == f"+44{school['telephone']}"
    assert school["head_teacher"].count(", ") == 1


@pytest.mark.parametrize(
    ("name", "number", "former"),
    [
        ("Zero Lane Primary School", "3120750", None),
        ("Blank Number Tutorial Centre", None, None),
        ("The British School of Sample Bay", None, None),
        ("Dove Meadow School", "9439001", "9099101"),
        ("Ysgol Gynradd Glan-y-Coed", "6619013", None),
    ],
)
def test_the_dfe_number_is_that_of_the_authority_and_the_school_or_none(lines_of, name, number, former):
    school = stored_values(lines_of(SAMPLE.read_bytes()), name)

    assert (school["dfe_number"], school["former_dfe_number"]) == (number, former)


def test_columns_are_found_by_label_in_any_order_and_case(lines_of, sample):
    header = list(sample[0])
    shuffled = [f" {label.upper()}" for label in reversed(header)]
    content = csv_of(sample, header=list(reversed(header)))
    content = (",".join(shuffled) + "\r\n").encode() + content.split(b"\r\n", 1)[1]

    assert [line.digest for line in lines_of(content)] == [line.digest for line in lines_of(sample)]


@pytest.mark.parametrize(
    ("without", "columns"),
    [
        (("BSOInspectorateName (name)", "QABName (code)", "QABName (name)", "EstablishmentAccredited (code)",
          "CHNumber", "FSM", "QABReport"), 133),
        (("RSCRegion (name)",), 139),
        (("RSCRegion (name)", "OfstedLastInsp", "OfstedSpecialMeasures (code)", "OfstedSpecialMeasures (name)",
          "OfstedRating (name)"), 135),
    ],
)  # fmt: skip
def test_files_with_the_columns_of_other_years_are_read_alike(lines_of, sample, without, columns):
    header = [label for label in sample[0] if label not in without]

    lines = lines_of(csv_of(sample, header=header))

    assert len(header) == columns
    assert [line.digest for line in lines] == [line.digest for line in lines_of(sample)]


def test_an_optional_column_may_be_missing(lines_of, sample):
    header = [label for label in sample[0] if label not in {"Town", "Trusts (code)"}]

    school = stored_values(lines_of(csv_of(sample, header=header)), "Birch Green Academy")

    assert (school["town"], school["trust_code"]) == ("", "")


def test_missing_required_columns_are_all_named_at_once(lines_of, sample):
    header = [label for label in sample[0] if label not in {"URN", "UKPRN", "LA (name)"}]

    with refused(r"lacks URN, LA \(name\), UKPRN\."):
        lines_of(csv_of(sample, header=header))


def test_a_file_with_a_column_of_ours_twice_is_refused(lines_of, sample):
    content = csv_of(sample).replace(b'"RSCRegion (name)"', b'"postcode "', 1)

    with refused("Postcode more than once"):
        lines_of(content)


def test_codes_are_read_without_leading_zeros(lines_of, sample):
    row = sample[2] | {"TypeOfEstablishment (code)": "02", "PhaseOfEducation (code)": "00"}

    school, oddities = gias.school(lines_of([row])[0])

    assert (school["type_code"], school["phase_code"], oddities) == ("2", "0", [])


@pytest.mark.parametrize(
    ("label", "value", "name", "expected"),
    [
        ("OpenDate", "31-02-2020", "opened_on", None),
        ("CloseDate", "2020-01-01", "closed_on", None),
        ("StatutoryLowAge", "four", "low_age", None),
        ("UKPRN", "1234", "ukprn", None),
    ],
)
def test_an_unreadable_field_is_stored_empty_and_reported_with_the_urn(lines_of, sample, label, value, name, expected):
    school, oddities = gias.school(lines_of([sample[2] | {label: value}])[0])

    assert school[name] is expected
    assert [(oddity.kind, oddity.urn, oddity.label, oddity.value) for oddity in oddities] == [
        ("unreadable", sample[2]["URN"], label, value)
    ]
    assert sample[2]["URN"] in str(oddities[0])


def test_the_year_1900_means_unknown_and_is_not_reported(lines_of, sample):
    school, oddities = gias.school(lines_of([sample[2] | {"OpenDate": "01-01-1900"}])[0])

    assert (school["opened_on"], oddities) == (None, [])


def test_an_unknown_code_is_stored_with_its_name_and_reported(lines_of, sample):
    row = sample[2] | {"TypeOfEstablishment (code)": "99", "TypeOfEstablishment (name)": "Moon school"}

    school, oddities = gias.school(lines_of([row])[0])

    assert (school["type_code"], school["type_name"]) == ("99", "Moon school")
    assert [oddity.kind for oddity in oddities] == ["unknown_code"]


def test_control_characters_are_removed_from_fields(lines_of, sample):
    row = sample[2] | {"EstablishmentName": " Oak\0\tHill\u00a0 School\x07 ", "Street": "Elm  Grove"}

    school, _ = gias.school(lines_of([row])[0])

    assert (school["name"], school["street"]) == ("Oak Hill School", "Elm Grove")


def test_the_digest_of_a_line_changes_only_with_columns_that_are_stored(lines_of, sample):
    row = sample[2]
    digest = lines_of([row])[0].digest

    assert lines_of([row | {"NumberOfPupils": "999"}])[0].digest == digest
    assert lines_of([row | {"Town": "Elsewhere"}])[0].digest != digest


@pytest.mark.parametrize(
    ("damage", "pattern"),
    [
        (lambda rows: rows[9].update(URN="abc"), 'Line 11 has "abc" where its URN'),
        (lambda rows: rows[9].update(URN=""), 'Line 11 has "" where its URN'),
        (lambda rows: rows[9].update(URN=rows[4]["URN"]), r"Line 11 has the URN \d+, which an earlier line has"),
    ],
)
def test_a_file_with_an_invalid_or_repeated_urn_is_refused_with_the_line(lines_of, sample, damage, pattern):
    damage(sample)

    with refused(pattern):
        lines_of(sample)


def test_a_file_with_an_unclosed_quotation_mark_is_refused_with_the_line(lines_of, sample):
    lines = csv_of(sample).split(b"\r\n")
    lines[7] = lines[7].replace(b'"', b"", 1) + b'"'

    with refused(r"quotation marks of line 8 do not pair up"):
        lines_of(b"\r\n".join(lines))


@pytest.mark.parametrize("cut", [1, 150, 600])
def test_a_file_cut_off_in_its_last_line_is_refused(lines_of, sample, cut):
    content = csv_of(sample).rstrip(b"\r\n")

    with refused("Line 301|line 301"):
        lines_of(content[:-cut])


def test_a_last_line_without_a_line_break_is_read(lines_of, sample):
    assert len(lines_of(csv_of(sample).rstrip(b"\r\n"))) == len(sample)


@pytest.mark.parametrize(
    ("website", "host"),
    [
        ("http://www.oak.example", "www.oak.example"),
        ("HTTPS://Oak.Example/home", "oak.example"),
        ("oak.example/a?b#c", "oak.example"),
        ("http:www.oak.example", "www.oak.example"),
        ("http//www.oak.example", "www.oak.example"),
        ("http://http://oak.example", "oak.example"),
        ("htttp:/oak.example:8080", "oak.example"),
        ("office@oak.example", "oak.example"),
        ("http://oak.example@evil.example/", "evil.example"),
        ("https.example", "https.example"),
        ("www.oak tree.example", ""),
        ("javascript:alert(1)", ""),
        ("#", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_website_is_extracted(website, host):
    assert gias.website_host(website) == host


@pytest.mark.parametrize(
    ("telephone", "e164"),
    [
        ("2072831147", "+442072831147"),
        ("02072831147", "+442072831147"),
        ("(020) 7283-1147", "+442072831147"),
        ("0012345678", ""),
        ("112", ""),
        ("+35312345678", ""),
        ("", ""),
    ],
)
def test_only_ten_digits_become_a_british_telephone_number(telephone, e164):
    assert gias.telephone_e164(telephone) == e164


def test_a_links_file_is_read(tmp_path):
    header = b'"URN","LinkURN","LinkName","LinkType","LinkEstablishedDate"\r\n'
    content = header + b'1,2,"B","Successor","01-09-2018"\r\n1,3,"C","Other",""'

    with text_of(content, tmp_path) as text:
        first, second = gias.links(text)

    assert first == gias.Link("1", "2", "B", "Successor", date(2018, 9, 1))
    assert second.since is None


def test_a_links_file_without_its_columns_is_refused(tmp_path):
    with text_of(b"URN,LinkURN\r\n1,2\r\n", tmp_path) as text, refused("not the links file"):
        list(gias.links(text))


@pytest.mark.parametrize(
    ("la", "number", "dfe"),
    [("312", "4567", "3124567"), ("999", "4567", None), ("312", "0000", None), ("999", "0000", None),
     ("31", "4567", None), ("3122", "4567", None), ("312", "456", "3120456"), ("312", "45678", None), ("312", "", None),
     ("", "4567", None), ("3x2", "4567", None), ("312", "45x7", None), ("\u0663\u0661\u0662", "4567", None)],
)  # fmt: skip
def test_a_dfe_number_needs_a_valid_authority_and_number(sample, tmp_path, la, number, dfe):
    row = sample[0] | {"LA (code)": la, "EstablishmentNumber": number}
    with text_of(csv_of([row], encoding="utf-8-sig"), tmp_path) as text:
        (line,) = gias.lines(text)
    assert gias.school(line)[0]["dfe_number"] == dfe
