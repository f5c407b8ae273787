"""How long rows about workers are kept."""

from typing import Final

from idp.foundation.retention import DeleteAfter, KeepAll, Rule
from idp.jobs.models import Heartbeat, Job

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(Heartbeat.beat_at, "expired"),
    KeepAll(Job, "one for each kind of scheduled job"),
)
