"""The content of events, as types: never anything about people."""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

AgreementStatus = Literal["active", "paused", "expired", "withdrawn"]
VerificationState = Literal["unverified", "verified", "rejected", "suspended", "closed"]


class SchoolFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a school stood when it happened, in the words of `GET /api/schools`."""

    estab_id: Annotated[str, Meta(description="The school's Estab ID with us.")]
    status: Annotated[AgreementStatus, Meta(description="How the authorisation stood.")]
    verification: Annotated[VerificationState, Meta(description="How the school's account with us stood.")]
    scope: Annotated[str, Meta(description="The scopes that a token had then, separated by spaces.")]
    withheld_scope: Annotated[str, Meta(description="Scopes agreed to and withheld; left out if there were none.")] = ""
    until: Annotated[datetime, Meta(description="When the authorisation expires, or expired.")]
    closes_on: Annotated[
        date | UnsetType, Meta(description="When the school closes, or closed; left out if the register names no day.")
    ] = UNSET
    endpoint: Annotated[
        Literal["connected", "lost"] | UnsetType,
        Meta(description="How the program on the school's server stood; only in events about it."),
    ] = UNSET
    declined_scope: Annotated[
        str, Meta(description="Scopes that it declined, separated by spaces; only in events about a declined review.")
    ] = ""
    declined_agreement_version: Annotated[
        str, Meta(description="The version of the agreement that it declined; left out if that was not asked.")
    ] = ""


class InvitationFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of an invitation."""

    invitation_id: Annotated[str, Meta(description="The `id` of `GET /api/invitations`.")]
    state: Literal["opened", "forwarded", "declined"]
    reference: Annotated[str, Meta(description="Your own reference; left out if you gave none.")] = ""


class VerificationFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was sent along with the request for it."""

    state: Annotated[str, Meta(description="What was sent with the request; left out if nothing was.")] = ""


Facts = SchoolFacts | InvitationFacts | VerificationFacts
