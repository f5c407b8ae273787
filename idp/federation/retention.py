"""How long requests to other providers are kept, and links of people who were removed (security.md §6.4)."""

from typing import Final

from sqlalchemy import select

from idp.estabs.models import Administrator
from idp.federation.models import FederatedRequest, LinkedAccount
from idp.foundation.retention import DeleteAfter, KeepNewest, Rule

_REMOVED_PEOPLE = select(Administrator.id).where(Administrator.removed_at.is_not(None))

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(FederatedRequest.expires_at, "expired"),
    KeepNewest(FederatedRequest.expires_at, 50_000),
    DeleteAfter(LinkedAccount.linked_at, "expired", LinkedAccount.person_id.in_(_REMOVED_PEOPLE)),
)
