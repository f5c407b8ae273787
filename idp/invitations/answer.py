"""The answers of the person who got the link of an invitation: they begin, pass it on, or say that it is not for them.

Following the link only shows a page, because mail scanners follow links too; its buttons use the link up. Each button
locks the invitation first and then claims the link.
"""

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.links import LinkExpired, LinkRefused, LinkSuperseded, LinkUnknown, LinkUsed
from idp.foundation import clock, crypto
from idp.foundation.database import claim, lock, session
from idp.foundation.errors import Refusal
from idp.invitations import mailing, states
from idp.invitations.mailing import Recipient
from idp.invitations.models import InvitationLink, SchoolInvitation
from idp.partner_events import queue
from idp.partner_events.facts import InvitationFacts
from idp.partners import registry, start_link
from idp.partners.snapshots import Snapshot
from idp.partners.start_link import StartLink

MAX_FORWARDS: Final = 3
"""How often an invitation may be passed on."""


class InvitationUnknown(LinkUnknown):
    """No invitation has this link: it is wrong, or the invitation was deleted."""

    message = (
        "Please check that the whole address was copied. An old invitation is deleted some weeks after it expired."
    )


class InvitationBegun(LinkUsed):
    """The reader has continued at the partner; `start` is the link that they followed."""

    code, title = "invitation_begun", "You have already begun"

    def __init__(self, start: StartLink, *, reason: str) -> None:
        self.start = start
        super().__init__(
            f"Please continue at {start.name}. It brings you to us if there is something to authorise.", reason=reason
        )


class InvitationForwarded(LinkUsed):
    """The reader passed the invitation on to someone else."""

    code, title = "invitation_forwarded", "This invitation has been passed on"
    message = (
        "We have written to the person who was named as the one to decide, with a link of their own. You do not need "
        "to do anything."
    )


class InvitationDeclined(LinkRefused):
    """The reader said that the invitation was not for them."""

    code, title = "invitation_declined", "This invitation has been declined"
    message = (
        "Someone has told us that it is not for them. Nothing is shared. If that was a mistake, please ask the "
        "service to invite your school again."
    )


class InvitationCancelled(LinkRefused):
    """The partner cancelled the invitation, or its application was disabled."""

    code, title = "invitation_cancelled", "This invitation has been taken back"
    message = "The service has taken this invitation back. You do not need to do anything, and nothing is shared."


class InvitationSuperseded(LinkSuperseded):
    """A newer link of the invitation was sent."""

    message = "A newer e-mail about this has been sent since then, and only the link in the newest one works."


class InvitationExpired(LinkExpired):
    """The invitation expired unanswered."""

    message = "Invitations are open for some days only. Please ask the service to send it again. Nothing is shared."


class SchoolConnected(Refusal):
    """The school is connected already, so there is nothing to pass on or to decline."""

    code, status, title = "school_connected", 409, "This school is already connected"
    message = "The school has already authorised sharing with this service."


class PassedOnTooOften(Refusal):
    """The invitation was passed on `MAX_FORWARDS` times."""

    code, status, title = "passed_on_too_often", 429, "This invitation has been passed on several times"
    message = (
        "This invitation has been passed on several times, and cannot be passed on again. Please tell the service "
        "whom to ask at your school."
    )


class SamePerson(Refusal):
    """The invitation would be passed on to the address that it was sent to."""

    code, status, title = "same_person", 422, "This is the address that we wrote to"
    message = "Enter the address of someone else: this is the one that we wrote to"


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """An invitation whose link can be used, and what its page names."""

    invitation: SchoolInvitation
    link: InvitationLink
    client: Snapshot
    start: StartLink
    """The link to the partner where the person continues."""
    is_connected: bool
    """Whether the school has authorised sharing with the client already."""


def check(secret: str) -> OpenInvitation:
    """The invitation of this link, without using it up. Raises the `LinkRefused` that says what is wrong."""
    link = session().get(InvitationLink, crypto.digest(secret))
    if link is None:
        raise InvitationUnknown(reason="no invitation has this link")
    return _check(link, session().get_one(SchoolInvitation, link.invitation_id))


def begin(secret: str) -> StartLink:
    """Use the link up, because its reader may decide; returns where they continue. Raises the errors of `check`."""
    current = _lock(secret)
    _use_up(current, "begin")
    current.invitation.opened_at = clock.now()
    _record(events.SCHOOL_INVITATION_OPENED, current, "opened")
    return current.start


def forward(secret: str, recipient: Recipient, *, disclose: bool) -> None:
    """Mail a link to `recipient`, who decides in place of its reader; the partner learns who that is if `disclose`.

    Raises the errors of `check`, and `SchoolConnected`, `SamePerson`, `PassedOnTooOften` and `mailing.TooManyMails`.
    """
    current = _lock(secret)
    invitation = current.invitation
    if people.fold_email(recipient.email) == current.link.email_folded:
        raise SamePerson(reason=invitation.id)
    if invitation.forwards >= MAX_FORWARDS:
        raise PassedOnTooOften(reason=invitation.id)
    mailing.check_address(recipient)
    _use_up(current, "forward")
    invitation.forwards += 1
    invitation.forwarded_at, invitation.opened_at = clock.now(), None
    invitation.disclosed_name = recipient.name if disclose else None
    invitation.disclosed_email = recipient.email if disclose else None
    mailing.send(invitation, current.client, recipient)
    _record(events.SCHOOL_INVITATION_FORWARDED, current, "forwarded")


def decline(secret: str) -> None:
    """Note that the invitation is not for this school or person.

    Raises the errors of `check`, and `SchoolConnected`.
    """
    current = _lock(secret)
    _use_up(current, "decline")
    current.invitation.declined_at = clock.now()
    _record(events.SCHOOL_INVITATION_DECLINED, current, "declined")


def _check(link: InvitationLink, invitation: SchoolInvitation) -> OpenInvitation:
    client, start = registry.client(invitation.client_id), start_link.for_client(invitation.client_id)
    if invitation.cancelled_at is not None or client is None or start is None:
        raise InvitationCancelled(reason=invitation.id)
    if invitation.declined_at is not None:
        raise InvitationDeclined(reason=invitation.id)
    if link.used_at is not None and link.answer == "forward":
        raise InvitationForwarded(reason=invitation.id)
    if link.used_at is not None:
        raise InvitationBegun(start, reason=invitation.id)
    if link.superseded_at is not None:
        raise InvitationSuperseded(reason=invitation.id)
    if link.is_expired:
        raise InvitationExpired(reason=invitation.id)
    return OpenInvitation(invitation, link, client, start, states.is_connected(invitation))


def _lock(secret: str) -> OpenInvitation:
    """Lock the invitation of this link, and return it as it is now.

    Raises the errors of `check`, and `SchoolConnected`.
    """
    lock(SchoolInvitation, check(secret).invitation.id)
    session().expire_all()
    current = check(secret)
    if current.is_connected:
        raise SchoolConnected(reason=current.invitation.id)
    return current


def _use_up(current: OpenInvitation, answer: str) -> None:
    """Use the link up for this answer; the invitation is locked."""
    digest = current.link.digest
    if not claim(InvitationLink, digest=digest, invitation_id=current.invitation.id, answer=None, superseded_at=None):
        raise InvitationUnknown(reason="the link was used at the same moment")
    session().execute(update(InvitationLink).where(InvitationLink.digest == digest).values(answer=answer))
    session().refresh(current.link)


def _record(event: str, current: OpenInvitation, state: Literal["opened", "forwarded", "declined"]) -> None:
    """Record the answer in the audit log, and send the client an event; the invitation is locked."""
    invitation, client_id = current.invitation, current.client.id
    log.record(event, by="stranger", client=client_id, subject=invitation.id)
    facts = InvitationFacts(invitation_id=invitation.id, state=state, reference=invitation.reference)
    queue.record(f"invitation-{state}", client_id=client_id, subject=invitation.id, facts=lambda _client: facts)
