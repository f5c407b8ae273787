"""Sign in with a password, and change it.

The hash is compared between two transactions: the first reads the row, the second counts the guess and only then
acts on the result (security.md rules 3 and 5). The second transaction locks the person, so that a password which is
changed at the same moment signs no one in.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from idp.audit import events, log
from idp.estabs import credentials, links, passphrases, people
from idp.estabs.models import Administrator
from idp.foundation import clock, database, dates, runtime
from idp.foundation.errors import Refusal
from idp.outbox import post
from idp.partners import registry
from idp.signin import devices, factors, guesses, sign_ins, spraying

MAX_NOTICES = 2
NOTICES_WINDOW = timedelta(hours=1)
"""A person gets at most `MAX_NOTICES` notices of new devices in this time."""


class WrongPassword(Refusal):
    """The name or the password is wrong; the error does not say which."""

    code, status, title = "wrong_password", 401, "We could not sign you in"
    message = "That password does not match that Estab ID or e-mail address. Please check both."


class AccountNotOpen(Refusal):
    """The person has proven who they are, but the school's account is not open. Only that proof reveals it."""

    code, status, title = "account_not_open", 403, "Your school's account is not open"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(reason=f"the estab is {state}")


@dataclass(frozen=True, slots=True)
class _Account:
    """What is read about a name before its password is compared; plain values, because the transaction ends then."""

    person_id: str | None
    stored_hash: str | None
    by_name: bytes
    """The counter for guesses at the name as typed. Its lock is shown, whether the name exists or not."""
    by_account: bytes | None
    """The counter for guesses at the account, under all its names. Showing its lock would reveal the names."""
    is_generated: bool = False
    in_known_browser: bool = False


def check(name: str, password: str, *, device: str | None, address: str | None) -> Administrator:
    """The administrator called `name` (e-mail or username) whose password this is.

    `device` is the browser's id, and `address` its network address; a browser known to the person has its own counter
    and is not counted with its network. Raises `WrongPassword`, `Locked`, `spraying.NetworkBlocked`, `AccountNotOpen`
    and `guesses.TooManySignIns`. The guess is counted only if the caller's transaction commits: catch these errors and
    render a page. Where a second step follows, the guess stays counted until that is done: otherwise the right password
    would allow any number of guesses at the code.
    """
    account = _account(name, device)
    guesses.refuse_locked(account.by_name)
    if not account.in_known_browser:
        spraying.check(address)
    database.end_read_transaction()
    is_right, renewed = _verify(
        account.stored_hash, passphrases.normalise(password) if account.is_generated else password
    )

    person = people.get_locked(account.person_id) if account.person_id else None
    guesses.count(account.by_name)
    is_open, locks = _count_at_account(account)
    if person is None or not (is_right and is_open) or person.password_hash != account.stored_hash:
        note_failure(account.person_id, locks=locks)
        if not account.in_known_browser:
            spraying.note_failure(address, people.fold_sign_in_name(name))
        raise WrongPassword(reason=account.person_id or "no person of that name")
    if not factors.has_any(person.id):
        for counter in (account.by_name, account.by_account):
            guesses.forget(counter)
    check_may_sign_in(person)
    if renewed is not None:
        credentials.renew_hash(person, renewed)
    return person


def is_known_browser(name: str, device: str | None) -> bool:
    """Whether the person whose name is `name` has signed in before in the browser whose id is `device`."""
    person = people.by_name(name) if device else None
    return person is not None and devices.is_known(person.id, device)


def name_counter(name: str, device: str | None) -> bytes:
    """The counter for guesses at `name` as it was typed, in the browser whose id is `device`."""
    return _account(name, device).by_name


def note_failure(person_id: str | None, *, locks: bool) -> None:
    """Record a wrong password or code, and where it `locks` the account, mail its person."""
    person = people.get(person_id) if person_id else None
    estab = person.sole_estab_id if person else None
    log.record(events.SIGN_IN_FAILED, by="stranger", estab=estab, subject=person_id)
    if person is not None:
        sign_ins.note_wrong_password(person.id)
        if locks:
            notify_locked(person)


def check_may_sign_in(person: Administrator) -> None:
    """Check that a person whose proof was right may sign in; raises `AccountNotOpen`, `guesses.TooManySignIns`."""
    guesses.count_sign_in(person.id)
    if not person.may_sign_in:
        raise AccountNotOpen(person.memberships[-1].estab.state if person.memberships else "closed")


def change(person: Administrator, password_hash: str, *, by: str, is_generated: bool = False) -> None:
    """Set a person's password by its hash, calculated outside of the transaction; they are told by mail.

    `is_generated` is for a passphrase that we generated.
    """
    had_password = person.password_hash is not None
    for purpose in (links.RESET, links.WELCOME):
        links.supersede(person.id, purpose)
    credentials.set_hash(person, password_hash, by=by, is_generated=is_generated)
    if had_password:
        _mail("password_changed", person)


def rejection_reason(password: str, person: Administrator) -> str | None:
    """Why this person's chosen password is refused; None when it is good."""
    return credentials.rejection_reason(password, guessable_words(person))


def guessable_words(person: Administrator) -> tuple[str, ...]:
    """What an attacker would try first: public facts about the person and the school, and the names of partners."""
    return (*credentials.words_about(person), *registry.partner_names())


def notify_new_device(person: Administrator, *, device: str | None, browser: str) -> None:
    """Mail a person who signs in with an unknown browser, unless no browser is known to them yet.

    After `MAX_NOTICES` in an hour, one more summarises all further ones; it is sent at the end of the hour.
    """
    if not devices.has_any(person.id) or devices.is_known(person.id, device):
        return
    count, until = guesses.tally(guesses.key("new device", person.id), NOTICES_WINDOW)
    context: dict[str, Any] = {"to": person.email, "estab": person.sole_estab_id, "name": person.name_in_mails}
    context |= {"at": dates.day_and_time(clock.now()), "browser": browser}
    if count <= MAX_NOTICES:
        post.email("new_device", **context)
    else:
        deduplicate_as = f"new_devices {person.id} {until.isoformat()}"
        post.email("new_devices", held_until=until, deduplicate_as=deduplicate_as, count=count - MAX_NOTICES, **context)


def unlock(person: Administrator, *, device: str | None = None) -> None:
    """Forget the wrong guesses at this person's account, under each of its names, and in the browser `device`."""
    names = [("name", name) for name in (person.username, person.sign_in_email) if name]
    for parts in (*names, ("account", person.id)):
        guesses.forget(guesses.key(*parts))
        if device:
            guesses.forget(guesses.key(*parts, device))


def notify_locked(person: Administrator) -> None:
    """Record that too many guesses locked the account, and tell the person by mail."""
    log.record(events.ACCOUNT_LOCKED, by="system", estab=person.sole_estab_id, subject=person.id)
    _mail("account_locked", person)


def _account(name: str, device: str | None) -> _Account:
    person, folded = people.by_name(name), people.fold_sign_in_name(name)
    if person is None:
        return _Account(None, None, guesses.key("name", folded), None)
    device_part = (device,) if device and devices.is_known(person.id, device) else ()
    by_name, by_account = guesses.key("name", folded, *device_part), guesses.key("account", person.id, *device_part)
    return _Account(
        person.id, person.password_hash, by_name, by_account, person.password_is_ours, bool(device_part)
    )  # fmt: skip


def _count_at_account(account: _Account) -> tuple[bool, bool]:
    """Count a guess at the account; returns whether it was not locked before, and whether this guess locks it."""
    if account.by_account is None:
        return True, False
    try:
        return True, guesses.count(account.by_account)
    except guesses.Locked:
        return False, False


def _verify(stored: str | None, password: str) -> tuple[bool, str | None]:
    """Whether the password is right, and a new hash if the stored one has outdated parameters."""
    hasher = runtime.passwords()
    is_right = hasher.matches(stored, password)
    return is_right, hasher.hash(password) if is_right and stored and hasher.is_outdated(stored) else None


def _mail(template: str, person: Administrator) -> None:
    """Write to the person that something happened to their password now."""
    at = dates.day_and_time(clock.now())
    post.email(template, to=person.email, estab=person.sole_estab_id, name=person.name_in_mails, at=at)
