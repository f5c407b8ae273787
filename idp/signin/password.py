"""Signing in with a password, and choosing a new one.

The hash is checked between two transactions: the first reads what is needed, the second counts the guess
and only then lets its outcome be known (security.md rules 3 and 5).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from idp.audit import events, log
from idp.estabs import credentials, passphrases, people
from idp.estabs.models import Administrator
from idp.foundation import clock, database, dates, runtime
from idp.foundation.errors import Refusal
from idp.outbox import post
from idp.partners import registry
from idp.signin import devices, guesses

NOTICES = 2
NOTICES_WITHIN = timedelta(hours=1)
"""A person gets so many notices of new devices in this time."""


class WrongPassword(Refusal):
    """It is not said whether the name or the password was wrong."""

    code, status, title = "wrong_password", 401, "We could not sign you in"
    says = "That password does not match that Estab ID or e-mail address. Please check both."


class NotInStanding(Refusal):
    """The password was right, but the school's account is not open. Only then does anyone learn so."""

    code, status, title = "account_not_open", 403, "Your school's account is not open"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(because=f"the estab is {state}")


@dataclass(frozen=True, slots=True)
class _Account:
    """What is known of a name before its password is: plain values that outlive the transaction."""

    person_id: str | None
    stored: str | None
    typed: bytes
    """Where guesses at the name that was typed count. Its lock is told, whether anybody has that name or not."""
    whole: bytes | None
    """Where guesses at the account count, under all its names. Its lock is not told: it would tell whose they are."""
    is_ours: bool = False


def check(name: str, password: str, *, device: str | None) -> Administrator:
    """The administrator called `name` (e-mail or username) whose password this is.

    `device` is the browser's id: where it is known to them, it has guesses of its own. Raises `WrongPassword`,
    `Locked`, `NotInStanding` and `guesses.TooManySignIns`. What was counted stays counted only if the caller's
    transaction is committed: catch these, and answer with a page.
    """
    account = _account(name, device)
    guesses.refuse_locked(account.typed)
    database.end_read_transaction()
    right, renewed = _compare(account.stored, passphrases.normalise(password) if account.is_ours else password)

    guesses.count(account.typed)
    is_open, locks = _count_at_account(account)
    person = people.get(account.person_id) if right and is_open and account.person_id else None
    if person is None or person.password_hash != account.stored:
        _note_failure(account, locks=locks)
        raise WrongPassword(because=account.person_id or "no person of that name")
    for counter in (account.typed, account.whole):
        guesses.forget(counter)
    guesses.count_sign_in(person.id)
    if not person.estab.may_act:
        raise NotInStanding(person.estab.state)
    if renewed is not None:
        credentials.renew_hash(person, renewed)
    return person


def change(person: Administrator, hashed: str, *, by: str, is_ours: bool = False) -> None:
    """Give a person the password behind `hashed`, made outside of the transaction; they are told by mail.

    `is_ours` for a passphrase that we made.
    """
    had_one = person.password_hash is not None
    credentials.set_hash(person, hashed, by=by, is_ours=is_ours)
    if had_one:
        _mail("password_changed", person)


def why_not(password: str, person: Administrator) -> str | None:
    """Why this person may not have this password; None when they may. Partners' names are no secret either."""
    return credentials.rejection_reason(password, (*credentials.words_about(person), *registry.names()))


def tell_of_new_device(person: Administrator, *, device: str | None, browser: str) -> None:
    """Write to a person who signs in where they never did before, unless they never signed in anywhere.

    After `NOTICES` in an hour, one more gathers all further ones, and is sent when the hour is over.
    """
    if not devices.has_any(person.id) or devices.is_known(person.id, device):
        return
    count, until = guesses.tally(guesses.key("new device", person.id), NOTICES_WITHIN)
    about: dict[str, Any] = {"to": person.email, "estab": person.estab_id, "name": person.name_in_mails}
    about |= {"at": dates.day_and_time(clock.now()), "browser": browser}
    if count <= NOTICES:
        post.email("new_device", **about)
    else:
        once = f"new_devices {person.id} {until.isoformat()}"
        post.email("new_devices", held_until=until, once=once, count=count - NOTICES, **about)


def _account(name: str, device: str | None) -> _Account:
    person, folded = people.by_name(name), people.fold_sign_in_name(name)
    if person is None:
        return _Account(None, None, guesses.key("name", folded), None)
    known = (device,) if device and devices.is_known(person.id, device) else ()
    typed, whole = guesses.key("name", folded, *known), guesses.key("account", person.id, *known)
    return _Account(person.id, person.password_hash, typed, whole, person.password_is_ours)


def _count_at_account(account: _Account) -> tuple[bool, bool]:
    """Count a guess at the whole account: whether it is open, and whether this guess locks it."""
    if account.whole is None:
        return True, False
    try:
        return True, guesses.count(account.whole)
    except guesses.Locked:
        return False, False


def _compare(stored: str | None, password: str) -> tuple[bool, str | None]:
    """Whether it is right, and its new hash where the stored one was made with other parameters."""
    hasher = runtime.passwords()
    right = hasher.matches(stored, password)
    return right, hasher.hash(password) if right and stored and hasher.is_outdated(stored) else None


def _note_failure(account: _Account, *, locks: bool) -> None:
    person = people.get(account.person_id) if account.person_id else None
    estab = person.estab_id if person else None
    log.record(events.SIGN_IN_FAILED, by="stranger", estab=estab, subject=account.person_id)
    if locks:
        log.record(events.ACCOUNT_LOCKED, by="system", estab=estab, subject=account.person_id)
    if locks and person is not None:
        _mail("account_locked", person)


def _mail(template: str, person: Administrator) -> None:
    """Write to the person that something happened to their password now."""
    at = dates.day_and_time(clock.now())
    post.email(template, to=person.email, estab=person.estab_id, name=person.name_in_mails, at=at)
