"""How long rows about schools' accounts and their people are kept (security.md §6.4)."""

from typing import Final

from idp.estabs.models import Administrator, Estab, Membership, PersonalSecret, PersonInvitation
from idp.foundation.retention import DeleteAfter, KeepAll, Rule

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(PersonalSecret.expires_at, "expired"),
    DeleteAfter(PersonInvitation.expires_at, "expired"),
    KeepAll(Estab, "an Estab ID is never given again; unused fictional ones are closed by a job"),
    KeepAll(Membership, "agreements and the audit log name the people of a school"),
    KeepAll(Administrator, "agreements and the audit log name their ids; of a rejected school the rest is erased"),
)
