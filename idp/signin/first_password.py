"""Another passphrase for a person who was added, chose to have one made, and never saw it: a reload, a lost answer.

It was shown once, in the answer to one click. The browser of that click may have another in its place for a
quarter of an hour, until it was used to sign in or the password is changed. For this no secret is stored: the
browser's own signed cookie says whose passphrase it was shown, and when that was made.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import exists, select

from idp.audit import events, log
from idp.estabs import credentials, links, people
from idp.estabs.models import Administrator, PersonalSecret
from idp.foundation import clock, crypto
from idp.foundation.database import session
from idp.signin.models import BrowserSession

REPLACEABLE_FOR: Final = timedelta(minutes=15)


def mark(person: Administrator) -> str:
    """What a browser keeps that was shown the passphrase this person has now.

    It goes into a cookie that is signed, though not sealed, so it names no person.
    """
    return crypto.b64(crypto.digest(f"{person.id} {person.password_changed_at}"))


def replaceable(secret: str, shown: str | None) -> Administrator | None:
    """Whose passphrase, made with this welcome link, the browser that keeps the mark `shown` may replace, if any."""
    kept = session().get(PersonalSecret, crypto.digest(secret))
    if kept is None or kept.purpose != links.WELCOME or kept.used_at is None:
        return None
    person = people.get(kept.person_id)
    if person is None or not person.password_is_ours or shown != mark(person):
        return None
    return person if _is_unused(person) else None


def replace(person: Administrator, made_at: datetime | None, hashed: str) -> None:
    """Give `person`, of `replaceable`, the passphrase behind `hashed` for the one made at `made_at`.

    Of two clicks at once, one does. Raises `LinkUsed` for the other, and where the password was changed meanwhile.
    """
    if not credentials.replace_hash(person, hashed, made_at=made_at):
        raise links.LinkUsed(because=f"the password of {person.id} was changed meanwhile")
    log.record(events.CREDENTIALS_REPLACED, by=person.id, estab=person.estab_id, subject=person.id)


def _is_unused(person: Administrator) -> bool:
    made = person.password_changed_at
    if made is None or clock.now() >= made + REPLACEABLE_FOR:
        return False
    signed_in = exists().where(BrowserSession.person_id == person.id, BrowserSession.created_at >= made)
    return not session().scalar(select(signed_in))
