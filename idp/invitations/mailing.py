"""Send the link of an invitation to a person. A newer link supersedes the previous one, whatever its recipient."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select, update

from idp.estabs import people
from idp.foundation import clock, crypto, dates, runtime, scopes
from idp.foundation.database import advisory_lock, session
from idp.foundation.errors import TooManyRequests
from idp.invitations.models import InvitationLink, SchoolInvitation
from idp.outbox import post
from idp.partners.snapshots import Snapshot

MAX_MAILS_TO_ADDRESS: Final = 5
"""Mails to one address within `WINDOW`, of all partners together, so that no one can flood a mailbox through us."""
WINDOW: Final = timedelta(days=1)


class TooManyMails(TooManyRequests):
    """The address was sent `MAX_MAILS_TO_ADDRESS` mails within `WINDOW`."""

    code, title = "too_many_mails", "We have written to this address several times today"
    message = "We have sent several invitations to this e-mail address today. Please try again tomorrow."


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom the link is sent to. `is_forwarded`: named by an earlier recipient, and not by the partner."""

    name: str
    email: str
    is_forwarded: bool = False


def check_address(recipient: Recipient) -> None:
    """Raise `TooManyMails` where the address got enough; until the transaction ends, no other one sends to it."""
    folded = people.fold_email(recipient.email)
    advisory_lock("school_invitation_links", folded)
    recent = InvitationLink.email_folded == folded, InvitationLink.created_at > clock.now() - WINDOW
    if (session().scalar(select(func.count()).select_from(InvitationLink).where(*recent)) or 0) >= MAX_MAILS_TO_ADDRESS:
        raise TooManyMails(reason="an address is at its limit", retry_after=int(WINDOW.total_seconds()))


def send(invitation: SchoolInvitation, client: Snapshot, recipient: Recipient) -> None:
    """Give the invitation a new link and its whole time, and mail the link.

    The caller holds the invitation's lock, has counted the mail in it, and has called `check_address`.
    """
    secret, now = crypto.new_secret(), clock.now()
    days = runtime.settings().invitations.lifetime_days
    invitation.expires_at = now + timedelta(days=days)
    unused = InvitationLink.used_at.is_(None), InvitationLink.superseded_at.is_(None)
    statement = update(InvitationLink).where(InvitationLink.invitation_id == invitation.id, *unused)
    session().execute(statement.values(superseded_at=now))
    session().add(
        InvitationLink(
            digest=crypto.digest(secret), invitation_id=invitation.id, number=invitation.sent + invitation.forwards,
            name=recipient.name, email=recipient.email,
            email_folded=people.fold_email(recipient.email), is_forwarded=recipient.is_forwarded, created_at=now,
            expires_at=invitation.expires_at, used_at=None, answer=None, superseded_at=None,
        )
    )  # fmt: skip
    data_scopes = scopes.filter_by_kind("data", invitation.scopes & client.scopes)
    post.email(
        "partner_invitation_forwarded" if recipient.is_forwarded else "partner_invitation",
        to=recipient.email, expires=invitation.expires_at, client=client.id,
        name=recipient.name, school=invitation.school.name, client_name=client.client_name,
        partner_name=client.partner_name, purpose=client.purpose,
        areas=[area.title for area in scopes.in_order(data_scopes)],
        until=dates.day_and_time(invitation.expires_at), link=runtime.url(f"/invitations/{secret}"),
    )  # fmt: skip


def newest_recipient(invitation: SchoolInvitation) -> Recipient:
    """Whom the newest link of the invitation was sent to."""
    links = select(InvitationLink).where(InvitationLink.invitation_id == invitation.id)
    newest = links.order_by(InvitationLink.number.desc()).limit(1)
    link = session().scalars(newest).one()
    return Recipient(link.name, link.email, link.is_forwarded)
