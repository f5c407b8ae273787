"""Requests to join a school that is registered already.

They go to the owners of its account if it is verified, who approve or decline. Our staff decide where the estab is
not verified, because anyone can register a school; where no owner answered in time; and where an owner declined,
because that owner may not be the school's. The requester's address is verified before anyone is asked, and the
requester is not told who the owners are.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select, update

from idp.audit import events, log
from idp.estabs import accounts, authority, links, people, permissions
from idp.estabs.models import FINAL_STATES, Administrator, Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, crypto, dates, runtime
from idp.foundation.database import lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.onboarding.models import JoinRequest, Registration
from idp.outbox import post

DECIDE_ACTION: Final = Action.DECIDE_REQUESTS_TO_JOIN


class DecidedAlready(Refusal):
    """The request was decided before."""

    code, status, title = "join_decided", 409, "This request has been decided"
    message = "Someone has answered this request already. Nothing was changed."


class WithStaff(Refusal):
    """No owner answered in time, or the school was not verified when the request was made."""

    code, status, title = "join_expired", 410, "This request is with our staff now"
    message = "Our staff are looking at this request. They will be in touch."


class SchoolNotActive(Refusal):
    """The estab was rejected, suspended or closed."""

    code, status, title = "join_over", 409, "This school's account is not active"
    message = "Nobody can join this school's account at the moment, because it is not active."


class RequesterGone(Refusal):
    """The account of the person who asked has been closed since."""

    code, status, title = "requester_gone", 409, "This person's account is closed"
    message = "The person closed their account after they had asked. You can decline the request. They can ask again."


class StillWithOwners(Refusal):
    """The owners may still decide."""

    code, status, title = "join_with_owners", 409, "The owners may still answer"
    message = "The school's own owners are still being asked about this request."


def request_to_join(estab: Estab, registration: Registration, account: Administrator | None = None) -> str:
    """Ask the owners of `estab` to admit the person who completed `registration`; returns the registration's outcome.

    `account` is that of the person, where they are signed in. The outcome is `joining`; or `member` where that account,
    or without one an account with that address, acts for this school. Asking again while a request is open sends no
    second mail. Raises `people.AccountClosed`, and `SchoolTaken` where the estab was rejected or closed at the same
    moment: the school can then be registered.
    """
    estab = lock(Estab, estab.id) or estab  # of two requests at once, the second sees the first
    if estab.state in FINAL_STATES:
        raise accounts.SchoolTaken(reason=f"{estab.id} became {estab.state} at the same moment")
    person = people.get_open_locked(account.id) if account else None
    address = people.fold_email(registration.email)
    if people.membership(person.id, estab.id) if person else _is_member(estab, address):
        return "member"
    if not _has_open_request(estab, address, person):
        _create(estab, registration, person)
    return "joining"


def find_for_owner(owner: Membership, request_id: str) -> JoinRequest:
    """A request to join this owner's school. Raises `NotFound`, also for other schools', and `NotPermitted`."""
    join_request = session().scalar(
        select(JoinRequest).where(JoinRequest.id == request_id, JoinRequest.estab_id == owner.estab_id)
    )
    if join_request is None:
        raise NotFound(reason=f"join request {request_id} of another school, or none")
    if not owner.may(DECIDE_ACTION):
        raise authority.NotPermitted(owner, DECIDE_ACTION)
    return join_request


def other_school_of(person: Administrator, request_id: str) -> Estab | None:
    """The school that a request asks to join, if the person can answer it there: they act for it as an owner."""
    join_request = session().get(JoinRequest, request_id)
    member = people.membership(person.id, join_request.estab_id) if join_request else None
    return member.estab if member is not None and member.may(DECIDE_ACTION) else None


def find(request_id: str) -> JoinRequest:
    """The request with this id, for our staff. Raises `NotFound`."""
    join_request = session().get(JoinRequest, request_id)
    if join_request is None:
        raise NotFound("There is no request to join with that id.", reason=f"join request {request_id}")
    return join_request


def requests_for_owner(member: Membership) -> list[JoinRequest]:
    """The join requests that this person can decide for the school, oldest first; none where they may not."""
    if not member.may(DECIDE_ACTION):
        return []
    statement = (
        select(JoinRequest).where(_is_for_owners(member.estab_id)).order_by(JoinRequest.created_at, JoinRequest.id)
    )
    return list(session().scalars(statement))


def requests_for_staff() -> list[JoinRequest]:
    """Requests for our staff to decide, oldest first, including those that owners declined."""
    return list(
        session().scalars(select(JoinRequest).where(_is_for_staff()).order_by(JoinRequest.expires_at, JoinRequest.id))
    )


def approve(join_request: JoinRequest, role: str, *, by: Membership | str) -> Administrator:
    """Add the requester with this role and tell them by mail; a new account's mail has a link to choose a password.

    `by` is the owner who decides, or our staff: `cli`, or an operator's id.

    Raises `DecidedAlready`, `WithStaff`, `StillWithOwners`, `SchoolNotActive`, `RequesterGone` and `NotPermitted`.
    """
    if role not in permissions.ROLES_TO_JOIN_WITH:
        raise ValueError(f"{role} is not a role to join with")
    _decide(join_request, "approved", by)
    if not join_request.estab.may_act:
        raise SchoolNotActive(reason=f"{join_request.id}: {join_request.estab_id} is {join_request.estab.state}")
    person = _admit(join_request, role)
    log.record(
        events.JOIN_APPROVED,
        by=people.actor_id(by),
        estab=join_request.estab_id,
        subject=join_request.id,
        person=person.id,
        role=role,
    )
    return person


def decline(join_request: JoinRequest, *, by: Membership | str) -> None:
    """Decline the request and tell the requester, once. What owners decline goes to our staff.

    Raises the errors of `approve`.
    """
    was_declined = _decide(join_request, "declined", by) == "declined"
    log.record(events.JOIN_DECLINED, by=people.actor_id(by), estab=join_request.estab_id, subject=join_request.id)
    if was_declined:
        return
    post.email("join_declined", to=join_request.email, estab=join_request.estab_id, school=join_request.estab.name)


def _is_member(estab: Estab, folded: str) -> bool:
    members = select(Membership.person_id).join(Administrator, Administrator.id == Membership.person_id)
    conditions = (
        Membership.estab_id == estab.id,
        Membership.removed_at.is_(None),
        Administrator.email_folded == folded,
    )
    return session().scalar(members.where(*conditions).limit(1)) is not None


def _has_open_request(estab: Estab, folded: str, person: Administrator | None) -> bool:
    """Whether this account, or without one this address, has an open request."""
    is_requester = (
        JoinRequest.person_id == person.id
        if person
        else and_(JoinRequest.email_folded == folded, JoinRequest.person_id.is_(None))
    )
    conditions = JoinRequest.estab_id == estab.id, is_requester, JoinRequest.used_at.is_(None)
    return session().scalar(select(JoinRequest.id).where(*conditions).limit(1)) is not None


def _admit(join_request: JoinRequest, role: str) -> Administrator:
    """Let the requester act for the school, with the account that they had or a new one, and tell them by mail."""
    estab = join_request.estab
    if join_request.person_id is None:
        person = people.add(
            estab, name=join_request.name, email=join_request.email, mobile=join_request.mobile, role=role
        )
        post.email(
            "join_approved", to=person.email, expires=clock.now() + links.WELCOME_LIFETIME, estab=estab.id,
            name=person.name_in_mails, school=estab.name, username=person.username,
            link=links.issue_welcome_url(person), days=links.WELCOME_LIFETIME.days,
        )  # fmt: skip
        return person
    try:
        person = people.get_open_locked(join_request.person_id)
    except people.AccountClosed as error:
        raise RequesterGone(reason=join_request.id) from error
    people.join(person, estab, role=role)  # an invitation may have come first: then their role stays
    member = session().get_one(Membership, (person.id, estab.id))
    post.email(
        "join_added", to=person.email, estab=estab.id, name=person.name_in_mails, school=estab.name,
        role_name=member.role_title, role_summary=permissions.SUMMARIES[member.role], link=runtime.url("/sign-in"),
    )  # fmt: skip
    return person


def _create(estab: Estab, registration: Registration, person: Administrator | None) -> None:
    now, owners = clock.now(), people.who_may(estab.id, DECIDE_ACTION) if estab.is_verified else []
    answer_by = now + timedelta(days=runtime.settings().onboarding.join_lifetime_days if owners else 0)
    join_request = JoinRequest(
        id=crypto.new_id("joi"), estab_id=estab.id, registration_id=registration.id,
        person_id=person.id if person else None, name=registration.name, email=registration.email,
        email_folded=people.fold_email(registration.email), mobile=registration.mobile, created_at=now,
        expires_at=answer_by,
    )  # fmt: skip
    session().add(join_request)
    session().flush()
    log.record(
        events.JOIN_REQUESTED, by=person.id if person else "stranger", estab=estab.id, subject=join_request.id,
        registration=registration.id,
    )  # fmt: skip
    for owner in owners:
        post.email(
            "join_request", to=owner.email, expires=answer_by, estab=estab.id, name=owner.name_in_mails,
            school=estab.name, requester=join_request.name, address=join_request.masked_email,
            answer_by=dates.weekday_and_day(answer_by), link=runtime.url(f"/join/{join_request.id}"),
        )  # fmt: skip


def _decide(join_request: JoinRequest, decision: str, by: Membership | str) -> str | None:
    """Claim the request with one UPDATE and return the previous decision: owners may have declined it already.

    Owners decide until it expires. Afterwards our staff decide what the owners have not approved, or have declined.
    """
    actor, now = people.actor_id(by), clock.now()
    locked = lock(JoinRequest, join_request.id)
    previous_decision = locked.decision if locked else None
    condition = _is_for_staff() if isinstance(by, str) else _is_for_owners(by.estab_id)
    final = {"settled_at": now} if isinstance(by, str) or decision == "approved" else {}
    statement = update(JoinRequest).where(JoinRequest.id == join_request.id, condition)
    statement = statement.values(used_at=now, decision=decision, decided_by=actor, **final).returning(JoinRequest.id)
    is_decided = session().execute(statement.execution_options(synchronize_session=False)).one_or_none() is not None
    session().refresh(join_request)
    lock(Estab, join_request.estab_id)
    if not isinstance(by, str):
        decider = lock(Membership, (by.person_id, by.estab_id), shared=True)
        if decider is None or decider.removed_at is not None or not permissions.may(decider.role, DECIDE_ACTION):
            raise authority.NotPermitted(by, DECIDE_ACTION)
    if not is_decided:
        refusal = DecidedAlready if join_request.used_at else StillWithOwners if isinstance(by, str) else WithStaff
        raise refusal(reason=join_request.id)
    return previous_decision


def _is_for_owners(estab_id: str) -> ColumnElement[bool]:
    """Requests that an owner of this estab can still answer."""
    return and_(JoinRequest.estab_id == estab_id, JoinRequest.used_at.is_(None), JoinRequest.expires_at > clock.now())


def _is_for_staff() -> ColumnElement[bool]:
    """Requests that our staff decide: unanswered ones, and those that owners declined."""
    declined = and_(JoinRequest.decision == "declined", JoinRequest.settled_at.is_(None))
    return or_(and_(JoinRequest.used_at.is_(None), JoinRequest.expires_at <= clock.now()), declined)
