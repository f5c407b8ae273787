"""Requests to join a school that is registered already.

They go to the owners of its account, who approve or decline; when nobody has answered in time, our staff
decide. The requester's address is verified before anyone is asked, and nobody is told who the owners are.
"""

from datetime import timedelta

from sqlalchemy import select, update

from idp.audit import events, log
from idp.estabs import links, people
from idp.estabs.models import Administrator, Estab
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import claim, session
from idp.foundation.errors import NotFound, Refusal
from idp.onboarding import due
from idp.onboarding.models import JoinRequest, Registration
from idp.outbox import post

ROLES = ("admin", "viewer")
"""What somebody who asks to join can become; owners make other owners at their desk."""


class NotYoursToDecide(Refusal):
    """Owners decide who joins."""

    code, status, title = "owners_only", 403, "Only an owner can decide this"
    says = "Requests to join are decided by the owners of your school's account."


class DecidedAlready(Refusal):
    """Once is enough."""

    code, status, title = "join_decided", 409, "This request has been decided"
    says = "Somebody has answered this request already. Nothing was changed."


class WithOperators(Refusal):
    """Nobody answered in time."""

    code, status, title = "join_expired", 410, "This request is with our staff now"
    says = "Nobody at your school answered in time, so our own staff are looking at the request. They will be in touch."


class StillWithOwners(Refusal):
    """The owners' time is not over."""

    code, status, title = "join_with_owners", 409, "The owners may still answer"
    says = "The school's own owners are still being asked about this request."


def ask(estab: Estab, registration: Registration) -> str:
    """Ask the owners of `estab` to let in whoever completed `registration`; returns the outcome to keep.

    `joining`; or `member` where that address has an account for this school. Asking again while a request is
    open bothers nobody a second time.
    """
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
    """Requests that no owner answered in time, oldest first: for our staff to decide."""
    unanswered = (JoinRequest.used_at.is_(None), JoinRequest.expires_at <= clock.now())
    return list(session().scalars(select(JoinRequest).where(*unanswered).order_by(JoinRequest.expires_at)))


def approve(asked: JoinRequest, role: str, *, by: Administrator | str) -> Administrator:
    """Let the requester in as `role` and send them a link to choose a password.

    `by` is the owner who decides, or our staff: `cli`, or an operator's id.

    Raises `DecidedAlready`, `WithOperators` and `StillWithOwners`.
    """
    if role not in ROLES:
        raise ValueError(f"nobody joins as {role}")
    _decide(asked, "approved", by)
    person = people.add(asked.estab, name=asked.name, email=asked.email, mobile=asked.mobile, role=role)
    log.record(events.JOIN_APPROVED, by=_actor(by), estab=asked.estab_id, subject=asked.id, person=person.id, role=role)
    post.email(
        "join_approved", to=person.email, expires=clock.now() + links.WELCOME_LIFETIME, estab=asked.estab_id,
        name=person.name, school=asked.estab.name, username=person.username, link=links.welcome(person),
        days=links.WELCOME_LIFETIME.days,
    )  # fmt: skip
    return person


def decline(asked: JoinRequest, *, by: Administrator | str) -> None:
    """Turn the requester away, and tell them. Raises as `approve` does."""
    _decide(asked, "declined", by)
    log.record(events.JOIN_DECLINED, by=_actor(by), estab=asked.estab_id, subject=asked.id)
    post.email("join_declined", to=asked.email, estab=asked.estab_id, name=asked.name, school=asked.estab.name)


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
    now, owners = clock.now(), people.owners(estab.id)
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
            "join_request", to=owner.email, expires=answer_by, estab=estab.id, name=owner.name, school=estab.name,
            who=asked.name, address=asked.email, answer_by=due.in_words(answer_by),
            link=runtime.url(f"/join/{asked.id}"),
        )  # fmt: skip


def _decide(asked: JoinRequest, decision: str, by: Administrator | str) -> None:
    """Claim the request: the owners' until it expires, our staff's from then on."""
    if isinstance(by, Administrator):
        won = claim(JoinRequest, id=asked.id, estab_id=by.estab_id) is not None
    else:
        unanswered = (JoinRequest.id == asked.id, JoinRequest.used_at.is_(None), JoinRequest.expires_at <= clock.now())
        late = update(JoinRequest).where(*unanswered).values(used_at=clock.now()).returning(JoinRequest.id)
        won = session().execute(late).one_or_none() is not None
    session().refresh(asked)
    if not won:
        kind = DecidedAlready if asked.used_at else StillWithOwners if isinstance(by, str) else WithOperators
        raise kind(because=asked.id)
    asked.decision, asked.decided_by = decision, _actor(by)


def _actor(by: Administrator | str) -> str:
    return by if isinstance(by, str) else by.id
