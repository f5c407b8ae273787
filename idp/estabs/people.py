"""The administrators of an estab: add them, and look them up by e-mail address, username or estab."""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from string import ascii_lowercase, ascii_uppercase
from typing import Any, TypeVar, cast

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import CursorResult, Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from idp.audit import events, log
from idp.estabs import permissions
from idp.estabs.models import FINAL_STATES, Administrator, Estab, Membership, PersonalSecret, PersonInvitation
from idp.estabs.permissions import Action
from idp.foundation import clock, crypto
from idp.foundation.database import Base, advisory_lock, lock, savepoint, session
from idp.foundation.errors import Refusal

MAX_ATTEMPTS = 50
"""How many usernames are tried for a new person."""
ERASED = ""
"""The value stored in place of an erased name, address or number."""
Row = TypeVar("Row", bound=Base)
_ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


class FictionalPerson(Refusal):
    """A person of a fictional school acts for that school alone, and no one else does."""

    code, status, title = "fictional_person", 409, "This is the account of a fictional school"
    message = "The people of a fictional school act for no other school. Please sign in with another account."


class AccountClosed(Refusal):
    """The person acts for no school any more, so their account was closed."""

    code, status, title = "account_closed", 409, "This account is closed"
    message = "This person no longer acts for any school, so their account is closed. Nothing was changed."


def fold_email(address: str) -> str:
    """The address in the form that is stored for lookup.

    Only A to Z are lowered: Unicode case folding would make two people's addresses equal (the Kelvin sign is not
    the letter K). An internationalised domain, which is typed with its letters, is stored as the DNS has it.
    """
    local, at, domain = address.strip().rpartition("@")
    if not domain.isascii():
        with suppress(EmailNotValidError):
            domain = validate_email(f"x@{domain}", check_deliverability=False).ascii_domain
    return f"{local}{at}{domain}".translate(_ASCII_LOWER)


def mask_email(address: str) -> str:
    """The address with its local part shortened, to be recognised but not written to: `j…@oakhill.sch.uk`."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"


def fold_username(name: str) -> str:
    """The username in the form that is stored for lookup: people type `312/4567`, ` 3124567 ` and `E 123 456`."""
    return re.sub(r"[\s/]", "", name).translate(_ASCII_LOWER)


def fold_sign_in_name(name: str) -> str:
    """The e-mail address or username typed at sign-in, folded for lookup."""
    return fold_email(name) if "@" in name else fold_username(name)


def by_name(name: str) -> Administrator | None:
    """The person who signs in as `name`, an e-mail address or a username; None if unknown or removed."""
    column = Administrator.sign_in_email if "@" in name else Administrator.username
    condition = column == fold_sign_in_name(name)
    return session().scalar(select(Administrator).where(condition, Administrator.removed_at.is_(None)))


def get(person_id: str) -> Administrator | None:
    """The person with this id, unless they have been removed."""
    person = session().get(Administrator, person_id)
    return person if person is not None and person.removed_at is None else None


def get_locked(person_id: str) -> Administrator | None:
    """As `get`, with the row locked until this transaction ends: other changes of the person wait."""
    person = lock(Administrator, person_id)
    return person if person is not None and person.removed_at is None else None


def lock_address(folded: str) -> None:
    """Lock this address until the transaction ends, so that no other transaction creates an account for it."""
    advisory_lock("account of an address", folded)


def get_open_locked(person_id: str) -> Administrator:
    """As `get_locked`. Raises `AccountClosed` for a person who was removed."""
    person = get_locked(person_id)
    if person is None:
        raise AccountClosed(reason=person_id)
    return person


def membership(person_id: str, estab_id: str) -> Membership | None:
    """The membership of this person at the estab with this internal id; None if they do not act for it."""
    row = session().get(Membership, (person_id, estab_id))
    return row if row is not None and row.removed_at is None else None


def actor_id(by: Membership | str) -> str:
    """The id in the audit log of `by`: a member, or our staff, who are `cli` or an operator's id already."""
    return by if isinstance(by, str) else by.person_id


def active_memberships(person: Administrator) -> list[Membership]:
    """The memberships in which this person may act now, the one they signed in for last first."""
    active = [member for member in person.memberships if member.estab.may_act]
    return sorted(active, key=lambda member: member.signed_in_at or member.added_at, reverse=True)


def note_sign_in(person_id: str, estab_id: str) -> bool:
    """Record that the person acts for this estab from now on; False if they were removed meanwhile."""
    conditions = Membership.person_id == person_id, Membership.estab_id == estab_id, Membership.removed_at.is_(None)
    statement = update(Membership).where(*conditions).values(signed_in_at=clock.now())
    return session().scalar(statement.returning(Membership.person_id)) is not None


def owners(estab_id: str) -> list[Administrator]:
    """The owners of the estab with this internal id, the longest-standing first."""
    return [member.person for member in list_for_estab(estab_id) if member.is_owner]


def who_may(estab_id: str, action: Action) -> list[Administrator]:
    """Those whose role at the estab with this internal id includes `action`, owners first."""
    return [member.person for member in list_for_estab(estab_id) if permissions.may(member.role, action)]


def list_for_estab(estab_id: str) -> list[Membership]:
    """All who act for the estab with this internal id, owners first, and of one role the longest-standing."""
    statement = select(Membership).where(Membership.estab_id == estab_id, Membership.removed_at.is_(None))
    members = session().scalars(statement.order_by(Membership.added_at, Membership.person_id))
    return sorted(members, key=lambda member: permissions.rank(member.role))


def add(estab: Estab, *, name: str, email: str, mobile: str, role: str, username: str | None = None) -> Administrator:
    """Add an administrator to `estab` with this role. They have no password yet.

    The address is verified already; `mobile` is E.164. They sign in by e-mail unless the address already
    signs a person in (they may act for two schools), and always by username: without one given, the
    Estab ID and a number, such as `3124567-2`.
    """
    now, folded_email = clock.now(), fold_email(email)
    lock_address(folded_email)
    _release_address(folded_email)
    person = insert_first_accepted(
        Administrator(
            id=crypto.new_id("adm"), first_estab_id=estab.id, name=name, email=email, email_folded=folded_email,
            sign_in_email=None if _is_taken(folded_email) else folded_email,
            username=fold_username(username or f"{estab.estab_id}-{_member_count(estab) + 1 + attempt}"),
            mobile=mobile, mobile_confirmed_at=None, first_role=role, password_hash=None, password_changed_at=None,
            created_at=now, updated_at=now, removed_at=None,
        )
        for attempt in range(MAX_ATTEMPTS)
    )  # fmt: skip
    if person is None:
        raise RuntimeError(f"no free username for {estab.id}")
    session().add(Membership(person=person, estab=estab, role=role, added_at=now, signed_in_at=None, removed_at=None))
    session().flush()
    log.record(events.PERSON_ADDED, by=person.id, estab=estab.id, subject=person.id, role=role)
    return person


def join(person: Administrator, estab: Estab, *, role: str) -> Membership | None:
    """Let a person who has an account act for `estab` as well; None if they do already. Hold a lock on the estab.

    A person who was removed and comes back gets the same row again. Raises `FictionalPerson`.
    """
    if any(member.estab.fictional_for != estab.fictional_for for member in person.memberships):
        raise FictionalPerson(reason=f"{person.id} and {estab.id}")
    now, member = clock.now(), lock(Membership, (person.id, estab.id))
    if member is None:
        member = Membership(person=person, estab=estab, role=role, added_at=now, signed_in_at=None, removed_at=None)
        session().add(member)
    elif member.removed_at is None:
        return None
    else:
        member.role, member.added_at, member.signed_in_at, member.removed_at = role, now, None, None
    session().flush()
    log.record(events.PERSON_ADDED, by=person.id, estab=estab.id, subject=person.id, role=role)
    return member


def change_name(person: Administrator, name: str) -> None:
    """Change a person's name."""
    details = {"before": person.name}
    person.name, person.updated_at = name, clock.now()
    log.record(events.NAME_CHANGED, by=person.id, estab=person.sole_estab_id, subject=person.id, details=details)


def change_email(person: Administrator, address: str) -> bool:
    """Give a person another address, which is verified already; returns whether they sign in by it.

    They do not if another person signs in by it, who keeps it. Hold a lock on the person.
    """
    folded = fold_email(address)
    _release_address(folded)
    values = {"email": address, "email_folded": folded, "updated_at": clock.now()}
    for sign_in_email in (folded, None):
        statement = update(Administrator).where(Administrator.id == person.id)
        try:
            with savepoint():
                session().execute(statement.values(values | {"sign_in_email": sign_in_email}))
        except IntegrityError:
            continue
        session().refresh(person)
        return sign_in_email is not None
    raise RuntimeError(f"the address of {person.id} cannot be changed")


def change_mobile(
    person: Administrator, number: str, *, confirmed_at: datetime | None, changed_at: datetime | None
) -> None:
    """Change a person's number (E.164), confirmed and changed at these times. Hold a lock on the person."""
    person.mobile, person.mobile_confirmed_at, person.mobile_changed_at = number, confirmed_at, changed_at
    person.updated_at = clock.now()


def confirm_mobile(person_id: str, number: str | None) -> bool:
    """Mark `number` as confirmed; False if the person's number has changed meanwhile."""
    unchanged = Administrator.id == person_id, Administrator.mobile == number, Administrator.removed_at.is_(None)
    statement = update(Administrator).where(*unchanged).values(mobile_confirmed_at=clock.now(), updated_at=clock.now())
    return session().execute(statement.returning(Administrator.id)).one_or_none() is not None


def ids_only_at(estab_id: str) -> Select[str]:
    """The ids of the people who act, or acted, for this estab and for no other: their data is erased with it."""
    elsewhere = select(Membership.person_id).where(Membership.estab_id != estab_id, Membership.removed_at.is_(None))
    person_ids = select(Membership.person_id).where(Membership.estab_id == estab_id)
    return person_ids.where(Membership.person_id.not_in(elsewhere))


def erase(estab_id: str) -> int:
    """Erase the personal data of the people of an estab, their links and codes, and its invitations.

    Returns how many people.

    The rows stay: agreements and the audit log refer to their ids. A person who acts for another estab stays as they
    are; all memberships of this one end.
    """
    ids = list(session().scalars(ids_only_at(estab_id)))
    now = clock.now()
    memberships = update(Membership).where(Membership.estab_id == estab_id, Membership.removed_at.is_(None))
    session().execute(memberships.values(removed_at=now).execution_options(synchronize_session=False))
    invitations = delete(PersonInvitation).where(PersonInvitation.estab_id == estab_id)
    session().execute(invitations.execution_options(synchronize_session=False))
    secrets = delete(PersonalSecret).where(PersonalSecret.person_id.in_(ids))
    session().execute(secrets.execution_options(synchronize_session=False))
    statement = (
        update(Administrator)
        .where(Administrator.id.in_(ids), Administrator.email_folded != ERASED)
        .values(
            name=ERASED, email=ERASED, email_folded=ERASED, sign_in_email=None, username=Administrator.id,
            mobile=ERASED, mobile_confirmed_at=None, password_hash=None, updated_at=now,
            removed_at=func.coalesce(Administrator.removed_at, now),
        )
    )  # fmt: skip
    return cast("CursorResult[Any]", session().execute(statement.execution_options(synchronize_session=False))).rowcount


def _release_address(folded: str) -> None:
    """Free an address whose person acts only for rejected or closed estabs: a rejected school may register again."""
    active = select(Membership.person_id).join(Estab, Estab.id == Membership.estab_id)
    active = active.where(Membership.removed_at.is_(None), Estab.state.not_in(FINAL_STATES))
    statement = update(Administrator).where(Administrator.sign_in_email == folded, Administrator.id.not_in(active))
    session().execute(statement.values(sign_in_email=None))


def _is_taken(folded: str) -> bool:
    return session().scalar(select(Administrator.id).where(Administrator.sign_in_email == folded)) is not None


def _member_count(estab: Estab) -> int:
    statement = select(func.count()).select_from(Membership).where(Membership.estab_id == estab.id)
    return session().scalar(statement) or 0


def insert_first_accepted(rows: Iterable[Row]) -> Row | None:
    """Insert the first of `rows` that violates no unique constraint, and return it; None if every one does.

    Inserting and trying the next is safe when two do it at once; looking before inserting is not.
    """
    for row in rows:
        try:
            with savepoint():
                session().add(row)
        except IntegrityError:
            continue
        return row
    return None
