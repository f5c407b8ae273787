"""What our staff do for a person who cannot sign in. They never set or see a password."""

from datetime import datetime

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import Administrator
from idp.foundation import dates
from idp.foundation.database import lock
from idp.foundation.errors import NotFound, Refusal
from idp.signin import factor_recovery, password, reset_links, session


class UnknownPerson(NotFound):
    """No person signs in by this name."""

    code, title = "unknown_person", "No such person"
    message = "No one signs in with that username or e-mail address. `idp estabs show` lists a school's people."


class RecoveryStarted(Refusal):
    """The wait has begun already: nothing is changed, and no note is kept."""

    code, status, title = "recovery_started", 409, "This has been started already"

    def __init__(self, due_at: datetime) -> None:
        super().__init__(
            f"This has been started already: the person can sign in with the password alone from "
            f"{dates.day_and_time(due_at)}. Your note was not kept.",
            reason="a recovery waits",
        )


def send_reset_link(name: str, *, by: str, note: str) -> Administrator:
    """Mail the person a link to choose a new password. Raises `UnknownPerson`, `reset_links.AccountClosed`."""
    person = find(name)
    reset_links.send(person, by=by, note=note)
    return person


def start_factor_recovery(name: str, *, by: str, note: str) -> tuple[Administrator, datetime]:
    """Start the wait for a person who lost their second factors; returns when it is over.

    Raises `UnknownPerson`, and `RecoveryStarted` where it has begun already.
    """
    person = find(name)
    lock(Administrator, person.id)  # of two operators at once, the second is told of the first
    if (waiting := factor_recovery.waiting(person.id)) is not None:
        raise RecoveryStarted(waiting.due_at)
    return person, factor_recovery.start(person, by=by, note=note).due_at


def unlock(name: str, *, by: str, reason: str) -> Administrator:
    """Forget the wrong passwords that were typed for the person. Raises `UnknownPerson`."""
    person = find(name)
    password.unlock(person)
    log.record(
        events.ACCOUNT_UNLOCKED, by=by, estab=person.sole_estab_id, subject=person.id, details={"reason": reason}
    )  # fmt: skip
    return person


def end_sessions(name: str, *, by: str, note: str = "") -> tuple[Administrator, int]:
    """End every session of the person; returns how many there were. Raises `UnknownPerson`."""
    person = find(name)
    count = session.end_all(person.id, "operator")
    log.record(
        events.SESSIONS_ENDED, by=by, estab=person.sole_estab_id, subject=person.id, count=count,
        details={"note": note} if note else None,
    )  # fmt: skip
    return person, count


def find(name: str) -> Administrator:
    """The person who signs in by this name. Raises `UnknownPerson`."""
    person = people.by_name(name)
    if person is None:
        raise UnknownPerson(reason="no person signs in by that name")
    return person
