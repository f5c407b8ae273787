"""Suspend and restore a school's account, and end its people's sessions."""

from idp.audit import events, log
from idp.estabs import accounts, people
from idp.estabs.models import Estab
from idp.onboarding import review
from idp.signin import session


def suspend(text: str, *, by: str, reason: str) -> Estab:
    """Suspend the estab: its people cannot act and no data leaves it, at once. Raises `UnknownEstab`, `WrongState`.

    Its agreements remain, and apply again once it is restored.
    """
    estab = accounts.look_up(text)
    accounts.change_state(estab, "suspended", by=by, reason=reason)
    _end_sessions(estab, "suspended")
    return estab


def restore(text: str, *, by: str, reason: str = "") -> Estab:
    """Give a suspended account its former state again. Raises `UnknownEstab`, `WrongState`.

    It becomes verified only if our staff had verified it, and unverified otherwise.
    """
    estab = accounts.look_up(text)
    if estab.state != "suspended":
        raise accounts.WrongState(f"This school's account is {estab.state}; there is nothing to restore.")
    estab_review = review.find_by_estab(estab)
    was_verified = estab_review is not None and estab_review.decision == "verified"
    accounts.change_state(estab, "verified" if was_verified else "unverified", by=by, reason=reason)
    return estab


def end_sessions(text: str, *, by: str, note: str = "") -> tuple[Estab, int]:
    """End every session of the school's people; returns how many there were. Raises `UnknownEstab`."""
    estab = accounts.look_up(text)
    count = _end_sessions(estab, "operator")
    log.record(
        events.SESSIONS_ENDED, by=by, estab=estab.id, subject=estab.id, count=count,
        details={"note": note} if note else None,
    )  # fmt: skip
    return estab, count


def _end_sessions(estab: Estab, reason: str) -> int:
    """Lock the people in the order of their ids: two schools may share some of them."""
    person_ids = sorted(member.person_id for member in people.list_for_estab(estab.id))
    return sum(session.end_all(person_id, reason, estab_id=estab.id) for person_id in person_ids)
