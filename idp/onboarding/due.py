"""When our check of a new school is due: working days, with the bank holidays of the school's own nation.

A working day ends at five in the afternoon, London time. The day of registration does not count, so a school
that registers on Monday at noon and one that does so at midnight are both due by the end of Wednesday.
"""

from datetime import date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING

from idp.foundation import clock

if TYPE_CHECKING:
    from holidays import HolidayBase

CLOSING = time(17, 0)
SATURDAY = 5

NATIONS = {"Scotland": "SCT", "Wales": "WLS", "Northern Ireland": "NIR"}
"""As `School.country` names them; every other one keeps England's holidays."""


def after(start: datetime, working_days: int, nation: str) -> datetime:
    """The end of the last of so many working days that follow the day of `start`."""
    day = start.astimezone(clock.LONDON).date()
    for _ in range(working_days):
        day = _next_working(day, nation)
    return datetime.combine(day, CLOSING, clock.LONDON)


def is_working(day: date, nation: str) -> bool:
    """Whether our staff can call a school of this nation on that day."""
    return day.weekday() < SATURDAY and day not in _bank_holidays(NATIONS.get(nation, "ENG"))


def _next_working(day: date, nation: str) -> date:
    day += timedelta(days=1)
    while not is_working(day, nation):
        day += timedelta(days=1)
    return day


@cache  # the library adds each year when it is first asked about it
def _bank_holidays(subdivision: str) -> "HolidayBase":
    from holidays import country_holidays  # a fourteenth of a cold start, for what only a registration asks

    return country_holidays("GB", subdiv=subdivision)
