"""How long events are kept: delivered ones too, so that they can be delivered again."""

from typing import Final

from idp.foundation.retention import DeleteAfter, KeepAll, KeepNewest, Rule
from idp.partner_events.models import EventStream, PartnerEvent

MAX_PER_CLIENT: Final = 100_000
"""Events that are kept for one client, delivered or not."""

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(PartnerEvent.created_at, "partner_events"),
    KeepNewest(PartnerEvent.number, MAX_PER_CLIENT, per=PartnerEvent.client_id),
    KeepAll(EventStream, "one for each client"),
)
