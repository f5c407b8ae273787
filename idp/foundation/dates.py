"""Dates and times as people in Britain write them; aware times are converted to British time."""

from datetime import date, datetime

from idp.foundation.clock import LONDON


def day(when: date) -> str:
    """A date, or the day of a moment: "2 March 2026"."""
    local = _local(when)
    return f"{local.day} {local:%B %Y}"


def weekday_and_day(when: date) -> str:
    """A date with its day of the week: "Monday 2 March 2026"."""
    return f"{_local(when):%A} {day(when)}"


def day_and_time(when: datetime) -> str:
    """A moment: "2 March 2026 at 09:30"."""
    return f"{day(when)} at {_local(when):%H:%M}"


def _local(when: date) -> date:
    return when.astimezone(LONDON) if isinstance(when, datetime) else when
