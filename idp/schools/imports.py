"""The imports of the register that were made: the last one, those before it, and whether it is time for another."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.schools.models import RegisterImport


def latest() -> RegisterImport | None:
    """The last import, or None when there has been none."""
    return next(iter(recent(1)), None)


def recent(limit: int) -> Sequence[RegisterImport]:
    """The last imports, the newest first."""
    return session().scalars(select(RegisterImport).order_by(RegisterImport.id.desc()).limit(limit)).all()


def is_stale(last: RegisterImport) -> bool:
    """Whether this last import is longer ago than `schools.stale_after_days`."""
    return clock.now() - last.imported_at > timedelta(days=runtime.settings().schools.stale_after_days)
