"""Our staff's check that it was the school that registered: the queue, one case, the decision.

The operator calls the *register's* telephone number, never one that was typed; sees what was typed beside what
the register says; keeps notes; and verifies, rejects, or asks the school for more. The school is told each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from idp.audit import events, log
from idp.estabs import accounts, people
from idp.estabs.models import Administrator, Estab
from idp.foundation import clock, dates, runtime
from idp.foundation.database import lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.onboarding import due
from idp.onboarding.models import Review, ReviewNote
from idp.outbox import post

PUBLIC_MAIL = frozenset(
    [
        "aol.com", "btinternet.com", "gmail.com", "googlemail.com", "hotmail.co.uk", "hotmail.com", "icloud.com",
        "live.co.uk", "live.com", "mac.com", "mail.com", "me.com", "msn.com", "outlook.com", "proton.me",
        "protonmail.com", "sky.com", "virginmedia.com", "yahoo.co.uk", "yahoo.com",
    ]
)  # fmt: skip
"""Where anybody can have an address."""


class NoReview(NotFound):
    """The estab was never in the queue."""

    code, title = "no_review", "There is no such case"
    says = "No new school with this Estab ID has been waiting to be checked."


class Decided(Refusal):
    """The case is closed."""

    code, status, title = "review_decided", 409, "This school has been decided about"


class ReasonMissing(Refusal):
    """The school is told why, so there has to be a reason; and a note says something."""

    code, status, title = "reason_missing", 400, "Please say why"
    says = "Some words are needed here: they are kept, and a reason is told to the school."


@dataclass(frozen=True, slots=True)
class Case:
    """All an operator needs for the call."""

    review: Review
    owners: Sequence[Administrator]
    notes: Sequence[ReviewNote]
    addresses: str
    """How the owners' e-mail domains relate to the school's website, in words."""


def open_for(estab: Estab) -> Review:
    """Put a new estab in the queue."""
    now, days = clock.now(), runtime.settings().onboarding.due_working_days
    review = Review(estab_id=estab.id, opened_at=now, due_at=due.after(now, days, estab.school.country))
    session().add(review)
    session().flush()
    return review


def queue() -> list[Review]:
    """Who waits to be checked, the most pressing first."""
    return list(
        session().scalars(select(Review).where(Review.decided_at.is_(None)).order_by(Review.due_at, Review.opened_at))
    )


def of_estab(estab: Estab) -> Review | None:
    """The review of `estab`, decided or not; None where it never needed one."""
    return session().get(Review, estab.id)


def case(estab_id: str) -> Case:
    """The case of the estab with this Estab ID. Raises `UnknownEstab` and `NoReview`."""
    review = _find(estab_id)
    notes = select(ReviewNote).where(ReviewNote.estab_id == review.estab_id).order_by(ReviewNote.at, ReviewNote.id)
    owners = people.owners(review.estab_id)
    related = "; ".join(relation(owner.email, review.estab.school.website_host) for owner in owners)
    return Case(review, owners, list(session().scalars(notes)), related)


def note(estab_id: str, text: str, *, by: str) -> Review:
    """Keep what was learnt on the telephone; our staff alone read it."""
    review = _find(estab_id)
    session().add(ReviewNote(estab_id=review.estab_id, at=clock.now(), by=by, text=_said(text)))
    log.record(events.REVIEW_NOTED, by=by, estab=review.estab_id, subject=review.estab_id)
    return review


def ask(estab_id: str, question: str, *, by: str) -> Review:
    """Ask the school for more before deciding; the question is mailed to its owners and kept as a note."""
    review = _undecided(estab_id, locked=True)
    note(estab_id, f"Asked the school: {_said(question)}", by=by)
    log.record(events.REVIEW_ASKED, by=by, estab=review.estab_id, subject=review.estab_id)
    _tell(review, "school_question", question=_said(question))
    return review


def verify(estab_id: str, *, by: str) -> Review:
    """It was the school: data may flow, to partners it has authorised with their next refresh. Raises `Decided`."""
    review = _decide(estab_id, "verified", by=by, reason=None)
    log.record(events.ESTAB_VERIFIED, by=by, estab=review.estab_id, subject=review.estab_id)
    _tell(review, "school_verified", link=runtime.url("/"))
    return review


def reject(estab_id: str, reason: str, *, by: str) -> Review:
    """It was not, or we could not find out; the school is told `reason` and may register again. Raises `Decided`."""
    review = _decide(estab_id, "rejected", by=by, reason=_said(reason))
    log.record(events.ESTAB_REJECTED, by=by, estab=review.estab_id, subject=review.estab_id)
    _tell(review, "school_rejected", reason=review.reason, link=runtime.url("/register"))
    return review


def relation(email: str, website_host: str) -> str:
    """How the domain of an address relates to the school's website, in words an operator can act on."""
    domain = email.rpartition("@")[2].casefold()
    host = website_host.casefold().removeprefix("www.")
    if domain in PUBLIC_MAIL:
        return f"{domain} is a public mail service: anybody can have such an address"
    if not host:
        return f"the register has no website to compare {domain} with"
    if domain == host:
        return f"{domain} is the domain of the school's website"
    if domain.endswith(f".{host}") or host.endswith(f".{domain}"):
        return f"{domain} is related to the school's website, {host}"
    return f"{domain} is not the domain of the school's website, {host}"


def _decide(estab_id: str, decision: str, *, by: str, reason: str | None) -> Review:
    review = _undecided(estab_id)
    accounts.change_state(review.estab, decision, by=by, reason=reason or "")  # refuses the second of two at once
    decided = (
        update(Review)
        .where(Review.estab_id == review.estab_id, Review.decided_at.is_(None))
        .values(decided_at=clock.now(), decision=decision, decided_by=by, reason=reason)
    )
    won = session().execute(decided.returning(Review.estab_id)).one_or_none() is not None
    session().refresh(review)
    if not won:
        raise _decided(review)
    return review


def _find(estab_id: str) -> Review:
    estab = accounts.named(estab_id)
    if (review := of_estab(estab)) is None:
        raise NoReview(because=estab.id)
    return review


def _undecided(estab_id: str, *, locked: bool = False) -> Review:
    review = _find(estab_id)
    if locked:
        review = lock(Review, review.estab_id) or review
    if review.decided_at is not None:
        raise _decided(review)
    return review


def _decided(review: Review) -> Decided:
    on = dates.weekday(review.decided_at) if review.decided_at else ""
    return Decided(f"This school was {review.decision} on {on}.", because=review.estab_id)


def _said(text: str) -> str:
    if not text.strip():
        raise ReasonMissing
    return text.strip()


def _tell(review: Review, template: str, **context: Any) -> None:
    for owner in people.owners(review.estab_id):
        post.email(
            template, to=owner.email, estab=review.estab_id, name=owner.name_in_mails, school=review.estab.name,
            estab_id=review.estab.estab_id, **context,
        )  # fmt: skip
