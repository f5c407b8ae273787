"""How pages describe the state of a school, and the reasons why one cannot register."""

from datetime import UTC, date, datetime

import pytest

from idp.foundation import clock as clocks
from idp.schools import status
from idp.schools.models import School


def a_school(**overrides):
    values = {"status_code": "1", "status_name": "Open", "type_code": "1", "closed_on": None, "opened_on": None}
    return School(**(values | {"left_register_on": None} | overrides))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({}, "Open"),
        ({"status_code": "3", "closed_on": date(2031, 8, 31)}, "Open, closing on 31 August 2031"),
        ({"status_code": "3", "closed_on": date(2020, 8, 31)}, "Open, due to close"),
        ({"status_code": "3"}, "Open, due to close"),
        ({"status_code": "4", "opened_on": date(2031, 9, 1)}, "Not open yet, opens on 1 September 2031"),
        ({"status_code": "4"}, "Not open yet"),
        ({"status_code": "2", "closed_on": date(2019, 8, 31)}, "Closed on 31 August 2019"),
        ({"status_code": "2"}, "Closed"),
        ({"status_code": "9", "status_name": "Paused"}, "Paused"),
        ({"left_register_on": date(2026, 1, 1)}, "No longer in the register"),
    ],
)
def test_a_state_is_described_in_words(clock, overrides, words):
    assert status.describe(a_school(**overrides)) == words


def test_a_school_closes_when_its_last_day_is_over_in_britain():
    school = a_school(status_code="3", closed_on=date(2026, 8, 30))
    with clocks.fixed(datetime(2026, 8, 30, 22, 59, tzinfo=UTC)):
        assert status.describe(school) == "Open, closing on 30 August 2026"
    with clocks.fixed(datetime(2026, 8, 30, 23, 1, tzinfo=UTC)):
        assert status.describe(school) == "Open, due to close"


@pytest.mark.parametrize("overrides", [{}, {"status_code": "3"}, {"type_code": "30"}, {"type_code": "37"}])
def test_open_schools_of_any_kind_may_register(overrides):
    assert status.reason_not_to_register(a_school(**overrides)) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"status_code": "2"}, "has closed"),
        ({"status_code": "4", "opened_on": date(2031, 9, 1)}, "register on 1 September 2031"),
        ({"status_code": "4"}, "once it has opened"),
        ({"status_code": "9"}, "does not list this school as open"),
        ({"type_code": "29"}, "cannot register with us"),
        ({"type_code": "47"}, "cannot register with us"),
        ({"type_code": "48"}, "cannot register with us"),
        ({"left_register_on": date(2026, 1, 1)}, "no longer in the national register"),
    ],
)
def test_other_schools_get_the_reason_not_to_register(overrides, message):
    assert message in status.reason_not_to_register(a_school(**overrides))
