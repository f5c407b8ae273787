"""Add a further school to the account of a person who is signed in: register it, or ask to join its account.

They have proven who they are, and their address was verified when they got it, so only the declaration is asked of
them. The registration is stored like every other, and completed at once. An account is never found by an address: only
the person who is signed in adds to it (decision 31).
"""

from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, func, select

from idp.estabs import accounts
from idp.estabs.models import Administrator
from idp.foundation import clock
from idp.foundation.database import advisory_lock, session
from idp.foundation.errors import TooManyRequests
from idp.onboarding import signup
from idp.onboarding.models import Registration
from idp.onboarding.signup import Details
from idp.schools.models import School

DOUBLE_CLICK_WINDOW: Final = timedelta(minutes=1)
"""A second request of the same person for the same school within this time is a second click."""
WINDOW: Final = timedelta(hours=1)
MAX_SCHOOLS: Final = 20
"""How many schools one person may register or ask to join within `WINDOW`."""


class TooManySchools(TooManyRequests):
    """The person has added `MAX_SCHOOLS` within `WINDOW` already."""

    code, title = "too_many_schools", "That is enough schools for now"
    message = "You have added many schools in the last hour. Please add the next one in an hour."


def complete(
    school: School,
    person: Administrator,
    *,
    browser: bytes,
    return_to: str | None,
    begun: Registration | None = None,
) -> Registration:
    """Register `school` with this person's account, or ask to join the account that the school has.

    `begun` is the registration that was begun before the person signed in, if it is known; otherwise this browser's
    open one of the school is completed, or a new one. Two requests at the same moment get the same registration.
    `return_to` is as for `signup.begin`. Raises `TooManySchools`, `people.AccountClosed`, `signup.CompletedAlready`
    and as `signup.complete`.
    """
    advisory_lock("schools of an account", person.id)
    if (completed := just_completed(school.id, person, browser=browser)) is not None:
        return completed
    _enforce_limit(person)
    details = Details(name=person.name, email=person.email, mobile=person.mobile)
    open_registration = begun or signup.find_open(browser, school)
    if open_registration is None:
        registration = signup.create(school, details, browser=browser, return_to=return_to, by=person.id)
    else:
        registration = signup.lock_open(open_registration.id)
    registration.return_to = registration.return_to or return_to
    registration.client_id = signup.client_of(registration.return_to)
    registration.email = registration.verified_email = person.email
    registration.email_verified_at, registration.continues_in = clock.now(), browser
    session().flush()
    signup.finish(registration, partial(_register, school, person), details, browser=browser, account=person)
    return registration


def just_completed(school_id: int, person: Administrator, *, browser: bytes | None) -> Registration | None:
    """What the person completed for this school a moment ago in this browser, for a second click; None if nothing."""
    conditions = Registration.school_id == school_id, Registration.completed_in == browser
    newest = Registration.used_at.desc(), Registration.id
    statement = select(Registration).where(*_completed_within(DOUBLE_CLICK_WINDOW, person), *conditions)
    return session().scalar(statement.order_by(*newest).limit(1))


def _register(school: School, person: Administrator) -> Administrator:
    """Open the school's account with this person as its owner. Raises `SchoolTaken` and `people.AccountClosed`."""
    member = accounts.register_for(person.id, school)
    signup.begin_review("school_added", member.estab, member.person)
    return member.person


def _completed_within(period: timedelta, person: Administrator) -> tuple[ColumnElement[bool], ...]:
    """The registrations that this person completed with their account within this time."""
    conditions = Registration.administrator_id == person.id, Registration.outcome.in_(("added", "joining"))
    return *conditions, Registration.used_at > clock.now() - period


def _enforce_limit(person: Administrator) -> None:
    added = select(func.count()).select_from(Registration).where(*_completed_within(WINDOW, person))
    if (session().scalar(added) or 0) >= MAX_SCHOOLS:
        raise TooManySchools(reason=person.id, retry_after=int(WINDOW.total_seconds()))
