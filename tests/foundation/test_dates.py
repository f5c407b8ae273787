"""Days are written in one form, by British time."""

from datetime import UTC, date, datetime

from idp.foundation import dates

LATE_ON_SUNDAY = datetime(2026, 6, 7, 23, 30, tzinfo=UTC)
"""In London it is Monday already."""


def test_a_moment_is_formatted_in_british_time():
    assert dates.day(LATE_ON_SUNDAY) == "8 June 2026"
    assert dates.weekday_and_day(LATE_ON_SUNDAY) == "Monday 8 June 2026"
    assert dates.day_and_time(LATE_ON_SUNDAY) == "8 June 2026 at 00:30"


def test_a_date_is_formatted_without_a_time_zone():
    assert dates.day(date(2026, 6, 7)) == "7 June 2026"
    assert dates.weekday_and_day(date(2026, 6, 7)) == "Sunday 7 June 2026"
