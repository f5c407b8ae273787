"""Invitations of people to act for a school. An owner has us send a link by mail.

The link proves the address: a person without an account creates one, and a person with an account signs in and accepts.
Inviting does not look up whether the address has an account, so an owner learns nothing about it. A conditional UPDATE
of the invitation decides between two acceptances, or between an acceptance and a cancellation; the estab's row is
locked first, as for every change of a school's people. The open invitations of an owner are cancelled when they stop
being an owner.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, select, update

from idp.audit import events, log
from idp.estabs import links, owners, people, people_notices
from idp.estabs.models import ACTIVE_STATES, Administrator, Estab, Membership, PersonInvitation
from idp.estabs.permissions import ROLES, SUMMARIES, TITLES
from idp.foundation import clock, crypto, dates, runtime
from idp.foundation.database import claim, lock, row_isolated, session
from idp.foundation.errors import NotFound, Refusal, TooManyRequests
from idp.outbox import post

MAX_OPEN: Final = 20
"""How many open invitations a school may have."""
MAX_A_DAY: Final = 30
"""How many invitations a school may make in 24 hours, including cancelled ones."""
MAX_MAILS: Final = 4
"""Mails for one invitation: the first, and three more.

It is also the limit of mails of a school to one address in 24 hours, over all invitations, so that cancelling an
invitation and making a new one does not avoid it.
"""
MAX_REMINDER_LEAD: Final = timedelta(days=2)
"""How long before its expiry the person is reminded of an invitation; half of its lifetime where that is shorter."""


class InvitationCancelled(links.LinkRefused):
    """The school cancelled the invitation, or its inviter is no longer an owner."""

    code, title = "invitation_cancelled", "This invitation has been taken back"
    message = (
        "The school has taken this invitation back. If you think that this is a mistake, please ask the person who "
        "invited you."
    )


class InvitationUnknown(links.LinkUnknown):
    """No invitation has this link now; a newer link may have replaced it."""

    message = (
        "If we have sent you a newer link, only that one works. Otherwise check that the whole address was copied."
    )


class InvitationExpired(links.LinkExpired):
    """The invitation has expired."""

    message = "Invitations are open for a few days only. Please ask the person who invited you to send it again."


class InvitationUsed(links.LinkUsed):
    """The invitation has been accepted."""

    message = "This invitation has already been accepted. If it was you, you can sign in."


class SchoolNotActive(links.LinkRefused):
    """The estab was rejected, suspended or closed."""

    code, title = "invitation_over", "This school's account is not active"
    message = "The school's account is not active at the moment, so no one can join it. Please ask at the school."


class MemberAlready(Refusal):
    """The person already acts for the school."""

    code, status, title = "member_already", 409, "This person already acts for the school"
    message = "The person with this e-mail address already acts for the school."


class InvitedAlready(Refusal):
    """There is an open invitation to this address."""

    code, status, title = "invited_already", 409, "This person has already been invited"
    message = "This address has already been invited. You can send the link again from the People page."


class TooManyInvitations(TooManyRequests):
    """`MAX_OPEN`, `MAX_A_DAY` or `MAX_MAILS` is reached; the message says which, and what to do."""

    code, title = "too_many_invitations", "You have sent enough invitations for now"


class InvitedSomeoneElse(Refusal):
    """The address of the person who is signed in is not the one that was invited."""

    code, status, title = "invited_somebody_else", 403, "This invitation is for another person"
    message = "You are signed in under another e-mail address than the one that was invited."


class HasAccount(Refusal):
    """The address has an account, so its person has to sign in and accept."""

    code, status, title = "has_account", 409, "You already have an account"
    message = "There is already an account with this e-mail address. Please sign in to it."


def invite(name: str, email: str, role: str, *, by: Membership) -> PersonInvitation:
    """Invite the person at `email`, and mail them a link.

    Raises `authority.NotPermitted`, `MemberAlready`, `InvitedAlready` and `TooManyInvitations`.
    """
    if role not in ROLES:
        raise ValueError(f"{role} is not a role")
    lock(Estab, by.estab_id)
    owners.require(by)
    folded, now = people.fold_email(email), clock.now()
    if any(member.person.email_folded == folded for member in people.list_for_estab(by.estab_id)):
        raise MemberAlready(reason=f"a member of {by.estab_id}")
    earlier = waiting(by.estab_id)
    if any(invitation.email_folded == folded and not invitation.is_expired for invitation in earlier):
        raise InvitedAlready(reason=f"an open invitation of {by.estab_id}")
    _check_limits(by.estab_id, [invitation for invitation in earlier if invitation.email_folded != folded])
    _check_mails_to(folded, by.estab_id)
    for row in earlier:
        if row.email_folded == folded:
            row.cancelled_at = now
    invitation = PersonInvitation(
        id=crypto.new_id("inv"), estab=by.estab, name=name, email=email, email_folded=folded, role=role,
        inviter=by.person, digest=b"", sent=0, created_at=now, expires_at=now, used_at=None, cancelled_at=None,
    )  # fmt: skip
    _send(invitation)
    session().add(invitation)
    session().flush()
    log.record(events.INVITATION_SENT, by=by.person_id, estab=by.estab_id, subject=invitation.id, role=role)
    return invitation


def waiting(estab_id: str) -> list[PersonInvitation]:
    """The open invitations of the estab with this internal id, oldest first, including expired ones."""
    statement = (
        select(PersonInvitation).where(*_open(estab_id)).order_by(PersonInvitation.created_at, PersonInvitation.id)
    )
    return list(session().scalars(statement))


def resend(invitation_id: str, *, by: Membership) -> PersonInvitation:
    """Mail a new link, with a new expiry; the old link stops working. Returns the invitation.

    Raises `authority.NotPermitted`; `NotFound`, also for invitations of other schools; `TooManyInvitations`; and a
    `LinkRefused` if it was accepted or cancelled.
    """
    invitation = _lock_invitation(invitation_id, by)
    if invitation.sent >= MAX_MAILS:
        raise TooManyInvitations(
            f"We have sent this invitation {MAX_MAILS} times. Please check the address. If it is wrong, cancel "
            "the invitation and send one to the right address.",
            reason=invitation.id,
        )
    invitation.inviter = by.person
    _send(invitation)
    log.record(events.INVITATION_RESENT, by=by.person_id, estab=by.estab_id, subject=invitation.id)
    return invitation


def cancel(invitation_id: str, *, by: Membership) -> PersonInvitation:
    """Cancel an invitation, and return it. Raises the errors of `resend`, except `TooManyInvitations`."""
    invitation = _lock_invitation(invitation_id, by)
    invitation.cancelled_at = clock.now()
    log.record(events.INVITATION_CANCELLED, by=by.person_id, estab=by.estab_id, subject=invitation.id)
    return invitation


def cancel_all_of(inviter: Membership) -> None:
    """Cancel a person's open invitations to a school of which they are no longer an owner. The estab is locked."""
    conditions = *_open(inviter.estab_id), PersonInvitation.invited_by == inviter.person_id
    statement = update(PersonInvitation).where(*conditions).values(cancelled_at=clock.now())
    cancelled = session().scalars(statement.returning(PersonInvitation.id)).all()
    for invitation_id in cancelled:
        log.record(events.INVITATION_CANCELLED, by="system", estab=inviter.estab_id, subject=invitation_id)


def remind_due() -> None:
    """Remind, once for each link that an owner sent, the people whose invitations expire soon.

    The mail has a new link, since only a digest of the first one is stored; the expiry stays. One conditional UPDATE
    decides between two workers, and between this and an acceptance, a cancellation or a new link.
    """
    lead = min(MAX_REMINDER_LEAD, timedelta(days=runtime.settings().onboarding.invitation_lifetime_days) / 2)
    for invitation_id in session().scalars(select(PersonInvitation.id).where(*_due(lead))).all():
        with row_isolated("invitation", invitation_id):
            _remind(invitation_id, lead)


def _remind(invitation_id: str, lead: timedelta) -> None:
    secret = crypto.new_secret()
    statement = update(PersonInvitation).where(PersonInvitation.id == invitation_id, *_due(lead))
    values = {"reminded_at": clock.now(), "digest": crypto.digest(secret)}
    if session().scalar(statement.values(values).returning(PersonInvitation.id)) is not None:
        invitation = session().get_one(PersonInvitation, invitation_id, populate_existing=True)
        _mail("invitation_reminder", invitation, secret)


def _due(lead: timedelta) -> tuple[ColumnElement[bool], ...]:
    """Invitations that can still be accepted, expire within `lead`, and whose person was not reminded."""
    now = clock.now()
    active = select(Estab.id).where(Estab.state.in_(ACTIVE_STATES))
    is_member = (
        select(Membership.person_id)
        .join(Administrator, Administrator.id == Membership.person_id)
        .where(
            Membership.estab_id == PersonInvitation.estab_id, Membership.removed_at.is_(None),
            Administrator.email_folded == PersonInvitation.email_folded,
        )
        .exists()
    )  # fmt: skip
    return (
        PersonInvitation.used_at.is_(None), PersonInvitation.cancelled_at.is_(None),
        PersonInvitation.reminded_at.is_(None), PersonInvitation.expires_at > now,
        PersonInvitation.expires_at <= now + lead, PersonInvitation.estab_id.in_(active), ~is_member,
    )  # fmt: skip


def check(secret: str) -> PersonInvitation:
    """The invitation of this link, if it can still be accepted. Raises a `LinkRefused`."""
    statement = select(PersonInvitation).where(PersonInvitation.digest == crypto.digest(secret))
    invitation = session().scalar(statement)
    if invitation is None:
        raise InvitationUnknown(reason="no invitation has this link")
    if invitation.used_at or invitation.cancelled_at or invitation.is_expired:
        raise _refusal_for(invitation)
    if not invitation.estab.may_act:
        raise SchoolNotActive(reason=f"{invitation.estab_id} is {invitation.estab.state}")
    return invitation


def account_of(invitation: PersonInvitation) -> Administrator | None:
    """The open account with the invited address, if there is one. Only for the holder of the link."""
    has_address = Administrator.email_folded == invitation.email_folded, Administrator.removed_at.is_(None)
    accounts = session().scalars(
        select(Administrator).where(*has_address).order_by(Administrator.sign_in_email.is_(None))
    )
    return next((person for person in accounts if person.may_sign_in), None)


def find_without_password(secret: str) -> Administrator | None:
    """The person at the address of this link's invitation, if they have an account and no password yet; else None.

    They accepted this invitation, or an earlier one, and were interrupted. Only for the holder of the link.
    """
    invitation = session().scalar(select(PersonInvitation).where(PersonInvitation.digest == crypto.digest(secret)))
    if invitation is None:
        return None
    person = people.get(invitation.accepted_by) if invitation.accepted_by else account_of(invitation)
    if person is None or person.password_hash is not None or person.email_folded != invitation.email_folded:
        return None
    return person


def accept_as_new(secret: str, *, name: str, mobile: str) -> tuple[Administrator, str]:
    """Create an account for the invited person; returns it, and the secret of the link to choose a password.

    `mobile` is E.164. The same link is mailed to them, in case they are interrupted. Raises `HasAccount` and a
    `LinkRefused`.
    """
    invitation = _claim(secret)
    people.lock_address(invitation.email_folded)
    if account_of(invitation) is not None:
        raise HasAccount(reason=invitation.id)
    person = people.add(invitation.estab, name=name, email=invitation.email, mobile=mobile, role=invitation.role)
    welcome_secret = links.issue(person.id, links.WELCOME, links.WELCOME_LIFETIME)
    post.email(
        "account_made", to=person.email, expires=clock.now() + links.WELCOME_LIFETIME, estab=invitation.estab_id,
        name=person.name_in_mails, school=invitation.estab.name, username=person.username,
        link=runtime.url(f"/welcome/{welcome_secret}"),        days=links.WELCOME_LIFETIME.days,
    )  # fmt: skip
    _note_accepted(invitation, person, is_new=True)
    return person, welcome_secret


def accept(secret: str, person: Administrator) -> Membership:
    """Let the person who signed in act for the school as well.

    Raises `InvitedSomeoneElse`, `MemberAlready` and a `LinkRefused`.
    """
    invitation = _claim(secret)
    current = lock(Administrator, person.id)
    if current is None or current.removed_at is not None or current.email_folded != invitation.email_folded:
        raise InvitedSomeoneElse(reason=invitation.id)
    member = people.join(current, invitation.estab, role=invitation.role)
    if member is None:
        raise MemberAlready(reason=invitation.id)
    _note_accepted(invitation, current, is_new=False)
    return member


def _claim(secret: str) -> PersonInvitation:
    """Use the invitation up. Raises the `LinkRefused` that `check` would; `check` alone does not decide."""
    invitation = check(secret)
    lock(Estab, invitation.estab_id)
    if not (invitation.estab.may_act and claim(PersonInvitation, digest=invitation.digest, cancelled_at=None)):
        session().expire_all()
        check(secret)
        raise InvitationUnknown(reason="the invitation was changed meanwhile")
    session().refresh(invitation)
    return invitation


def _note_accepted(invitation: PersonInvitation, person: Administrator, *, is_new: bool) -> None:
    invitation.accepted_by = person.id
    log.record(
        events.INVITATION_ACCEPTED, by=person.id, estab=invitation.estab_id, subject=invitation.id,
        invited_by=invitation.invited_by, role=invitation.role,
    )  # fmt: skip
    session().flush()
    member = session().get_one(Membership, (person.id, invitation.estab_id))
    people_notices.send("person_joined", member, member, to_oneself=not is_new)


def _lock_invitation(invitation_id: str, by: Membership) -> PersonInvitation:
    """Lock estab and invitation, check that `by` may change it, and return it as it is now.

    Raises the errors of `cancel`.
    """
    lock(Estab, by.estab_id)
    owners.require(by)
    invitation = lock(PersonInvitation, invitation_id)
    if invitation is None or invitation.estab_id != by.estab_id:
        raise NotFound(reason=f"no invitation of {by.estab_id}")
    if invitation.used_at is not None or invitation.cancelled_at is not None:
        raise _refusal_for(invitation)
    return invitation


def _open(estab_id: str) -> tuple[ColumnElement[bool], ...]:
    """The conditions for open invitations of an estab: neither accepted nor cancelled."""
    unanswered = PersonInvitation.used_at.is_(None), PersonInvitation.cancelled_at.is_(None)
    return PersonInvitation.estab_id == estab_id, *unanswered


def _refusal_for(invitation: PersonInvitation) -> links.LinkRefused:
    refusal = (
        InvitationUsed if invitation.used_at else InvitationCancelled if invitation.cancelled_at else InvitationExpired
    )
    return refusal(reason=invitation.id)


def _check_limits(estab_id: str, others: list[PersonInvitation]) -> None:
    since = clock.now() - timedelta(days=1)
    count_query = select(func.count()).select_from(PersonInvitation)
    count_query = count_query.where(PersonInvitation.estab_id == estab_id, PersonInvitation.created_at > since)
    if len(others) >= MAX_OPEN:
        raise TooManyInvitations(
            f"{len(others)} people whom your school invited have not answered yet, and more cannot be invited at the "
            "same time. On the People page you can cancel an invitation that is no longer needed.",
            reason=f"{len(others)} of {estab_id} are open",
        )
    if (session().scalar(count_query) or 0) >= MAX_A_DAY:
        raise TooManyInvitations(
            f"Your school has invited {MAX_A_DAY} people within 24 hours, and cannot invite more today. Please try "
            "again tomorrow.",
            reason=f"{MAX_A_DAY} of {estab_id} within a day",
        )


def _check_mails_to(folded: str, estab_id: str) -> None:
    recent = PersonInvitation.created_at > clock.now() - timedelta(days=1)
    mails = select(func.sum(PersonInvitation.sent)).where(recent, PersonInvitation.estab_id == estab_id)
    sent = session().scalar(mails.where(PersonInvitation.email_folded == folded)) or 0
    if sent >= MAX_MAILS:
        raise TooManyInvitations(
            f"We have sent {sent} invitations of your school to this address within 24 hours. Please check the "
            "address, or try again tomorrow.",
            reason=f"{sent} mails of {estab_id} to one address within a day",
        )


def _send(invitation: PersonInvitation) -> None:
    """Give the invitation a new link and a new expiry, and mail the link."""
    secret, now = crypto.new_secret(), clock.now()
    days = runtime.settings().onboarding.invitation_lifetime_days
    invitation.digest, invitation.expires_at = crypto.digest(secret), now + timedelta(days=days)
    invitation.sent += 1
    invitation.reminded_at = None
    _mail("invitation", invitation, secret)


def _mail(name: str, invitation: PersonInvitation, secret: str) -> None:
    is_verified = invitation.estab.is_verified
    post.email(
        name, to=invitation.email, expires=invitation.expires_at, estab=invitation.estab.id,
        name=invitation.name if is_verified else None, inviter=invitation.inviter.described_in_mails,
        school=invitation.estab.name, role_name=TITLES[invitation.role],
        role_summary=SUMMARIES[invitation.role], until=dates.day_and_time(invitation.expires_at),
        days=runtime.settings().onboarding.invitation_lifetime_days, link=runtime.url(f"/invitation/{secret}"),
    )  # fmt: skip
