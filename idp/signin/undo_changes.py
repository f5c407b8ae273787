"""Undo changes of e-mail address and mobile number, by a link that was sent to the old ones (security.md §5).

A link restores everything as it was before its change, whatever was changed since: someone who took over an account
can change it several times. It works for seven days; using it ends all sessions and every later link, not earlier ones.
"""

import json
from datetime import datetime, timedelta
from typing import Any, Final

from idp.audit import events, log
from idp.estabs import links, people
from idp.estabs.models import Administrator, PersonalSecret
from idp.foundation import clock, crypto, dates, runtime
from idp.foundation.database import lock
from idp.outbox import post
from idp.signin import session as sessions

PURPOSE: Final = "undo_changes"
LIFETIME: Final = timedelta(days=7)


def issue(person: Administrator) -> str:
    """A URL at which the person's present address and number can be restored; earlier ones keep working."""
    before = {
        "email": person.email, "mobile": person.mobile, "mobile_confirmed_at": _to_text(person.mobile_confirmed_at),
        "mobile_changed_at": _to_text(person.mobile_changed_at),
    }  # fmt: skip
    secret = crypto.new_secret()
    links.insert(person.id, PURPOSE, crypto.digest(secret), clock.now(), LIFETIME, value=json.dumps(before))
    return runtime.url(f"/undo/{secret}")


def check(secret: str) -> tuple[str, str]:
    """The address and number that the link restores; it is not used up. Raises a `LinkRefused`."""
    link = links.check(secret, PURPOSE)
    if people.get(link.person_id) is None:
        raise links.LinkUnknown(reason="the person was removed")
    before = _former_values(link)
    return before["email"], before["mobile"]


def undo(secret: str) -> None:
    """Restore address and number, end all sessions, and revoke what was begun since. Raises a `LinkRefused`."""
    link = links.check(secret, PURPOSE)
    person = lock(Administrator, link.person_id)
    if person is None or person.removed_at is not None:
        raise links.LinkUnknown(reason="the person was removed")
    links.spend(secret, PURPOSE, person.id)
    links.supersede_since(person.id, link.created_at)
    before = _former_values(link)
    people.change_email(person, before["email"])
    confirmed_at, changed_at = (_to_moment(before[name]) for name in ("mobile_confirmed_at", "mobile_changed_at"))
    people.change_mobile(person, before["mobile"], confirmed_at=confirmed_at, changed_at=changed_at)
    sessions.end_all(person.id, "changes_undone")
    log.record(events.CHANGES_UNDONE, by=person.id, estab=person.sole_estab_id, subject=person.id)
    post.email(
        "changes_undone", to=person.email, estab=person.sole_estab_id, name=person.name_in_mails,
        at=dates.day_and_time(clock.now()), link=runtime.url("/reset"),
    )  # fmt: skip


def _former_values(link: PersonalSecret) -> dict[str, Any]:
    before: dict[str, Any] = json.loads(link.value or "{}")
    return before


def _to_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _to_moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
