"""Our staff's check that a registration came from the school: the queue, one case, the decision.

The operator calls the *register's* phone number, never one that was typed; compares what was typed with the
register's entry; keeps notes; and verifies, rejects, or asks the school for more. The school is told each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from idp.audit import events, log
from idp.estabs import accounts, people
from idp.estabs.models import Administrator, Estab
from idp.estabs.permissions import Action
from idp.foundation import clock, dates, runtime
from idp.foundation.database import lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.onboarding import working_days
from idp.onboarding.models import Review, ReviewNote
from idp.outbox import post

PUBLIC_MAIL_DOMAINS = frozenset(
    [
        "aol.com", "btinternet.com", "gmail.com", "googlemail.com", "hotmail.co.uk", "hotmail.com", "icloud.com",
        "live.co.uk", "live.com", "mac.com", "mail.com", "me.com", "msn.com", "outlook.com", "proton.me",
        "protonmail.com", "sky.com", "virginmedia.com", "yahoo.co.uk", "yahoo.com",
    ]
)  # fmt: skip
"""Public mail services: an address there says nothing about the school."""


class NoReview(NotFound):
    """The estab has no review."""

    code, title = "no_review", "There is no such case"
    message = "No new school with this Estab ID has been waiting to be checked."


class AlreadyDecided(Refusal):
    """The review was decided before."""

    code, status, title = "review_decided", 409, "This school has been decided already"


class AccountSuspended(Refusal):
    """The account was suspended before the school was decided: a decision may not end the suspension."""

    code, status, title = "account_suspended", 409, "This school's account is suspended"
    message = "This school's account is suspended. Restore the account first, then decide about the school."


class ReasonMissing(Refusal):
    """A reason or note is empty. The school is told the reason, so there must be one."""

    code, status, title = "reason_missing", 400, "Please say why"
    message = "Please enter a text. Notes are kept for our staff, and a reason is sent to the school."


@dataclass(frozen=True, slots=True)
class Case:
    """All an operator needs for the call."""

    review: Review
    owners: Sequence[Administrator]
    notes: Sequence[ReviewNote]
    addresses: str
    """How the owners' e-mail domains relate to the school's website, in words."""


def open_for(estab: Estab) -> Review:
    """Add a new estab to the queue."""
    now, days = clock.now(), runtime.settings().onboarding.due_working_days
    review = Review(
        estab_id=estab.id, opened_at=now, due_at=working_days.end_of_working_day(now, days, estab.school.country)
    )
    session().add(review)
    session().flush()
    return review


def queue() -> list[Review]:
    """Undecided reviews, the most urgent first."""
    return list(
        session().scalars(
            select(Review).where(Review.decided_at.is_(None)).order_by(Review.due_at, Review.opened_at, Review.estab_id)
        )
    )


def find_by_estab(estab: Estab) -> Review | None:
    """The review of `estab`, decided or not, if it has one."""
    return session().get(Review, estab.id)


def case(estab_id: str) -> Case:
    """The case of the estab with this Estab ID. Raises `UnknownEstab` and `NoReview`."""
    review = _find(estab_id)
    notes = select(ReviewNote).where(ReviewNote.estab_id == review.estab_id).order_by(ReviewNote.at, ReviewNote.id)
    owners = people.owners(review.estab_id)
    addresses = "; ".join(describe_address(owner.email, review.estab.school.website_host) for owner in owners)
    return Case(review, owners, list(session().scalars(notes)), addresses)


def note(estab_id: str, text: str, *, by: str) -> Review:
    """Store a note, for example of a phone call; only our staff read it."""
    review = _find(estab_id)
    session().add(ReviewNote(estab_id=review.estab_id, at=clock.now(), by=by, text=_required_text(text)))
    log.record(events.REVIEW_NOTED, by=by, estab=review.estab_id, subject=review.estab_id)
    return review


def ask(estab_id: str, question: str, *, by: str) -> Review:
    """Ask the school a question before deciding: it is mailed to the owners and stored as a note."""
    review = _find_undecided(estab_id, locked=True)
    note(estab_id, f"Asked the school: {_required_text(question)}", by=by)
    log.record(events.REVIEW_ASKED, by=by, estab=review.estab_id, subject=review.estab_id)
    _mail_owners(review, "school_question", question=_required_text(question))
    return review


def verify(estab_id: str, *, by: str) -> Review:
    """Verify the school: partners it has authorised receive data with their next refresh.

    Raises `AlreadyDecided`, and `AccountSuspended` where the account was suspended before the school was decided.
    """
    review = _decide(estab_id, "verified", by=by, reason=None)
    log.record(events.ESTAB_VERIFIED, by=by, estab=review.estab_id, subject=review.estab_id)
    _mail_owners(review, "school_verified", link=runtime.url("/"))
    return review


def reject(estab_id: str, reason: str, *, by: str) -> Review:
    """Reject the registration; the school is told `reason` and may register again. Raises the errors of `verify`."""
    review = _decide(estab_id, "rejected", by=by, reason=_required_text(reason))
    log.record(events.ESTAB_REJECTED, by=by, estab=review.estab_id, subject=review.estab_id)
    _mail_owners(review, "school_rejected", reason=review.reason, link=runtime.url("/register"))
    return review


def describe_address(email: str, website_host: str) -> str:
    """How the domain of an e-mail address relates to the school's website, in a sentence for the operator."""
    domain = email.rpartition("@")[2].casefold()
    host = website_host.casefold().removeprefix("www.")
    if domain in PUBLIC_MAIL_DOMAINS:
        return f"{domain} is a public mail service: anyone can have such an address"
    if not host:
        return f"the register has no website to compare {domain} with"
    if domain == host:
        return f"{domain} is the domain of the school's website"
    if domain.endswith(f".{host}") or host.endswith(f".{domain}"):
        return f"{domain} is related to the school's website, {host}"
    return f"{domain} is not the domain of the school's website, {host}"


def _decide(estab_id: str, decision: str, *, by: str, reason: str | None) -> Review:
    review = _find_undecided(estab_id)
    if review.estab.state == "suspended":
        raise AccountSuspended(reason=review.estab_id)
    accounts.change_state(review.estab, decision, by=by, reason=reason or "")  # refuses the second of two at once
    statement = (
        update(Review)
        .where(Review.estab_id == review.estab_id, Review.decided_at.is_(None))
        .values(decided_at=clock.now(), decision=decision, decided_by=by, reason=reason)
    )
    is_decided = session().execute(statement.returning(Review.estab_id)).one_or_none() is not None
    session().refresh(review)
    if not is_decided:
        raise _already_decided(review)
    return review


def _find(estab_id: str) -> Review:
    estab = accounts.look_up(estab_id)
    if (review := find_by_estab(estab)) is None:
        raise NoReview(reason=estab.id)
    return review


def _find_undecided(estab_id: str, *, locked: bool = False) -> Review:
    review = _find(estab_id)
    if locked:
        review = lock(Review, review.estab_id) or review
    if review.decided_at is not None:
        raise _already_decided(review)
    return review


def _already_decided(review: Review) -> AlreadyDecided:
    on = dates.weekday_and_day(review.decided_at) if review.decided_at else ""
    return AlreadyDecided(f"This school was {review.decision} on {on}.", reason=review.estab_id)


def _required_text(text: str) -> str:
    if not text.strip():
        raise ReasonMissing
    return text.strip()


def _mail_owners(review: Review, template: str, **context: Any) -> None:
    for owner in people.who_may(review.estab_id, Action.RECEIVE_ACCOUNT_NOTICES):
        post.email(
            template, to=owner.email, estab=review.estab_id, name=owner.name_in_mails, school=review.estab.name,
            estab_id=review.estab.estab_id, **context,
        )  # fmt: skip
