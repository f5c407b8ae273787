"""Working days, with the bank holidays of the school's own nation."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, strategies as st

from idp.foundation import dates
from idp.onboarding import working_days

ENGLAND, SCOTLAND, NORTHERN_IRELAND = "England", "Scotland", "Northern Ireland"


def at(day: str, time: str = "09:30") -> datetime:
    return datetime.fromisoformat(f"{day}T{time}:00+00:00")


@pytest.mark.parametrize(
    ("registered", "nation", "expected"),
    [
        ("2026-03-02", ENGLAND, "Wednesday 4 March 2026"),
        ("2026-03-05", ENGLAND, "Monday 9 March 2026"),
        ("2026-03-07", ENGLAND, "Tuesday 10 March 2026"),
        ("2026-04-02", ENGLAND, "Wednesday 8 April 2026"),  # Good Friday and Easter Monday
        ("2026-04-02", SCOTLAND, "Tuesday 7 April 2026"),  # Easter Monday is a working day in Scotland
        ("2026-03-16", ENGLAND, "Wednesday 18 March 2026"),
        ("2026-03-16", NORTHERN_IRELAND, "Thursday 19 March 2026"),  # St Patrick's Day
        ("2026-12-31", SCOTLAND, "Wednesday 6 January 2027"),  # and 4 January stands in for the 2nd
        ("2026-03-02", "Jersey", "Wednesday 4 March 2026"),
        ("2026-03-02", "", "Wednesday 4 March 2026"),
    ],
)
def test_a_new_school_is_due_two_working_days_of_its_nation_later(registered, nation, expected):
    assert dates.weekday_and_day(working_days.end_of_working_day(at(registered), 2, nation)) == expected


def test_a_working_day_ends_at_five_in_london_in_summer_too():
    assert working_days.end_of_working_day(at("2026-07-06"), 2, ENGLAND) == datetime(2026, 7, 8, 16, 0, tzinfo=UTC)


def test_the_day_of_registration_is_the_day_it_is_in_london():
    assert working_days.end_of_working_day(at("2026-07-06", "23:30"), 1, ENGLAND) == working_days.end_of_working_day(
        at("2026-07-07"), 1, ENGLAND
    )


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(1, 10),
    st.sampled_from([ENGLAND, SCOTLAND, "Wales", NORTHERN_IRELAND]),
)
def test_the_end_is_on_a_later_working_day_and_later_with_each_day(start, days, nation):
    end = working_days.end_of_working_day(start, days, nation)

    assert end > start
    assert working_days.is_working_day(end.date(), nation)
    assert working_days.end_of_working_day(start, days + 1, nation) > end


def test_a_weekend_is_never_a_working_day():
    assert not working_days.is_working_day(date(2026, 3, 7), ENGLAND)
    assert not working_days.is_working_day(date(2026, 3, 8), ENGLAND)
