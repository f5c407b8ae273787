"""Estabs: a school registers once, is given its Estab ID for ever, and changes state."""

import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from sqlalchemy import or_, select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import FINAL, Administrator, Estab
from idp.foundation import clock, crypto
from idp.foundation.database import session
from idp.foundation.errors import NotFound, Refusal
from idp.schools.models import School

ATTEMPTS = 50
"""Estab IDs to try; with a tenth of all taken, failing has a chance of 1 in 10^50."""

NEXT_STATES = {
    "unverified": {"verified", "rejected", "suspended", "closed"},
    "verified": {"suspended", "closed"},
    "suspended": {"unverified", "verified", "closed"},
    "rejected": set[str](),
    "closed": set[str](),
}
"""What an estab may become. Rejected and closed are final: such a school registers anew."""


class SchoolTaken(Refusal):
    """The school has an estab already: a new registration asks to join it."""

    code, status, title = "school_taken", 409, "This school has registered already"
    says = "Somebody has registered this school in the meantime. You can ask to join its account."


class UnknownEstab(NotFound):
    """No estab has this Estab ID."""

    code, title = "unknown_estab", "No such school account"
    says = "No school is registered under that Estab ID. Please check it."


class WrongState(Refusal):
    """The estab is not in a state from which it could become that."""

    code, status, title = "wrong_state", 409, "That cannot be done any more"


def register(school: School, *, name: str, email: str, mobile: str) -> tuple[Estab, Administrator]:
    """Open the account of `school`, unverified, with its first owner, whose username is the Estab ID.

    The address is verified already; `mobile` is E.164. Raises `SchoolTaken`, also for the second of two at once
    at the same moment.
    """
    if of_school(school.id) is not None:
        raise SchoolTaken(because=f"school {school.id}")
    estab = people.first_accepted(_candidates(school))
    if estab is None:  # only another registration of this school can be in the way of all of them
        raise SchoolTaken(because=f"school {school.id}, at the same moment")
    owner = people.add(estab, name=name, email=email, mobile=mobile, role="owner", username=estab.estab_id)
    log.record(events.ESTAB_REGISTERED, by=owner.id, estab=estab.id, subject=owner.id, school=school.id)
    return estab, owner


def _candidates(school: School) -> Iterator[Estab]:
    """The estab with each Estab ID it could have: its DfE number, which another may hold, then random ones."""
    now = clock.now()
    for estab_id in islice(_estab_ids(school.dfe_number), ATTEMPTS):
        yield Estab(
            id=crypto.new_id("est"), estab_id=estab_id, school=school, state="unverified",
            state_changed_at=now, registered_at=now, mis=None,
        )  # fmt: skip


def _estab_ids(dfe_number: str | None) -> Iterator[str]:
    if dfe_number and re.fullmatch(r"[0-9]{7}", dfe_number):
        yield dfe_number
    while True:
        yield f"E{secrets.randbelow(1_000_000):06}"


def of_school(school_id: int) -> Estab | None:
    """The living estab of a school of the register, if it has one: not rejected, not closed."""
    living = Estab.state.not_in(FINAL)
    return session().scalar(select(Estab).where(Estab.school_id == school_id, living))


def find(estab_id: str) -> Estab:
    """The estab with this Estab ID, however it is typed (`312/4567`, `e123456`). Raises `UnknownEstab`."""
    folded = people.fold_username(estab_id).upper()
    estab = session().scalar(select(Estab).where(Estab.estab_id == folded))
    if estab is None:
        raise UnknownEstab(because="no such Estab ID")
    return estab


def named(typed: str) -> Estab:
    """The estab that an operator means: by its Estab ID, its internal id, or its school's DfE number or URN.

    Of several of one school, the living one, else the newest. Raises `UnknownEstab`.
    """
    typed = typed.strip()
    if (estab := session().get(Estab, typed)) is not None:
        return estab
    with suppress(UnknownEstab):
        return find(typed)
    number = re.sub(r"[\s/]", "", typed)
    of_that_school = select(Estab).join(School).where(or_(School.dfe_number == number, School.register_id == number))
    living_first = Estab.state.in_(FINAL), Estab.registered_at.desc(), Estab.id
    found = session().scalar(of_that_school.order_by(*living_first).limit(1)) if number else None
    if found is None:
        raise UnknownEstab(because="no such Estab ID, DfE number or URN")
    return found


def matching(text: str, *, most: int = 50) -> list[Estab]:
    """Estabs by any name of theirs: what `named` takes, or words of the school's name or town, or an address."""
    with suppress(UnknownEstab):
        return [named(text)]
    wanted = select(Estab).join(School).order_by(School.name, Estab.registered_at, Estab.id).limit(most)
    if "@" in text:
        folded = people.fold_email(text)
        people_there = select(Administrator.estab_id).where(Administrator.email_folded == folded)
        return list(session().scalars(wanted.where(Estab.id.in_(people_there))))
    for word in text.split():
        either = School.name.icontains(word, autoescape=True), School.town.icontains(word, autoescape=True)
        wanted = wanted.where(or_(*either))
    return list(session().scalars(wanted)) if text.split() else []


def set_mis(estab: Estab, code: str) -> str | None:
    """Record the school's MIS, a code of config/mis.toml; returns the one that was recorded before."""
    before, estab.mis = estab.mis, code
    return before


def change_state(estab: Estab, state: str, *, by: str, reason: str = "") -> None:
    """Make `estab` `state`, recorded with who did it and why. Raises `WrongState`.

    Of two who decide at once, the second is refused: the state it knew is gone.
    """
    before = estab.state
    if state not in NEXT_STATES[before]:
        raise WrongState(f"This school's account is {before}; it cannot become {state}.")
    changed = session().execute(
        update(Estab)
        .where(Estab.id == estab.id, Estab.state == before)
        .values(state=state, state_changed_at=clock.now())
        .returning(Estab.id)
    )
    if changed.one_or_none() is None:
        raise WrongState("Somebody has just decided about this school. Please look again.", because=estab.id)
    session().refresh(estab)
    log.record(
        events.ESTAB_STATE_CHANGED, by=by, estab=estab.id, subject=estab.id, before=before, state=state,
        details={"reason": reason} if reason else None,
    )  # fmt: skip
