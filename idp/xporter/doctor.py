"""Checks of `idp doctor` for the agents on schools' servers."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import case, func, select

from idp.foundation import clock
from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding
from idp.partners import resources
from idp.xporter.endpoints import SCOPE
from idp.xporter.models import LOSS_DELAY, Endpoint

MAX_LOST_WITHOUT_WARNING: Final = 5
"""How many endpoints may be lost without a warning: schools switch servers off in the holidays."""


def endpoints() -> Iterator[Finding]:
    """Check that schools' servers report, and that an API is registered for their extracts."""
    is_lost = case((Endpoint.heard_at <= clock.now() - LOSS_DELAY, 1), else_=0)
    counts = select(func.count(), func.coalesce(func.sum(is_lost), 0)).where(Endpoint.ended_at.is_(None))
    total, lost = session().execute(counts).one()
    summary = f"{total} registered, {lost} of them lost"
    if lost > MAX_LOST_WITHOUT_WARNING and lost * 2 > total:
        yield Finding("endpoints", "warning", summary, "most servers do not reach us: idp endpoints list --lost")
    else:
        yield Finding("endpoints", "ok", summary)
    if total and not resources.serving({SCOPE}):
        do = "register it, with endpoint in resource_scopes: idp clients register"
        yield Finding("endpoints", "warning", "no enabled API takes what schools' servers send", do)


CHECKS: Final[tuple[Check, ...]] = (endpoints,)
