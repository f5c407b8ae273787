"""Requests to join a school that is registered already.

They go to the owners of its account if it is verified, who approve or decline. Our staff decide where the estab is
not verified, because its owner may be anybody; where no owner answered in time; and where an owner declined, because
that owner may not be the school's. The requester's address is verified before anyone is asked, and no one is told
who the owners are.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, or_, select, update

from idp.audit import events, log
from idp.estabs import accounts, links, people
from idp.estabs.models import FINAL, Administrator, Estab
from idp.foundation import clock, crypto, dates, runtime
from idp.foundation.database import lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.onboarding.models import JoinRequest, Registration
from idp.outbox import post

ROLES = ("admin", "viewer")
"""Roles for a person who asks to join; owners make other owners at their desk."""


class NotYoursToDecide(Refusal):
    """Owners decide who joins."""

    code, status, title = "owners_only", 403, "Only an owner can decide this"
    says = "Requests to join are decided by the owners of your school's account."


class DecidedAlready(Refusal):
    """Once is enough."""

    code, status, title = "join_decided", 409, "This request has been decided"
    says = "Somebody has answered this request already. Nothing was changed."


class WithOperators(Refusal):
    """No owner answered in time, or the school was not verified when it was made."""

    code, status, title = "join_expired", 410, "This request is with our staff now"
    says = "Our staff are looking at this request. They will be in touch."


class SchoolOver(Refusal):
    """The estab was rejected, suspended or closed."""

    code, status, title = "join_over", 409, "This school's account is not active"
    says = "Nobody can join this school's account at the moment, because it is not active."


class StillWithOwners(Refusal):
    """The owners' time is not over."""

    code, status, title = "join_with_owners", 409, "The owners may still answer"
    says = "The school's own owners are still being asked about this request."


def ask(estab: Estab, registration: Registration) -> str:
    """Ask the owners of `estab` to let in the person who completed `registration`; returns the outcome to keep.

    `joining`; or `member` where that address has an account for this school. Asking again while a request is
    open sends no second mail. Raises `SchoolTaken` where the estab came to its end at the same moment: then
    the school can be registered.
    """
    estab = lock(Estab, estab.id) or estab  # of two who ask at once, the second sees the request of the first
    if estab.state in FINAL:
        raise accounts.SchoolTaken(because=f"{estab.id} is {estab.state} since a moment ago")
    address = people.fold_email(registration.email)
    if _is_member(estab, address):
        return "member"
    if not _is_open(estab, address):
        _write(estab, registration)
    return "joining"


def of_owner(owner: Administrator, request_id: str) -> JoinRequest:
    """A request to join this owner's school. Raises `NotFound`, also for other schools', and `NotYoursToDecide`."""
    asked = session().scalar(
        select(JoinRequest).where(JoinRequest.id == request_id, JoinRequest.estab_id == owner.estab_id)
    )
    if asked is None:
        raise NotFound(because=f"join request {request_id} of another school, or none")
    if owner.role != "owner":
        raise NotYoursToDecide(because=f"administrator {owner.id} is {owner.role}")
    return asked


def find(request_id: str) -> JoinRequest:
    """The request with this id, for our staff. Raises `NotFound`."""
    asked = session().get(JoinRequest, request_id)
    if asked is None:
        raise NotFound("There is no request to join with that id.", because=f"join request {request_id}")
    return asked


def waiting() -> list[JoinRequest]:
    """Requests that are for our staff to decide, oldest first; those that owners declined are among them."""
    return list(session().scalars(select(JoinRequest).where(_for_staff()).order_by(JoinRequest.expires_at)))


def approve(asked: JoinRequest, role: str, *, by: Administrator | str) -> Administrator:
    """Let the requester in as `role` and send them a link to choose a password.

    `by` is the owner who decides, or our staff: `cli`, or an operator's id.

    Raises `DecidedAlready`, `WithOperators`, `StillWithOwners` and `SchoolOver`.
    """
    if role not in ROLES:
        raise ValueError(f"{role} is not a role to join with")
    _decide(asked, "approved", by)
    if not asked.estab.may_act:
        raise SchoolOver(because=f"{asked.id}: {asked.estab_id} is {asked.estab.state}")
    person = people.add(asked.estab, name=asked.name, email=asked.email, mobile=asked.mobile, role=role)
    log.record(events.JOIN_APPROVED, by=_actor(by), estab=asked.estab_id, subject=asked.id, person=person.id, role=role)
    post.email(
        "join_approved", to=person.email, expires=clock.now() + links.WELCOME_LIFETIME, estab=asked.estab_id,
        name=person.name_in_mails, school=asked.estab.name, username=person.username, link=links.welcome(person),
        days=links.WELCOME_LIFETIME.days,
    )  # fmt: skip
    return person


def decline(asked: JoinRequest, *, by: Administrator | str) -> None:
    """Turn the requester away, and tell them, once. What owners decline goes to our staff. Raises as `approve`."""
    was_declined = _decide(asked, "declined", by) == "declined"
    log.record(events.JOIN_DECLINED, by=_actor(by), estab=asked.estab_id, subject=asked.id)
    if was_declined:
        return
    post.email("join_declined", to=asked.email, estab=asked.estab_id, school=asked.estab.name)


def _is_member(estab: Estab, folded: str) -> bool:
    same = (
        Administrator.estab_id == estab.id,
        Administrator.email_folded == folded,
        Administrator.removed_at.is_(None),
    )
    return session().scalar(select(Administrator.id).where(*same).limit(1)) is not None


def _is_open(estab: Estab, folded: str) -> bool:
    same = (JoinRequest.estab_id == estab.id, JoinRequest.email_folded == folded, JoinRequest.used_at.is_(None))
    return session().scalar(select(JoinRequest.id).where(*same).limit(1)) is not None


def _write(estab: Estab, registration: Registration) -> None:
    now, owners = clock.now(), people.owners(estab.id) if estab.is_verified else []
    answer_by = now + timedelta(days=runtime.settings().onboarding.join_lifetime_days if owners else 0)
    asked = JoinRequest(
        id=crypto.new_id("joi"), estab_id=estab.id, registration_id=registration.id, name=registration.name,
        email=registration.email, email_folded=people.fold_email(registration.email), mobile=registration.mobile,
        created_at=now, expires_at=answer_by,
    )  # fmt: skip
    session().add(asked)
    session().flush()
    log.record(events.JOIN_REQUESTED, by="stranger", estab=estab.id, subject=asked.id, registration=registration.id)
    for owner in owners:
        post.email(
            "join_request", to=owner.email, expires=answer_by, estab=estab.id, name=owner.name_in_mails,
            school=estab.name, who=asked.name, address=asked.masked_email, answer_by=dates.weekday(answer_by),
            link=runtime.url(f"/join/{asked.id}"),
        )  # fmt: skip


def _decide(asked: JoinRequest, decision: str, by: Administrator | str) -> str | None:
    """Claim the request with one UPDATE, and return what was decided before: owners may have declined it already.

    It is the owners' until it expires; what they have not approved by then, or have declined, is our staff's.
    """
    actor, now = _actor(by), clock.now()
    held = lock(JoinRequest, asked.id)
    before = held.decision if held else None
    mine = _for_staff() if isinstance(by, str) else _of_owners(by.estab_id)
    settled = {"settled_at": now} if isinstance(by, str) or decision == "approved" else {}
    decided = update(JoinRequest).where(JoinRequest.id == asked.id, mine)
    decided = decided.values(used_at=now, decision=decision, decided_by=actor, **settled).returning(JoinRequest.id)
    won = session().execute(decided.execution_options(synchronize_session=False)).one_or_none() is not None
    session().refresh(asked)
    lock(Estab, asked.estab_id)
    if not isinstance(by, str):
        decider = lock(Administrator, by.id, shared=True)
        if decider is None or decider.removed_at is not None or decider.role != "owner":
            raise NotYoursToDecide(because=f"administrator {by.id} is no owner since a moment ago")
    if not won:
        kind = DecidedAlready if asked.used_at else StillWithOwners if isinstance(by, str) else WithOperators
        raise kind(because=asked.id)
    return before


def _of_owners(estab_id: str) -> ColumnElement[bool]:
    """Requests that an owner of this estab can still answer."""
    return and_(JoinRequest.estab_id == estab_id, JoinRequest.used_at.is_(None), JoinRequest.expires_at > clock.now())


def _for_staff() -> ColumnElement[bool]:
    """Requests that our staff decide: unanswered ones, and what owners declined."""
    declined = and_(JoinRequest.decision == "declined", JoinRequest.settled_at.is_(None))
    return or_(and_(JoinRequest.used_at.is_(None), JoinRequest.expires_at <= clock.now()), declined)


def _actor(by: Administrator | str) -> str:
    return by if isinstance(by, str) else by.id
