"""The people who act for an estab: who they are, and the names under which they are found."""

import re
from collections.abc import Iterable
from string import ascii_lowercase, ascii_uppercase
from typing import Any, TypeVar, cast

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from idp.audit import events, log
from idp.estabs.models import FINAL, Administrator, Estab, PersonalSecret
from idp.foundation import clock, crypto
from idp.foundation.database import Base, session

ATTEMPTS = 50
ERASED = ""
"""In the place of a name, an address or a number that was erased."""
Row = TypeVar("Row", bound=Base)
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def fold_email(address: str) -> str:
    """The address as it is looked up.

    Only A to Z are lowered: other foldings make different people's addresses one (K, the Kelvin sign, is
    not the letter K).
    """
    return address.strip().translate(_LOWER)


def masked_email(address: str) -> str:
    """The address as it is shown where its holder has to be recognised, and not written to: `j…@oakhill.sch.uk`."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"


def fold_username(name: str) -> str:
    """The username as it is looked up: `312/4567`, ` 3124567 ` and `E 123 456` are what people type."""
    return re.sub(r"[\s/]", "", name).translate(_LOWER)


def folded(name: str) -> str:
    """The e-mail address or username typed at sign-in, folded for lookup."""
    return fold_email(name) if "@" in name else fold_username(name)


def by_name(name: str) -> Administrator | None:
    """The person who signs in as `name`, an e-mail address or a username; None if unknown or removed."""
    known_as = Administrator.sign_in_email if "@" in name else Administrator.username
    named = known_as == folded(name)
    return session().scalar(select(Administrator).where(named, Administrator.removed_at.is_(None)))


def get(person_id: str) -> Administrator | None:
    """The person with this id, unless they have been removed."""
    person = session().get(Administrator, person_id)
    return person if person is not None and person.removed_at is None else None


def owners(estab_id: str) -> list[Administrator]:
    """Who owns the account of the estab with this internal id, longest first."""
    return list(
        session().scalars(
            select(Administrator)
            .where(
                Administrator.estab_id == estab_id, Administrator.role == "owner", Administrator.removed_at.is_(None)
            )
            .order_by(Administrator.created_at, Administrator.id)
        )
    )


def of_estab(estab_id: str) -> list[Administrator]:
    """Everybody who acts for an estab, owners first."""
    here = select(Administrator).where(Administrator.estab_id == estab_id, Administrator.removed_at.is_(None))
    owners_first = Administrator.role != "owner", Administrator.created_at, Administrator.id
    return list(session().scalars(here.order_by(*owners_first)))


def add(estab: Estab, *, name: str, email: str, mobile: str, role: str, username: str | None = None) -> Administrator:
    """Let a person act for `estab` as `role`. They have no password yet.

    The address is verified already; `mobile` is E.164. They sign in by e-mail unless the address already
    signs a person in (they may act for two schools), and always by username: without one given, the
    Estab ID and a number, such as `3124567-2`.
    """
    now, folded = clock.now(), fold_email(email)
    _release(folded)
    person = first_accepted(
        Administrator(
            id=crypto.new_id("adm"), estab=estab, name=name, email=email, email_folded=folded,
            sign_in_email=None if _is_taken(folded) else folded,
            username=fold_username(username or f"{estab.estab_id}-{_count(estab) + 1 + attempt}"),
            mobile=mobile, mobile_confirmed_at=None, role=role, password_hash=None, password_changed_at=None,
            created_at=now, updated_at=now, removed_at=None,
        )
        for attempt in range(ATTEMPTS)
    )  # fmt: skip
    if person is None:
        raise RuntimeError(f"no username is left for {estab.id}")
    log.record(events.PERSON_ADDED, by=person.id, estab=estab.id, subject=person.id, role=role)
    return person


def confirm_mobile(person_id: str, number: str | None) -> bool:
    """The person has received a code at `number`; False where their number is another by now."""
    still = Administrator.id == person_id, Administrator.mobile == number, Administrator.removed_at.is_(None)
    confirmed = update(Administrator).where(*still).values(mobile_confirmed_at=clock.now(), updated_at=clock.now())
    return session().execute(confirmed.returning(Administrator.id)).one_or_none() is not None


def erase(estab_id: str) -> int:
    """Erase what the rows of an estab's people say of them, and their links and codes; returns how many people.

    The rows stay: agreements and the audit log name their ids.
    """
    ids = select(Administrator.id).where(Administrator.estab_id == estab_id)
    secrets = delete(PersonalSecret).where(PersonalSecret.person_id.in_(ids))
    session().execute(secrets.execution_options(synchronize_session=False))
    erased = (
        update(Administrator)
        .where(Administrator.estab_id == estab_id, Administrator.email_folded != ERASED)
        .values(
            name=ERASED, email=ERASED, email_folded=ERASED, sign_in_email=None, username=Administrator.id,
            mobile=ERASED, mobile_confirmed_at=None, password_hash=None, updated_at=clock.now(),
            removed_at=func.coalesce(Administrator.removed_at, clock.now()),
        )
    )  # fmt: skip
    return cast("CursorResult[Any]", session().execute(erased.execution_options(synchronize_session=False))).rowcount


def _release(folded: str) -> None:
    """Let go of an address that signs in to an account which is over: a rejected school may register again."""
    over = select(Estab.id).where(Estab.state.in_(FINAL))
    held = update(Administrator).where(Administrator.sign_in_email == folded, Administrator.estab_id.in_(over))
    session().execute(held.values(sign_in_email=None))


def _is_taken(folded: str) -> bool:
    return session().scalar(select(Administrator.id).where(Administrator.sign_in_email == folded)) is not None


def _count(estab: Estab) -> int:
    counted = select(func.count()).select_from(Administrator).where(Administrator.estab_id == estab.id)
    return session().scalar(counted) or 0


def first_accepted(rows: Iterable[Row]) -> Row | None:
    """Insert the first of `rows` that no unique name stands in the way of; None if all are refused.

    Inserting, and trying the next, is what holds when two do it at once; looking first does not.
    """
    for row in rows:
        try:
            with session().begin_nested():
                session().add(row)
        except IntegrityError:
            continue
        return row
    return None
