"""Checks of `idp doctor` for the audit log."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from idp.audit.models import Entry
from idp.foundation import clock
from idp.foundation.command import format_time
from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding


def audit() -> Iterator[Finding]:
    """Check that entries of the audit log are sealed into its chain in time."""
    oldest = session().scalar(select(func.min(Entry.at)).where(Entry.position.is_(None)))
    if oldest is None or clock.now() - oldest < timedelta(minutes=1):
        yield Finding("audit", "ok", "every entry is in the chain")
    else:
        does = "see: worker, and its log"
        yield Finding("audit", "warning", f"entries since {format_time(oldest)} are not chained", does)


CHECKS: Final[tuple[Check, ...]] = (audit,)
