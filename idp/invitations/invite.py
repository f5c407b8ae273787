"""What a partner's application does: invite a school, send the invitation again, and cancel it.

Nothing here checks whether the address or the school has an account, so that a partner learns nothing about either.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select, update
from wtforms.validators import ValidationError

from idp.audit import events, log
from idp.foundation import clock, crypto, inserts, runtime
from idp.foundation.database import advisory_lock, lock, session
from idp.foundation.errors import NotFound, Refusal, TooManyRequests
from idp.foundation.web import contact_fields
from idp.invitations import mailing, states, targets
from idp.invitations.mailing import Recipient
from idp.invitations.models import SchoolInvitation
from idp.invitations.states import Status
from idp.partners import mis_catalogue, registry
from idp.partners.snapshots import Snapshot
from idp.schools.models import School

MAX_MAILS: Final = 4
"""How many mails a partner may have us send for one invitation: the first, and three more."""
MAX_REFERENCE_LENGTH: Final = 200
"""In characters, of the partner's own reference."""
MAX_KEY_LENGTH: Final = 255
"""In characters, of an idempotency key."""


class InvalidInvitation(Refusal):
    """The invitation has invalid fields; `field_errors` lists each with its name and what is wrong."""

    code, status, title = "invalid_invitation", 422, "This invitation cannot be sent"

    def __init__(self, field_errors: list[tuple[str, str]]) -> None:
        self.field_errors = field_errors
        super().__init__(" ".join(f"{name}: {error}." for name, error in field_errors), reason=field_errors[0][0])


class KeyReused(Refusal):
    """Another invitation of this client came with the same idempotency key."""

    code, status, title = "idempotency_key_reused", 422, "This idempotency key was used for something else"
    message = "Another invitation was made with this idempotency key. Use a new key for each invitation."


class TooManyInvitations(TooManyRequests):
    """The client has too many open, made too many today, or sent one too often; the message says which."""

    code, title = "too_many_invitations", "This application has sent enough invitations for now"


class InvitationOver(Refusal):
    """The invitation was answered or cancelled, so it cannot be sent again or cancelled; the message says which."""

    code, status, title = "invitation_over", 409, "This invitation is over"


@dataclass(frozen=True, slots=True)
class InvitationRequest:
    """What a partner asks for, as it came. `mis` is a code of config/mis.toml, or None."""

    school: School
    name: str
    email: str
    scopes: frozenset[str]
    mis: str | None = None
    reference: str = ""
    scope_error: str = ""
    """Why its scopes could not be read; empty if they could."""


def invite(client: Snapshot, request: InvitationRequest, *, idempotency_key: str | None = None) -> SchoolInvitation:
    """Mail an invitation to the contact that `request` names, and return it.

    A request that comes again with its key, from the same client, returns the first invitation; a unique index decides
    between two at once. Raises `InvalidInvitation`, `targets.SchoolNotOpen`, `KeyReused`, `TooManyInvitations` and
    `mailing.TooManyMails`.
    """
    checked, key = _cleaned(client, request, idempotency_key), _key_digest(idempotency_key)
    content = _content_digest(checked)
    advisory_lock("school_invitations", client.id)  # for the limits
    if key is not None and (earlier := _find_by_key(client.id, key)) is not None:
        return _repeated(earlier, content)
    targets.require_open(checked.school)
    _check_limits(client.id)
    recipient, now, invitation_id = Recipient(checked.name, checked.email), clock.now(), crypto.new_id("sin")
    mailing.check_address(recipient)
    is_new = inserts.insert_if_absent(
        SchoolInvitation, id=invitation_id, client_id=client.id, school_id=checked.school.id,
        contact_name=checked.name, contact_email=checked.email, mis=checked.mis, scopes=checked.scopes,
        reference=checked.reference, idempotency_digest=key, content_digest=content, sent=1, forwards=0,
        created_at=now, expires_at=now,
    )  # fmt: skip
    if not is_new:
        earlier = None if key is None else _find_by_key(client.id, key)
        assert earlier is not None
        return _repeated(earlier, content)
    invitation = session().get_one(SchoolInvitation, invitation_id)
    mailing.send(invitation, client, recipient)
    log.record(
        events.SCHOOL_INVITED, by=client.id, client=client.id, subject=invitation_id, school=checked.school.id,
        scopes=checked.scopes, mis=checked.mis,
    )  # fmt: skip
    return invitation


def resend(client: Snapshot, invitation_id: str) -> Status:
    """Mail a new link to the person who has the invitation now; it works for the whole time again.

    Raises `NotFound`, also for other clients' invitations; `InvitationOver`, `TooManyInvitations`,
    `targets.SchoolNotOpen` and `mailing.TooManyMails`.
    """
    invitation = lock(SchoolInvitation, invitation_id)
    if invitation is None or invitation.client_id != client.id:
        raise NotFound(reason=f"{client.id} has no invitation {invitation_id!r}")
    _require_unanswered(states.find(client.id, invitation_id))
    targets.require_open(invitation.school)
    if invitation.sent >= MAX_MAILS:
        raise TooManyInvitations(
            f"This invitation has been sent {MAX_MAILS} times. Check the address with the school; if it is wrong, "
            "cancel the invitation and make another one.",
            reason=invitation.id,
        )
    recipient = mailing.newest_recipient(invitation)
    mailing.check_address(recipient)
    invitation.sent += 1
    mailing.send(invitation, client, recipient)
    log.record(events.SCHOOL_INVITED_AGAIN, by=client.id, client=client.id, subject=invitation.id)
    session().flush()
    return states.find(client.id, invitation_id)


def cancel(client_id: str, invitation_id: str) -> Status:
    """Cancel an invitation: its link stops working. Cancelling it again changes nothing.

    A conditional UPDATE decides between this and an answer. Raises `NotFound` and `InvitationOver`.
    """
    is_open = SchoolInvitation.client_id == client_id, states.state().in_(states.UNANSWERED_STATES)
    statement = update(SchoolInvitation).where(SchoolInvitation.id == invitation_id, *is_open)
    statement = statement.values(cancelled_at=clock.now()).returning(SchoolInvitation.id)
    cancelled = session().execute(statement.execution_options(synchronize_session=False)).one_or_none()
    status = states.find(client_id, invitation_id)
    if cancelled is not None:
        log.record(events.SCHOOL_INVITATION_CANCELLED, by=client_id, client=client_id, subject=invitation_id)
    elif status.state != "cancelled":
        _require_unanswered(status)
    return status


def _cleaned(client: Snapshot, request: InvitationRequest, key: str | None) -> InvitationRequest:
    """The request with its name and address cleaned. Raises `InvalidInvitation` with all that is wrong."""
    field_errors: list[tuple[str, str]] = []
    name, email = contact_fields.one_line(request.name), request.email
    try:
        contact_fields.check_name(name, whose="their")
    except ValidationError as error:
        field_errors.append(("contact.name", str(error)))
    try:
        email = contact_fields.parse_email(request.email, whose="their")
    except ValidationError as error:
        field_errors.append(("contact.email", str(error)))
    if scope_error := _scope_error(client, request):
        field_errors.append(("scope", scope_error))
    if request.mis is not None and request.mis not in mis_catalogue.catalogue():
        field_errors.append(("mis", f"no such system; there are {', '.join(mis_catalogue.catalogue())}"))
    elif request.mis is not None and not registry.accepts_mis(client, request.mis):
        field_errors.append(("mis", f"this client works with {mis_catalogue.names(client.accepted_mis)} only"))
    if len(request.reference) > MAX_REFERENCE_LENGTH or not request.reference.isprintable():
        field_errors.append(("reference", f"at most {MAX_REFERENCE_LENGTH} characters, in one line"))
    if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH):
        field_errors.append(("Idempotency-Key", f"1 to {MAX_KEY_LENGTH} characters"))
    if field_errors:
        raise InvalidInvitation(field_errors)
    return InvitationRequest(request.school, name, email, request.scopes, request.mis, request.reference)


def _scope_error(client: Snapshot, request: InvitationRequest) -> str:
    """What is wrong with the scopes of the request; empty if nothing is."""
    if request.scope_error:
        return request.scope_error
    if not request.scopes:
        return "name at least one scope"
    others = ", ".join(sorted(request.scopes - client.scopes))
    return f"this client is not registered for {others}" if others else ""


def _key_digest(key: str | None) -> bytes | None:
    return None if key is None else crypto.digest(key)


def _content_digest(request: InvitationRequest) -> bytes:
    """The digest of what is asked for, which is the same for the same request."""
    fields = {"school": request.school.id, "scopes": sorted(request.scopes)}
    fields |= {name: getattr(request, name) for name in ("name", "email", "mis", "reference")}
    return crypto.digest(log.canonical(fields).decode("ascii"))


def _find_by_key(client_id: str, key: bytes) -> SchoolInvitation | None:
    conditions = SchoolInvitation.client_id == client_id, SchoolInvitation.idempotency_digest == key
    return session().scalars(select(SchoolInvitation).where(*conditions)).one_or_none()


def _repeated(earlier: SchoolInvitation, content: bytes) -> SchoolInvitation:
    """The invitation that an earlier request with this key made. Raises `KeyReused` if its content was different."""
    if not crypto.constant_time_compare(earlier.content_digest, content):
        raise KeyReused(reason=earlier.id)
    return earlier


def _check_limits(client_id: str) -> None:
    settings = runtime.settings().invitations
    count = select(func.count()).select_from(SchoolInvitation).where(SchoolInvitation.client_id == client_id)
    recent = SchoolInvitation.created_at > clock.now() - timedelta(days=1)
    if (session().scalar(count.where(recent)) or 0) >= settings.max_a_day:
        raise TooManyInvitations(
            f"This application has made {settings.max_a_day} invitations within 24 hours, and cannot make more today.",
            reason=client_id,
            retry_after=int(timedelta(days=1).total_seconds()),
        )
    if (session().scalar(count.where(states.state().in_(states.WAITING_STATES))) or 0) >= settings.max_open:
        raise TooManyInvitations(
            f"{settings.max_open} invitations of this application wait for an answer. Cancel those that are no longer "
            "needed.",
            reason=client_id,
            retry_after=int(timedelta(hours=1).total_seconds()),
        )


def _require_unanswered(status: Status) -> None:
    if status.state not in states.UNANSWERED_STATES:
        raise InvitationOver(f"This invitation was {status.state}.", reason=status.invitation.id)
