"""Fictional schools, with which a partner's people try their sandbox applications.

Each belongs to one partner. It is an entry of no register, so no search finds it, and it never joins the queue of our
staff. Its one person has an address to which nothing is sent, and may do little more than decide about sharing.
`sharing.sandbox` decides with whom it may share.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select, update

from idp.audit import events, log
from idp.estabs import accounts, credentials, people
from idp.estabs.models import FINAL_STATES, Administrator, Estab, Membership
from idp.foundation import clock
from idp.foundation.database import advisory_lock, lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.schools import fictional

MAX_SCHOOLS: Final = 10
"""How many fictional schools a partner may have, and may make in a day."""
DOMAIN: Final = "fictional.invalid"
"""The domain of their people's addresses, to which nothing is sent (RFC 6761 §6.4)."""
MOBILE: Final = "+447700900000"
"""The number of their people, from the range that Ofcom keeps for fiction. Unconfirmed, so nothing is sent to it."""


class TooManyFictionalSchools(Refusal):
    """The partner has as many as it may have."""

    code, status, title = "too_many_fictional_schools", 409, "You have reached the limit of fictional schools"
    message = f"You can have {MAX_SCHOOLS} fictional schools. Please use or remove one of those that you have."


class UnknownFictionalSchool(NotFound):
    """The partner has no such fictional school."""

    code, title = "unknown_fictional_school", "There is no such school"
    message = "Your company has no fictional school with this id."


def open_school(partner_id: str, kind: str, *, mis: str, password_hash: str, is_verified: bool, by: str) -> Estab:
    """Make a fictional school of this kind with its owner; verified at once, or left as a new school is.

    `mis` is a code of config/mis.toml; `password_hash` is calculated outside the transaction. Raises
    `TooManyFictionalSchools` and `fictional.NoRegister`.
    """
    advisory_lock("fictional schools of a partner", partner_id)
    is_of_partner, today = Estab.fictional_for == partner_id, Estab.registered_at > clock.now() - timedelta(days=1)
    for condition in (Estab.state.not_in(FINAL_STATES), today):  # the schools made today include removed ones
        if (session().scalar(select(func.count()).where(is_of_partner, condition)) or 0) >= MAX_SCHOOLS:
            raise TooManyFictionalSchools(reason=partner_id)
    number = session().scalar(select(func.count()).where(is_of_partner)) or 0
    school = fictional.add(kind, number + 1)
    estab, owner = accounts.register(
        school, name="Alex Example", email=f"{school.register_id.replace('_', '-')}@{DOMAIN}".lower(), mobile=MOBILE
    )
    estab.fictional_for, estab.mis = partner_id, mis
    credentials.set_hash(owner, password_hash, by=by, is_generated=True)
    session().flush()
    log.record(events.FICTIONAL_SCHOOL_MADE, by=by, estab=estab.id, subject=estab.id, partner=partner_id)
    if is_verified:
        accounts.change_state(estab, "verified", by=by, reason="fictional")
    return estab


def list_for_partner(partner_id: str) -> list[Estab]:
    """The fictional schools of a partner, the oldest first."""
    statement = select(Estab).where(Estab.fictional_for == partner_id, Estab.state.not_in(FINAL_STATES))
    return list(session().scalars(statement.order_by(Estab.registered_at, Estab.id)))


def find(partner_id: str, estab_id: str) -> Estab:
    """The partner's fictional school with this Estab ID. Raises `UnknownFictionalSchool`."""
    is_plausible = estab_id.isascii() and estab_id.isalnum()
    statement = select(Estab).where(
        Estab.fictional_for == partner_id, Estab.estab_id == estab_id, Estab.state.not_in(FINAL_STATES)
    )
    if not is_plausible or (estab := session().scalar(statement)) is None:
        raise UnknownFictionalSchool(reason=f"{estab_id[:50]!r} of {partner_id}")
    return estab


def owner(estab: Estab) -> Administrator:
    """The one person of a fictional school."""
    return people.owners(estab.id)[0]


def set_password(estab: Estab, password_hash: str, *, by: str) -> Administrator:
    """Give the owner of a fictional school another password."""
    person = owner(estab)
    lock(Administrator, person.id)
    credentials.set_hash(person, password_hash, by=by, is_generated=True)
    return person


def verify(estab: Estab, *, by: str) -> None:
    """Verify a fictional school, as our staff verify real ones. Raises `accounts.WrongState`."""
    accounts.change_state(estab, "verified", by=by, reason="fictional")


def close(estab: Estab, *, by: str) -> None:
    """Remove a fictional school: its account is closed, which is final; its register entry stays for the history."""
    accounts.change_state(estab, "closed", by=by, reason="fictional")


def partners_with_unused(since: datetime, *, after: str, limit: int) -> list[str]:
    """The next partners, after the id `after`, to be mailed about schools that were not used since `since`."""
    statement = select(Estab.fictional_for).where(*_unused(since), _not_mailed(since), Estab.fictional_for > after)
    partner_ids = session().scalars(statement.distinct().order_by(Estab.fictional_for).limit(limit))
    return [partner_id for partner_id in partner_ids if partner_id is not None]


def mark_unused(partner_id: str, since: datetime) -> list[str]:
    """Mark that a mail is sent now about the partner's schools not used since `since`; returns names with Estab IDs."""
    due = Estab.fictional_for == partner_id, *_unused(since), _not_mailed(since)
    statement = update(Estab).where(*due).values(removal_mailed_at=clock.now()).returning(Estab.id)
    ids = session().scalars(statement.execution_options(synchronize_session=False)).all()
    estabs = session().scalars(select(Estab).where(Estab.id.in_(ids)))
    return sorted(f"{estab.name} ({estab.estab_id})" for estab in estabs)


def list_unused(since: datetime, *, mailed_until: datetime, after: str, limit: int) -> list[str]:
    """Internal ids of the next schools, after `after`, unused since `since` and mailed about by `mailed_until`."""
    statement = select(Estab.id).where(*_unused(since), *_mailed(since, mailed_until), Estab.id > after)
    return list(session().scalars(statement.order_by(Estab.id).limit(limit)))


def find_unused(id_: str, since: datetime, *, mailed_until: datetime) -> Estab | None:
    """The school, locked, if `list_unused` would still include it; else None."""
    lock(Estab, id_)
    return session().scalar(select(Estab).where(Estab.id == id_, *_unused(since), *_mailed(since, mailed_until)))


def _unused(since: datetime) -> tuple[ColumnElement[bool], ...]:
    used = select(Membership.estab_id).where(Membership.signed_in_at > since)
    return (
        Estab.fictional_for.is_not(None), Estab.state.not_in(FINAL_STATES), Estab.registered_at <= since,
        Estab.state_changed_at <= since, Estab.id.not_in(used),
    )  # fmt: skip


def _not_mailed(since: datetime) -> ColumnElement[bool]:
    """A mail from before that time may have been followed by a use, so it does not count."""
    return or_(Estab.removal_mailed_at.is_(None), Estab.removal_mailed_at <= since)


def _mailed(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    return Estab.removal_mailed_at > since, Estab.removal_mailed_at <= until
