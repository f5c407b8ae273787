"""Checks of `idp doctor` for the database: its schema, its clock, its disk."""

import shutil
from collections.abc import Iterator
from typing import Final

from sqlalchemy import func, select

from idp import migrations
from idp.foundation import clock
from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding, Level


def database() -> Iterator[Finding]:
    """The database responds, has the newest schema, its clock agrees with ours, and its disk has space."""
    revision, head = migrations.current_revision(), migrations.head()
    if revision == head:
        yield Finding("database", "ok", f"responds, and is at {head}")
    else:
        yield Finding(
            "database", "fault", f"is at {revision or 'no revision'}, the release needs {head}", "run: idp db upgrade"
        )
    level: Level
    if session().get_bind().dialect.name == "postgresql":
        difference = abs((session().scalars(select(func.now())).one() - clock.now()).total_seconds())
        level = "ok" if difference < 5 else "warning"
        yield Finding(
            "clock", level, f"{difference:.0f} s from the database's", "" if level == "ok" else "set both by NTP"
        )
    free = shutil.disk_usage(".").free
    has_space = free > 1 << 30
    yield Finding(
        "disk",
        "ok" if has_space else "warning",
        f"{free >> 20} MiB free",
        "" if has_space else "make room: writes will fail",
    )


CHECKS: Final[tuple[Check, ...]] = (database,)
