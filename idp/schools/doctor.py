"""The check that `idp doctor` makes of the national register."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from idp.foundation import clock, dates, runtime
from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding
from idp.schools.models import RegisterImport


def register() -> Iterator[Finding]:
    """Check that the register was imported, and not longer ago than `schools.stale_after_days`."""
    newest = session().scalar(select(func.max(RegisterImport.imported_at)))
    days = runtime.settings().schools.stale_after_days
    if newest is None:
        yield Finding("register", "fault", "no school register was imported", "run: idp schools refresh --download")
    elif clock.now() - newest > timedelta(days=days):
        yield Finding(
            "register", "warning", f"last imported {dates.day(newest)}", "run daily: idp schools refresh --download"
        )
    else:
        yield Finding("register", "ok", f"last imported {dates.day(newest)}")


CHECKS: Final[tuple[Check, ...]] = (register,)
