"""Recognising numbers and postcodes in what was typed."""

import pytest
from hypothesis import given, strategies as st

from idp.schools.query_parser import MAX_LENGTH, parse, tidy


def first_reading(text):
    reading = parse(text)[0]
    return reading.kind, reading.values


@pytest.mark.parametrize(
    "typed",
    [
        "3124567",
        "312/4567",
        "312 4567",
        "312-4567",
        " 312 / 4567 ",
        "DfE number: 312/4567",
        "\uff13\uff11\uff12\uff14\uff15\uff16\uff17",
        "312\u20134567",
        "312\u22124567",
        "3124567.",
        "(312/4567)",
        "312\u200b4567",
    ],
)
def test_seven_digits_are_a_dfe_number(typed):
    assert first_reading(typed) == ("dfe_number", ("3124567",))


def test_the_schools_part_of_a_dfe_number_is_padded():
    assert first_reading("312/750") == ("dfe_number", ("3120750",))


@pytest.mark.parametrize(("typed", "urn"), [("900001", "900001"), ("90001", "90001"), ("URN 900001", "900001")])
def test_five_or_six_digits_are_a_urn(typed, urn):
    assert first_reading(typed) == ("urn", (urn,))


def test_eight_digits_are_a_ukprn():
    assert first_reading("10900001") == ("ukprn", ("10900001",))


@pytest.mark.parametrize(
    "typed",
    ["sw1p4au", "SW1P 4AU", "Sw 1p 4aU", " sw1p  4au ", "SW1P 4AU.", "SW1P\u200b4AU", "\uff33\uff37\uff11\uff30 4AU"],
)
def test_a_postcode_is_read_in_any_case_and_spacing(typed):
    assert first_reading(typed) == ("postcode", ("SW1P 4AU",))


@pytest.mark.parametrize(
    ("typed", "corrected"),
    [("SWIP 4AU", "SW1P 4AU"), ("SW1P OAU", "SW1P 0AU"), ("0X1 2AB", "OX1 2AB"), ("S014 1AB", "SO14 1AB"),
     ("S1O IAB", "S10 1AB")],
)  # fmt: skip
def test_o_and_0_and_i_and_1_are_corrected_where_only_one_is_possible(typed, corrected):
    assert first_reading(typed) == ("postcode", (corrected,))


@pytest.mark.parametrize(
    ("typed", "value", "description"),
    [
        ("BFPO 57", "BFPO 57", "the postcode BFPO 57"), ("bfpo57", "BFPO 57", "the postcode BFPO 57"),
        ("FIQQ 1ZZ", "FIQQ 1ZZ", "the postcode FIQQ 1ZZ"), ("fiqq1zz", "FIQQ 1ZZ", "the postcode FIQQ 1ZZ"),
        ("FIQQ", "FIQQ ", "postcodes beginning FIQQ"), ("GIR 0AA", "GIR 0AA", "the postcode GIR 0AA"),
        ("gir0aa", "GIR 0AA", "the postcode GIR 0AA"),
    ],
)  # fmt: skip
def test_postcodes_of_unusual_form_are_recognised(typed, value, description):
    assert first_reading(typed) == ("postcode", (value,))
    assert parse(typed)[0].description == description


@pytest.mark.parametrize(
    ("typed", "kind", "value"),
    [
        ("nr46jt, norwich", "postcode", "NR4 6JT"), ("Norwich NR4 6JT", "postcode", "NR4 6JT"),
        ("Oak Hill School, BFPO 57", "postcode", "BFPO 57"), ("900001 Willow Bank", "urn", "900001"),
        ("Willow Bank (312/4567)", "dfe_number", "3124567"),
    ],
)  # fmt: skip
def test_a_postcode_or_number_among_words_is_taken_first(typed, kind, value):
    assert first_reading(typed) == (kind, (value,))
    assert parse(typed)[-1].kind == "name"


@pytest.mark.parametrize(
    ("typed", "beginnings"),
    [
        ("TQ13 0", ("TQ13 0",)),
        ("TQ130", ("TQ13 0",)),
        ("B78", ("B78 ", "B78", "B7 8")),
        ("B78 ", ("B78 ",)),
        ("B7 8", ("B7 8",)),
        ("tq1 30", ("TQ13 0",)),
        ("B7", ("B7 ", "B7")),
        ("B781A", ("B78 1A",)),
    ],
)
def test_the_beginning_of_a_postcode_is_read_in_every_way_it_can_be(typed, beginnings):
    assert first_reading(typed) == ("postcode", beginnings)


@pytest.mark.parametrize("typed", ["st marys leeds", "ab", "7 Oaks Lane", "1234", "123456789", "LION", "E17 Academy"])
def test_anything_else_is_a_name(typed):
    assert [reading.kind for reading in parse(typed)] == ["name"]


def test_any_text_may_also_be_a_name():
    assert [reading.kind for reading in parse("E17")] == ["postcode", "name"]


@pytest.mark.parametrize("typed", ["", " ", "x", "(", "\0", "'", "🏫"])
def test_too_short_a_text_has_no_reading(typed):
    assert parse(typed) == ()


@pytest.mark.parametrize(
    ("typed", "description"),
    [
        ("3124567", "the DfE number 312/4567"),
        ("900001", "the URN 900001"),
        ("10900001", "the UKPRN 10900001"),
        ("sw1p4au", "the postcode SW1P 4AU"),
        ("TQ13 0", "postcodes beginning TQ13 0"),
        ("B78", "postcodes beginning B78 or B7 8"),
        ("oak  hill", 'the name or town "oak hill"'),
    ],
)
def test_a_reading_has_a_description(typed, description):
    assert parse(typed)[0].description == description


@given(st.text())
def test_parsing_never_fails(text):
    for reading in parse(text):
        assert reading.values
        assert reading.description


def test_control_characters_are_removed():
    assert tidy("a\0b\x1b\ud800c") == "a b c"
    assert len(tidy("x" * 10_000)) == MAX_LENGTH
