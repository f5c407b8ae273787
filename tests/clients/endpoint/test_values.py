"""Values as MIS write them."""

import datetime as dt

import pytest
from hypothesis import given, strategies as st

from clients.endpoint import values
from clients.endpoint.values import InvalidValue, RepairedValue

CONVERTERS = (
    values.text, values.day, values.yes_or_no, values.minutes, values.clock_time, values.weekday, values.texts,
    values.email, values.telephone, values.upn, values.year_group, values.curriculum_year,
)  # fmt: skip


@pytest.mark.parametrize(
    ("convert", "value", "expected"),
    [
        (values.text, "  Ada ", "Ada"),
        (values.text, "Zoe\u0308", "Zoë"),
        (values.text, "A\u0000da\u200b", "A da"),
        (values.text, 4001.0, "4001"),
        (values.text, "NULL", None),
        (values.text, "null", None),
        (values.text, "n/a", None),
        (values.text, "N/A", None),
        (values.text, "Null", "Null"),  # a surname
        (values.text, "#N/A", None),
        (values.text, None, None),
        (values.day, "02/09/2026", "2026-09-02"),
        (values.day, "2/9/2026", "2026-09-02"),
        (values.day, "02/09/2026 00:00:00", "2026-09-02"),
        (values.day, "2026-09-02T00:00:00", "2026-09-02"),
        (values.day, "2026-09-01T23:00:00Z", "2026-09-02"),  # midnight in Britain
        (values.day, "2014-04-30 23:00:00.000+00:00", "2014-05-01"),
        (values.day, "2014-12-31T23:00:00Z", "2014-12-31"),
        (values.day, "2014-04-30T23:00:00", "2014-04-30"),
        (values.day, "2014-05-01T00:00:00+01:00", "2014-05-01"),
        (values.day, "2026-03-28T23:00:00Z", "2026-03-28"),
        (values.day, "2026-03-29T23:00:00Z", "2026-03-30"),
        (values.day, "2026-10-24T23:00Z", "2026-10-25"),
        (values.day, "2026-10-25T23:00Z", "2026-10-25"),
        (values.day, "02 Sep 2026", "2026-09-02"),
        (values.day, dt.datetime(2026, 9, 2, 12, tzinfo=dt.UTC), "2026-09-02"),
        (values.day, "", None),
        (values.yes_or_no, "T", True),
        (values.yes_or_no, "no", False),
        (values.yes_or_no, False, False),
        (values.yes_or_no, 1.0, True),
        (values.minutes, "07", 7),
        (values.clock_time, "8.50", "08:50"),
        (values.clock_time, "08:50:00", "08:50"),
        (values.clock_time, dt.time(8, 50), "08:50"),
        (values.weekday, "Wednesday", 3),
        (values.weekday, 5.0, 5),
        (values.texts, "Peanuts; Latex;", ["Peanuts", "Latex"]),
        (values.texts, ["Peanuts", None], ["Peanuts"]),
        (values.texts, [], None),
        (values.upn, "a99040012026b", "A99040012026B"),
        (values.telephone, "020 7946 0123", "020 7946 0123"),
        (values.telephone, "+44 7700 900123", "+44 7700 900123"),
        (values.telephone, "07700900123", "07700900123"),
        (values.telephone, "7700 900123", "7700 900123"),
        (values.telephone, 900123, "900123"),
        (values.telephone, "-", None),
        (values.year_group, "7", "Year 7"),
        (values.year_group, "Yr 07", "Year 7"),
        (values.year_group, "Reception", "Reception"),
        (values.curriculum_year, "Reception", None),
    ],
)
def test_a_value_is_converted(convert, value, expected):
    assert convert(value) == expected


@pytest.mark.parametrize(
    ("convert", "value"),
    [
        (values.day, "31/02/2026"),
        (values.day, "09/2026"),
        (values.day, "01/01/0026"),
        (values.day, 46000),
        (values.yes_or_no, "perhaps"),
        (values.minutes, "-3"),
        (values.minutes, "٣"),
        (values.clock_time, "25:00"),
        (values.weekday, "8"),
        (values.email, "office at school"),
        (values.upn, "A123"),
        (values.text, ["a"]),
        (values.text, "x" * 1001),
    ],
)
def test_a_wrong_value_is_refused_without_repeating_it(convert, value):
    with pytest.raises(InvalidValue) as raised:
        convert(value)

    assert not isinstance(raised.value, RepairedValue)
    assert str(value) not in str(raised.value)


@pytest.mark.parametrize(("name", "misread"), [("Zoë", "ZoÃ«"), ("O’Farrow", "Oâ€™Farrow")])
def test_text_saved_in_the_wrong_encoding_is_repaired(name, misread):
    with pytest.raises(RepairedValue) as repaired:
        values.text(misread)

    assert repaired.value.value == name


@pytest.mark.parametrize(
    ("number", "repaired_number"),
    [
        (7700900123, "07700900123"),
        (7700900123.0, "07700900123"),
        ("2079460123", "02079460123"),
        (447700900123, "+447700900123"),
    ],
)
def test_a_telephone_number_that_a_spreadsheet_took_for_a_number_is_repaired(number, repaired_number):
    with pytest.raises(RepairedValue, match="as a number") as repaired:
        values.telephone(number)

    assert repaired.value.value == repaired_number


def test_a_valid_name_that_looks_like_wrong_encoding_is_not_changed():
    assert values.text("João Ângelo") == "João Ângelo"


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.text()), st.datetimes()))
def test_any_value_is_converted_or_raises_invalid_value(value):
    for convert in CONVERTERS:
        try:
            convert(value)
        except InvalidValue:
            continue
