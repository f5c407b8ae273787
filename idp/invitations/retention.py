"""How long invitations of schools are kept (security.md §6.4)."""

from typing import Final

from idp.foundation.retention import DeleteAfter, Rule
from idp.invitations.models import InvitationLink, SchoolInvitation

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(InvitationLink.expires_at, "invitations"),
    DeleteAfter(SchoolInvitation.expires_at, "invitations"),
)
