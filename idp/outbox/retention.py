"""How long messages are kept; their content is erased as soon as they are sent (security.md §6.4)."""

from typing import Final

from idp.foundation.retention import DeleteAfter, KeepNewest, Rule
from idp.outbox.models import Message

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(Message.sent_at, "outbox"),
    KeepNewest(Message.sent_at, 200_000, Message.sent_at.is_not(None)),
    DeleteAfter(Message.failed_at, "outbox_failed"),
    KeepNewest(Message.failed_at, 200_000, Message.failed_at.is_not(None)),
)
