"""Get back into an account whose second factors were lost: a wait of 24 hours that its owner can stop.

It is started by a person who has typed the password and a code sent to the confirmed mobile, by our staff after they
called the school, or by an owner of the school (`colleagues`). The person is told by mail and text message at the
start, half-way and at the end, each time with a link that stops it; a sign-in with a second factor stops it as well.
Once it is over, the next sign-in with the password removes the factors.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, select, update

from idp.audit import events, log
from idp.estabs import links, people
from idp.estabs.models import Administrator, Membership
from idp.foundation import clock, crypto, dates, runtime
from idp.foundation.database import lock, row_isolated, session
from idp.outbox import post
from idp.signin import factors, session as sessions
from idp.signin.models import FactorRecovery

PURPOSE: Final = "factor_recovery"
"""The purpose of the links that stop a recovery."""
WAITING_PERIOD: Final = timedelta(hours=24)
SIGN_IN_PERIOD: Final = timedelta(days=7)
"""How long after the end of the wait a sign-in still removes the factors."""
STARTED, HALFWAY, WAIT_OVER = 1, 2, 3
"""The numbers of the notices, as `FactorRecovery.notices` stores the newest."""


def waiting(person_id: str) -> FactorRecovery | None:
    """The person's recovery, whether or not its wait is over; None if there is none."""
    return session().scalar(select(FactorRecovery).where(FactorRecovery.person_id == person_id, *_is_live()))


def start(
    person: Administrator, *, by: str, note: str | None = None, started_for: Membership | None = None
) -> FactorRecovery:
    """Start the wait, or return the one that was started already.

    `note` says whom our staff called, for the audit log; `started_for` is the owner who asked for it.
    """
    lock(Administrator, person.id)  # of two requests at once, the second returns the recovery of the first
    if (existing := waiting(person.id)) is not None:
        return existing
    now = clock.now()
    recovery = FactorRecovery(
        id=crypto.new_id("rec"), person_id=person.id, notices=STARTED, created_at=now, due_at=now + WAITING_PERIOD,
        expires_at=now + WAITING_PERIOD + SIGN_IN_PERIOD, stopped_at=None, completed_at=None,
    )  # fmt: skip
    session().add(recovery)
    details = {"note": note} if note else None
    estab = started_for.estab_id if started_for else person.sole_estab_id
    log.record(events.FACTOR_RECOVERY_STARTED, by=by, estab=estab, subject=person.id, details=details)
    _notify(recovery, person, started_for=started_for)
    return recovery


def complete(person_id: str) -> bool:
    """Remove the person's factors if their wait is over, and return whether it was. Call it after the right password.

    One conditional UPDATE decides between this and `stop`.
    """
    over = FactorRecovery.person_id == person_id, FactorRecovery.due_at <= clock.now(), *_is_live()
    if not _end(*over, column="completed_at"):
        return False
    person = session().get_one(Administrator, person_id)
    factors.forget_all(person_id)
    sessions.end_all(person_id, "factors_removed")
    log.record(events.FACTORS_RECOVERED, by=person_id, estab=person.sole_estab_id, subject=person_id)
    post.email(
        "factors_recovered", to=person.email, estab=person.sole_estab_id, name=person.name_in_mails,
        at=dates.day_and_time(clock.now()),
    )  # fmt: skip
    return True


def check(secret: str) -> None:
    """Raise the `LinkRefused` that says why this link stops nothing; it is not used up."""
    link = links.check(secret, PURPOSE)
    if session().scalar(select(FactorRecovery.id).where(FactorRecovery.id == link.value, *_is_live())) is None:
        raise links.LinkUsed(reason="it was stopped, or the factors were removed")


def stop(secret: str) -> None:
    """Stop the recovery, by the link in a notice. Raises a `LinkRefused`."""
    check(secret)
    link = links.check(secret, PURPOSE)
    links.spend(secret, PURPOSE, link.person_id)
    if not _end(FactorRecovery.id == link.value, *_is_live(), column="stopped_at"):
        raise links.LinkUsed(reason="it was stopped, or the factors were removed, at the same moment")
    _note_stopped(link.person_id, by="stranger")


def stop_for(person_id: str) -> None:
    """Stop the recovery of a person who has just signed in with a second factor, if there is one."""
    if _end(FactorRecovery.person_id == person_id, *_is_live(), column="stopped_at"):
        _note_stopped(person_id, by=person_id)


def notify_due() -> None:
    """Send the notices that are due: half-way, and when the wait is over."""
    now = clock.now()
    for notice, due in (
        (WAIT_OVER, FactorRecovery.due_at <= now),
        (HALFWAY, FactorRecovery.due_at <= now + WAITING_PERIOD / 2),
    ):
        statement = (
            update(FactorRecovery).where(FactorRecovery.notices < notice, due, *_is_live()).values(notices=notice)
        )
        for recovery in session().scalars(statement.returning(FactorRecovery)).all():
            with row_isolated("factor recovery", recovery.id):
                if (person := people.get(recovery.person_id)) is not None:
                    _notify(recovery, person)


def _is_live() -> tuple[ColumnElement[bool], ...]:
    return (
        FactorRecovery.stopped_at.is_(None), FactorRecovery.completed_at.is_(None),
        FactorRecovery.expires_at > clock.now(),
    )  # fmt: skip


def _end(*conditions: ColumnElement[bool], column: str) -> bool:
    statement = update(FactorRecovery).where(*conditions).values({column: clock.now()}).returning(FactorRecovery.id)
    return session().execute(statement.execution_options(synchronize_session=False)).first() is not None


def _note_stopped(person_id: str, *, by: str) -> None:
    person = session().get_one(Administrator, person_id)
    log.record(events.FACTOR_RECOVERY_STOPPED, by=by, estab=person.sole_estab_id, subject=person_id)
    post.email("recovery_stopped", to=person.email, estab=person.sole_estab_id, name=person.name_in_mails)


def _notify(recovery: FactorRecovery, person: Administrator, *, started_for: Membership | None = None) -> None:
    """Mail and text the person how far the wait is, each with a link that stops it."""
    post.email(
        "recovery_notice", to=person.email, estab=person.sole_estab_id, expires=recovery.expires_at,
        name=person.name_in_mails, notice=recovery.notices, due=dates.day_and_time(recovery.due_at),
        link=_stop_url(recovery), owner=started_for.person.name if started_for else None,
        school=started_for.estab.name if started_for else None,
    )  # fmt: skip
    if person.mobile_confirmed_at is not None:
        post.sms(
            "lost_factor", to=person.mobile, estab=person.sole_estab_id, expires=recovery.expires_at,
            link=_stop_url(recovery),
        )  # fmt: skip


def _stop_url(recovery: FactorRecovery) -> str:
    secret, now = crypto.new_secret(), clock.now()
    links.insert(
        recovery.person_id, PURPOSE, crypto.digest(secret), now, recovery.expires_at - now, value=recovery.id
    )  # fmt: skip
    return runtime.url(f"/recovery/{secret}")
