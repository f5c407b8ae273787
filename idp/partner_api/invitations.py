"""Invitations of schools: operations to make, resend, cancel and read them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from idp.foundation import scopes
from idp.invitations import invite, states, targets
from idp.invitations.states import Status
from idp.oidc.tokens.access_tokens import Access
from idp.partner_api.operations import InvalidRequest, NoQuery, operation
from idp.partner_api.responses import Contact, Invitation, Invitations, InvitationState
from idp.schools.models import School

SCOPE: Final = "invitations"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
"""The header that makes a repeated request harmless."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The start of the times in cursors."""
ENDED_PROBLEMS: Final = ("invitation_over",)
"""Problem codes of operations on an invitation that has ended."""
SENDING_PROBLEMS: Final = ("school_not_open", "too_many_invitations", "too_many_mails")
"""Problem codes of operations that send an invitation."""


class NewInvitation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which school is invited, by one of its numbers, whom we write to, and what you will ask for."""

    urn: Annotated[str, Meta(max_length=20)] | UnsetType = UNSET
    dfe_number: (
        Annotated[str, Meta(max_length=20, description="LA code and establishment number, `3124567` or `312/4567`.")]
        | UnsetType
    ) = UNSET
    contact: Annotated[Contact, Meta(description="A person's name and e-mail address.")]
    scope: Annotated[
        str,
        Meta(
            max_length=scopes.MAX_LENGTH,
            description="What you will ask for, separated by spaces; all of it registered.",
        ),
    ]
    mis: (
        Annotated[
            str, Meta(max_length=40, description="The school's system as far as you know: a code such as `sims`.")
        ]
        | UnsetType
    ) = UNSET
    reference: Annotated[
        str, Meta(max_length=invite.MAX_REFERENCE_LENGTH, description="Your own reference; not shown to anyone else.")
    ] = ""


class InvitationsQuery(Struct, frozen=True, kw_only=True):
    """Which invitations, and how many on a page."""

    limit: Annotated[int, Meta(ge=1, le=200, description="Invitations on a page.")] = 100
    cursor: (
        Annotated[str, Meta(pattern="^[0-9]{1,17}-[a-z0-9_]{1,60}$", description="`next` of the page before.")]
        | UnsetType
    ) = UNSET
    state: InvitationState | UnsetType = UNSET


@operation(
    summary="Invite a school", method="POST", query=NoQuery, body=NewInvitation, response_body=Invitation, status=201,
    scope=SCOPE, per_minute=120,
    headers={
        IDEMPOTENCY_KEY: "Your key for this invitation, 1 to 255 characters. "
        "The same request with the same key makes one."
    },
    problem_codes=("invalid_invitation", "school_unknown", *SENDING_PROBLEMS, "idempotency_key_reused"),
)  # fmt: skip
def invite_school(access: Access, _query: NoQuery, body: NewInvitation, headers: Mapping[str, str]) -> Invitation:
    """We write to the contact, with a link to a page that says who you are and what you ask for.

    There the person continues to your `initiate_login_uri`, passes it on to someone else, or declines. Whether
    the school or the person is known to us makes no difference to the response.
    """
    scope, scope_error = frozenset[str](), ""
    try:
        scope = scopes.parse(body.scope)
    except scopes.UnknownScope as error:
        names = ", ".join(sorted(error.names))
        scope_error = f"{error}: {names}" if names else str(error)
    invitation = invite.invite(
        access.client.registered,
        invite.InvitationRequest(
            _school(body),
            body.contact.name,
            body.contact.email,
            scope,
            mis=body.mis or None,
            reference=body.reference,
            scope_error=scope_error,
        ),
        idempotency_key=headers.get(IDEMPOTENCY_KEY),
    )
    return to_invitation(states.find(access.client.id, invitation.id))


@operation(
    summary="List your invitations", query=InvitationsQuery, response_body=Invitations, scope=SCOPE, per_minute=600,
)  # fmt: skip
def list_invitations(access: Access, query: InvitationsQuery) -> Invitations:
    """In the order in which they were made, a page at a time. We delete them some weeks after they expired."""
    after = _read_cursor(query.cursor) if query.cursor else None
    statuses = states.list_for_client(access.client.id, after=after, limit=query.limit + 1, only=query.state or None)
    shown, has_more = statuses[: query.limit], len(statuses) > query.limit
    return Invitations(invitations=tuple(map(to_invitation, shown)), next=_cursor(shown[-1]) if has_more else UNSET)


@operation(summary="Read an invitation", query=NoQuery, response_body=Invitation, scope=SCOPE, per_minute=1200)
def read_invitation(access: Access, _query: NoQuery, invitation_id: str) -> Invitation:
    """One of your invitations; 404 for every other."""
    return to_invitation(states.find(access.client.id, invitation_id))


@operation(
    summary="Send an invitation again", method="POST", query=NoQuery, response_body=Invitation, scope=SCOPE,
    per_minute=120, problem_codes=(*ENDED_PROBLEMS, *SENDING_PROBLEMS),
)  # fmt: skip
def resend_invitation(access: Access, _query: NoQuery, invitation_id: str) -> Invitation:
    """To the person who has it now, with a new link that works for the full time; the old one stops working.

    Three times at most. You can also send one again that has expired.
    """
    return to_invitation(invite.resend(access.client.registered, invitation_id))


@operation(
    summary="Cancel an invitation", method="POST", query=NoQuery, response_body=Invitation, scope=SCOPE, per_minute=600,
    problem_codes=ENDED_PROBLEMS,
)  # fmt: skip
def cancel_invitation(access: Access, _query: NoQuery, invitation_id: str) -> Invitation:
    """Its link stops working, and its page says that you have cancelled it. Repeating this changes nothing."""
    return to_invitation(invite.cancel(access.client.id, invitation_id))


def to_invitation(status: Status) -> Invitation:
    """The invitation as responses contain it."""
    row, forwarded_to = status.invitation, None
    if row.disclosed_name is not None and row.disclosed_email is not None:
        forwarded_to = Contact(name=row.disclosed_name, email=row.disclosed_email)
    return Invitation(
        id=row.id, state=status.state,  # type: ignore[arg-type]
        school=row.school.name, urn=row.school.urn or UNSET, dfe_number=row.school.dfe_number or UNSET,
        contact=Contact(name=row.contact_name, email=row.contact_email), forwarded_to=forwarded_to or UNSET,
        mis=row.mis or UNSET, scope=scopes.format(row.scopes), reference=row.reference, mails=row.sent,
        created_at=row.created_at, expires_at=row.expires_at,
    )  # fmt: skip


def _school(body: NewInvitation) -> School:
    if body.urn and not body.dfe_number:
        return targets.by_urn(body.urn)
    if body.dfe_number and not body.urn:
        return targets.by_dfe_number(body.dfe_number)
    raise invite.InvalidInvitation([("urn", "name the school by either urn or dfe_number")])


def _cursor(status: Status) -> str:
    made_at, last = status.cursor
    return f"{(made_at - EPOCH) // timedelta(microseconds=1)}-{last}"


def _read_cursor(text: str) -> states.Cursor:
    number, _, last = text.partition("-")
    try:
        made_at = EPOCH + timedelta(microseconds=int(number))
    except OverflowError as error:
        raise InvalidRequest("cursor: was not issued by us", reason="cursor") from error
    return made_at, last
