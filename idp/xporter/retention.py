"""How long rows about endpoints, and about reads, are kept."""

from typing import Final

from idp.foundation.retention import DeleteAfter, KeepNewest, Rule
from idp.xporter.models import Endpoint, Read

MAX_ENDED: Final = 20
"""Ended endpoints of an estab; the audit log has them all."""

RETENTION: Final[tuple[Rule, ...]] = (
    KeepNewest(Endpoint.ended_at, MAX_ENDED, only=Endpoint.ended_at.is_not(None), per=Endpoint.estab_id),
    DeleteAfter(Read.last_at, "reads"),
)
