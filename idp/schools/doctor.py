"""The check that `idp doctor` makes of the national register."""

from collections.abc import Iterator
from typing import Final

from idp.foundation import dates
from idp.foundation.doctor import Check, Finding
from idp.schools import imports


def register() -> Iterator[Finding]:
    """Check that the register was imported, and not longer ago than `schools.stale_after_days`."""
    last = imports.latest()
    if last is None:
        yield Finding("register", "fault", "no school register was imported", "run: idp schools refresh --download")
        return
    text = f"last imported {dates.day(last.imported_at)}"
    if imports.is_stale(last):
        yield Finding("register", "warning", text, "run daily: idp schools refresh --download")
    else:
        yield Finding("register", "ok", text)


CHECKS: Final[tuple[Check, ...]] = (register,)
