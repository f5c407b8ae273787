"""How long rows about endpoints, and about reads, are kept."""

from typing import Final

from idp.foundation.retention import DeleteAfter, KeepNewest, Rule
from idp.xporter.models import Endpoint, Read

MAX_ENDED_PER_ESTAB: Final = 20
"""How many ended endpoints are kept for each estab; the audit log has them all."""

RETENTION: Final[tuple[Rule, ...]] = (
    KeepNewest(Endpoint.ended_at, MAX_ENDED_PER_ESTAB, only=Endpoint.ended_at.is_not(None), per=Endpoint.estab_id),
    DeleteAfter(Read.last_at, "reads"),
)
