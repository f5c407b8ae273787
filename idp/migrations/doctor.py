"""What `idp doctor` asks of the database: its schema, its clock, its disk."""

import shutil
from collections.abc import Iterator
from typing import Final

from sqlalchemy import func, select

from idp import migrations
from idp.foundation import clock
from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding, Level


def database() -> Iterator[Finding]:
    """Reachable, at the newest schema, its clock near ours, room on its disk."""
    at, head = migrations.here(), migrations.head()
    if at == head:
        yield Finding("database", "ok", f"answers, and is at {head}")
    else:
        yield Finding("database", "fault", f"is at {at or 'nothing'}, the release needs {head}", "run: idp db upgrade")
    if session().get_bind().dialect.name == "postgresql":
        apart = abs((session().scalars(select(func.now())).one() - clock.now()).total_seconds())
        level: Level = "ok" if apart < 5 else "warning"
        yield Finding("clock", level, f"{apart:.0f} s from the database's", "" if level == "ok" else "set both by NTP")
    free = shutil.disk_usage(".").free
    enough = free > 1 << 30
    yield Finding(
        "disk", "ok" if enough else "warning", f"{free >> 20} MiB free", "" if enough else "make room: writes will fail"
    )


CHECKS: Final[tuple[Check, ...]] = (database,)
