"""Change the password of the person signed in, who types the current one too (security.md §5).

A wrong current password counts like one at the sign-in page, on the same counter: otherwise a browser that was left
open would allow any number of guesses.
"""

from idp.estabs import passphrases, people
from idp.estabs.models import Administrator
from idp.foundation import database, runtime
from idp.foundation.database import session
from idp.foundation.errors import Refusal
from idp.signin import devices, guesses, password, session as browser_sessions


class WrongCurrentPassword(Refusal):
    """The password typed is not the current one, or that has just been changed."""

    code, status, title = "wrong_current_password", 422, "That is not your current password"
    message = "That is not your current password. Please type it again."


def change(person_id: str, current: str, chosen: str, *, device: str | None, sid: str) -> None:
    """Set the password `chosen`, which the caller has checked, if `current` is the one that the person has now.

    All their sessions but `sid` end, and they are told by mail. Raises `WrongCurrentPassword` and `guesses.Locked`.
    The guess is counted only if the caller's transaction commits: catch these errors and render a page. The
    passwords are hashed between two transactions.
    """
    person, counter = session().get_one(Administrator, person_id), devices.guess_counter(person_id, device)
    stored = person.password_hash
    typed = passphrases.normalise(current) if person.password_is_ours else current
    guesses.refuse_locked(counter)
    database.end_read_transaction()
    is_right = runtime.passwords().matches(stored, typed)
    password_hash = runtime.passwords().hash(chosen) if is_right else None

    locked_person = people.get_locked(person_id)
    locks = guesses.count(counter)
    if password_hash is None or locked_person is None or locked_person.password_hash != stored:
        password.note_failure(person_id, locks=locks)
        raise WrongCurrentPassword(reason=person_id)
    guesses.forget(counter)
    password.change(locked_person, password_hash, by=person_id)
    browser_sessions.end_all(person_id, "password_changed", except_sid=sid)
