"""How long registrations and what belongs to them are kept (security.md §6.4)."""

from typing import Final

from sqlalchemy import exists

from idp.foundation.retention import DeleteAfter, KeepAll, KeepNewest, Rule
from idp.onboarding.models import EmailVerification, JoinRequest, Registration, Review, ReviewNote

_has_link = exists().where(EmailVerification.registration_id == Registration.id)
_asks_to_join = exists().where(JoinRequest.registration_id == Registration.id)

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(EmailVerification.expires_at, "expired"),
    KeepNewest(EmailVerification.expires_at, 50_000),
    DeleteAfter(Registration.expires_at, "expired", Registration.used_at.is_(None) & ~_has_link),
    KeepNewest(Registration.expires_at, 20_000, Registration.used_at.is_(None) & ~_has_link),
    DeleteAfter(JoinRequest.expires_at, "registrations"),
    DeleteAfter(
        Registration.expires_at, "registrations", Registration.used_at.is_not(None) & ~_asks_to_join & ~_has_link
    ),
    KeepAll(Review, "one for each school's account, and how it was decided"),
    KeepAll(ReviewNote, "with its account; erased with the personal data of a rejected one (`rejected`)"),
)
"""In this order: what refers to a registration before the registration."""
