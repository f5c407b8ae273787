"""How long the audit log is kept."""

from typing import Final

from idp.audit.models import Checkpoint, Details, Entry
from idp.foundation.retention import KeepAll, Rule

RETENTION: Final[tuple[Rule, ...]] = (
    KeepAll(Entry, "append-only: a chain with a link taken out verifies no more"),
    KeepAll(Details, "erased one by one (`log.erase`), for the chain holds only their digest"),
    KeepAll(Checkpoint, "the chain is verified against them"),
)
