"""Working days, with the bank holidays of the school's own nation: when our check of a new school is due.

A working day ends at five in the afternoon, London time. The day of registration does not count, so a school
that registers on Monday at noon and one that does so at midnight are both due by the end of Wednesday.
"""

from datetime import date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING

from idp.foundation import clock

if TYPE_CHECKING:
    from holidays import HolidayBase

END_OF_DAY = time(17, 0)
SATURDAY = 5

NATIONS = {"Scotland": "SCT", "Wales": "WLS", "Northern Ireland": "NIR"}
"""Values of `School.country`, as the holidays library names them; every other country has England's holidays."""


def end_of_working_day(start: datetime, count: int, nation: str) -> datetime:
    """The end of the last of `count` working days that follow the day of `start`."""
    day = start.astimezone(clock.LONDON).date()
    for _ in range(count):
        day = _next_working_day(day, nation)
    return datetime.combine(day, END_OF_DAY, clock.LONDON)


def is_working_day(day: date, nation: str) -> bool:
    """Whether our staff can call a school of this nation on that day."""
    return day.weekday() < SATURDAY and day not in _bank_holidays(NATIONS.get(nation, "ENG"))


def _next_working_day(day: date, nation: str) -> date:
    day += timedelta(days=1)
    while not is_working_day(day, nation):
        day += timedelta(days=1)
    return day


@cache  # the library calculates each year on first use
def _bank_holidays(subdivision: str) -> "HolidayBase":
    from holidays import country_holidays  # imported late: it is 7 % of a cold start, and only registration needs it

    return country_holidays("GB", subdiv=subdivision)
