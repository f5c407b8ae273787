"""An account is suspended and restored, and its people's sessions ended."""

from idp.audit import events, log
from idp.estabs import accounts, people
from idp.estabs.models import Estab
from idp.onboarding import review
from idp.signin import session


def suspend(typed: str, *, by: str, reason: str) -> Estab:
    """Suspend the estab: its people cannot act and no data leaves it, at once. Raises `UnknownEstab`, `WrongState`.

    Its agreements stand, and hold again once it is restored.
    """
    estab = accounts.look_up(typed)
    accounts.change_state(estab, "suspended", by=by, reason=reason)
    _end_all(estab, "suspended")
    return estab


def restore(typed: str, *, by: str, reason: str = "") -> Estab:
    """The account is again what it was before it was suspended. Raises `UnknownEstab`, `WrongState`.

    Verified only if our staff have verified it: what was never checked is not let through this way.
    """
    estab = accounts.look_up(typed)
    if estab.state != "suspended":
        raise accounts.WrongState(f"This school's account is {estab.state}; there is nothing to restore.")
    checked = review.of_estab(estab)
    was_verified = checked is not None and checked.decision == "verified"
    accounts.change_state(estab, "verified" if was_verified else "unverified", by=by, reason=reason)
    return estab


def end_sessions(typed: str, *, by: str) -> tuple[Estab, int]:
    """End every session of the school's people; returns how many there were. Raises `UnknownEstab`."""
    estab = accounts.look_up(typed)
    ended = _end_all(estab, "operator")
    log.record(events.SESSIONS_ENDED, by=by, estab=estab.id, subject=estab.id, count=ended)
    return estab, ended


def _end_all(estab: Estab, why: str) -> int:
    return sum(session.end_all(person.id, why) for person in people.of_estab(estab.id))
