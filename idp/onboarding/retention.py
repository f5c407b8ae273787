"""How long registrations and what belongs to them are kept (security.md §6.4)."""

from typing import Final

from sqlalchemy import exists

from idp.foundation.retention import DeleteAfter, KeepAll, KeepNewest, Rule
from idp.onboarding.models import EmailProof, JoinRequest, Registration, Review, ReviewNote

_has_proof = exists().where(EmailProof.registration_id == Registration.id)
_asks_to_join = exists().where(JoinRequest.registration_id == Registration.id)

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(EmailProof.expires_at, "expired"),
    KeepNewest(EmailProof.expires_at, 50_000),
    DeleteAfter(Registration.expires_at, "expired", Registration.used_at.is_(None) & ~_has_proof),
    KeepNewest(Registration.expires_at, 20_000, Registration.used_at.is_(None) & ~_has_proof),
    DeleteAfter(JoinRequest.expires_at, "registrations"),
    DeleteAfter(
        Registration.expires_at, "registrations", Registration.used_at.is_not(None) & ~_asks_to_join & ~_has_proof
    ),
    KeepAll(Review, "one for each school's account, and how it was decided"),
    KeepAll(ReviewNote, "with its account; erased when a rejected one is reduced (`rejected`)"),
)
"""In this order: what refers to a registration before the registration."""
