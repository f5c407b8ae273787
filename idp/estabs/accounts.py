"""Open the account of a school (its estab), look accounts up, and change their state."""

import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice

from sqlalchemy import or_, select, update

from idp.audit import events, log
from idp.estabs import people, permissions
from idp.estabs.models import ACTIVE_STATES, FINAL_STATES, Administrator, Estab, Membership
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound, Refusal
from idp.schools.models import School

MAX_ATTEMPTS = 50
"""Estab IDs to try; with a tenth of all taken, failing has a chance of 1 in 10^50."""

NEXT_STATES = {
    "unverified": {"verified", "rejected", "suspended", "closed"},
    "verified": {"suspended", "closed"},
    "suspended": {"unverified", "verified", "closed"},
    "rejected": set[str](),
    "closed": set[str](),
}
"""What an estab may become. Rejected and closed are final: such a school registers again."""


class SchoolTaken(Refusal):
    """The school has an estab already: a new registration asks to join it."""

    code, status, title = "school_taken", 409, "This school has already registered"
    message = "Someone else has registered this school in the meantime. You can ask to join its account."


class UnknownEstab(NotFound):
    """No estab has this Estab ID."""

    code, title = "unknown_estab", "No such school account"
    message = "No school is registered under that Estab ID. Please check it."


class WrongState(Refusal):
    """The estab's present state does not allow the change."""

    code, status, title = "wrong_state", 409, "This can no longer be done"


def register(school: School, *, name: str, email: str, mobile: str) -> tuple[Estab, Administrator]:
    """Open the account of `school`, unverified, with its first owner, whose username is the Estab ID.

    The address is verified already; `mobile` is E.164. Raises `SchoolTaken`, also where two registrations of one
    school complete at the same moment: the second is refused.
    """
    estab = _open(school)
    owner = people.add(estab, name=name, email=email, mobile=mobile, role=permissions.OWNER, username=estab.estab_id)
    log.record(events.ESTAB_REGISTERED, by=owner.id, estab=estab.id, subject=owner.id, school=school.id)
    return estab, owner


def register_for(person_id: str, school: School) -> Membership:
    """Open the account of `school`, unverified, with a person who has an account as its first owner.

    They continue to sign in as before. Raises `SchoolTaken` as `register`, and `people.AccountClosed`.
    """
    estab = _open(school)
    person = people.get_open_locked(person_id)
    owner = people.join(person, estab, role=permissions.OWNER)
    assert owner is not None  # the estab is new, so no one acted for it
    log.record(events.ESTAB_REGISTERED, by=person.id, estab=estab.id, subject=person.id, school=school.id)
    return owner


def _open(school: School) -> Estab:
    if find_by_school(school.id) is not None:
        raise SchoolTaken(reason=f"school {school.id}")
    estab = people.insert_first_accepted(_candidates(school))
    if estab is None:  # only another registration of this school can conflict with every Estab ID
        raise SchoolTaken(reason=f"school {school.id}, at the same moment")
    return estab


def _candidates(school: School) -> Iterator[Estab]:
    """The estab with each Estab ID it could have: its DfE number, which another may hold, then random ones."""
    now = clock.now()
    for estab_id in islice(_estab_ids(school.dfe_number), MAX_ATTEMPTS):
        yield Estab(
            id=crypto.new_id("est"), estab_id=estab_id, school=school, state="unverified",
            state_changed_at=now, registered_at=now, mis=None,
        )  # fmt: skip


def _estab_ids(dfe_number: str | None) -> Iterator[str]:
    if dfe_number and re.fullmatch(r"[0-9]{7}", dfe_number):
        yield dfe_number
    while True:
        yield f"E{secrets.randbelow(1_000_000):06}"


def find_by_school(school_id: int) -> Estab | None:
    """The active estab of a school of the register, if it has one: not rejected, not closed."""
    is_active = Estab.state.not_in(FINAL_STATES)
    return session().scalar(select(Estab).where(Estab.school_id == school_id, is_active))


def find(estab_id: str) -> Estab:
    """The estab with this Estab ID, in any spelling (`312/4567`, `e123456`). Raises `UnknownEstab`."""
    folded = people.fold_username(estab_id).upper()
    estab = session().scalar(select(Estab).where(Estab.estab_id == folded))
    if estab is None:
        raise UnknownEstab(reason="no such Estab ID")
    return estab


def look_up(text: str) -> Estab:
    """The estab with this Estab ID or internal id, or whose school has this DfE number or URN. For operators.

    If the school has several estabs, it is the active one, or else the newest. Raises `UnknownEstab`.
    """
    text = text.strip()
    if (estab := session().get(Estab, text)) is not None:
        return estab
    with suppress(UnknownEstab):
        return find(text)
    number = re.sub(r"[\s/]", "", text)
    of_school_number = select(Estab).join(School).where(or_(School.dfe_number == number, School.register_id == number))
    active_first = Estab.state.in_(FINAL_STATES), Estab.registered_at.desc(), Estab.id
    match = session().scalar(of_school_number.order_by(*active_first).limit(1)) if number else None
    if match is None:
        raise UnknownEstab(reason="no such Estab ID, DfE number or URN")
    return match


def search(text: str, *, limit: int = 50) -> list[Estab]:
    """Estabs that match: what `look_up` takes, words of the school's name or town, or an administrator's address.

    Fictional schools are found by `look_up` alone.
    """
    with suppress(UnknownEstab):
        return [look_up(text)]
    statement = (
        select(Estab)
        .join(School)
        .where(Estab.fictional_for.is_(None))
        .order_by(School.name, Estab.registered_at, Estab.id)
        .limit(limit)
    )
    if "@" in text:
        folded = people.fold_email(text)
        people_there = select(Membership.estab_id).join(Administrator, Administrator.id == Membership.person_id)
        people_there = people_there.where(Administrator.email_folded == folded)
        return list(session().scalars(statement.where(Estab.id.in_(people_there))))
    for word in text.split():
        conditions = School.name.icontains(word, autoescape=True), School.town.icontains(word, autoescape=True)
        statement = statement.where(or_(*conditions))
    return list(session().scalars(statement)) if text.split() else []


def set_mis(estab: Estab, code: str) -> str | None:
    """Record the school's MIS, a code of config/mis.toml; returns the one that was recorded before."""
    before, estab.mis = estab.mis, code
    return before


def mark_closing_notified(status: str, *, limit: int) -> list[str]:
    """Mark that owners of the next open accounts are told of this status of their schools; returns the internal ids.

    One UPDATE, so that each is told by one of two workers.
    """
    due = (
        Estab.state.in_(ACTIVE_STATES), or_(Estab.closing_told.is_(None), Estab.closing_told != status),
        Estab.school_id.in_(select(School.id).where(School.status_code == status)),
    )  # fmt: skip
    batch = select(Estab.id).where(*due).order_by(Estab.id).limit(limit).scalar_subquery()
    statement = update(Estab).where(*due, Estab.id.in_(batch)).values(closing_told=status).returning(Estab.id)
    return list(session().scalars(statement.execution_options(synchronize_session=False)))


def reset_closing_notified(statuses: Collection[str]) -> None:
    """Unmark schools that have none of these statuses any more: they are told again if they get one."""
    is_open = Estab.school_id.in_(select(School.id).where(School.status_code.not_in(statuses)))
    statement = update(Estab).where(Estab.closing_told.is_not(None), is_open).values(closing_told=None)
    session().execute(statement.execution_options(synchronize_session=False))


def require_second_step(estab_id: str, *, is_required: bool) -> bool:
    """Record that the estab with this internal id requires a second step of everyone, or no longer does.

    False if nothing changed. One UPDATE: of two at once, one changes it.
    """
    at = Estab.second_step_required_at
    statement = update(Estab).where(Estab.id == estab_id, at.is_(None) if is_required else at.is_not(None))
    values = statement.values(second_step_required_at=clock.now() if is_required else None)
    return session().scalar(values.returning(Estab.id)) is not None


def record_endpoint_change(estab_id: str) -> None:
    """Record that the state of the endpoint of the estab, which is locked, changes now, for clients that ask for it."""
    session().execute(update(Estab).where(Estab.id == estab_id).values(endpoint_changed_at=clock.now()))


def change_state(estab: Estab, state: str, *, by: str, reason: str = "") -> None:
    """Set the state of `estab`; the audit log records who did it and why. Raises `WrongState`.

    The UPDATE names the state that was read, so of two decisions at once the second is refused.
    """
    before = estab.state
    if state not in NEXT_STATES[before]:
        raise WrongState(f"This school's account is {before}; it cannot become {state}.")
    result = session().execute(
        update(Estab)
        .where(Estab.id == estab.id, Estab.state == before)
        .values(state=state, state_changed_at=clock.now())
        .returning(Estab.id)
    )
    if result.one_or_none() is None:
        raise WrongState("Someone else has just decided about this school. Please look again.", reason=estab.id)
    session().refresh(estab)
    log.record(
        events.ESTAB_STATE_CHANGED, by=by, estab=estab.id, subject=estab.id, before=before, state=state,
        details={"reason": reason} if reason else None,
    )  # fmt: skip
    runtime.ports().estab_state_changed(estab.id, before, state)
