"""How long schools' agreements are kept."""

from typing import Final

from idp.foundation.retention import KeepAll, Rule
from idp.sharing.models import Authorisation, Decision, Release

RETENTION: Final[tuple[Rule, ...]] = (
    KeepAll(Authorisation, "what a school agreed to must be shown for as long as it may be asked about"),
    KeepAll(Decision, "the history that the school reads"),
    KeepAll(Release, "who released a closed school's sharing to whom must be shown as long as the agreements are"),
)
