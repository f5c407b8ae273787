"""Replace a generated passphrase that its person never saw, because they reloaded or the response was lost.

It was shown once, in the response to one click. The browser of that click may replace it within 15 minutes, until it
has been used to sign in or the password is changed. No secret is stored for this: the browser's signed cookie records
whose passphrase it was shown, and when that was generated.
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

REPLACEMENT_WINDOW: Final = timedelta(minutes=15)


def shown_mark(person: Administrator) -> str:
    """A digest, for the cookie of the browser that was shown this person's current passphrase.

    It is a digest because the cookie is signed but not encrypted.
    """
    return crypto.base64url(crypto.digest(f"{person.id} {person.password_changed_at}"))


def replaceable_person(secret: str, mark: str | None) -> Administrator | None:
    """The person of this welcome link, if a browser with this mark may replace their passphrase; else None."""
    link = session().get(PersonalSecret, crypto.digest(secret))
    if link is None or link.purpose != links.WELCOME or link.used_at is None:
        return None
    person = people.get(link.person_id)
    if person is None or not person.password_is_ours or mark != shown_mark(person):
        return None
    return person if _is_unused(person) else None


def replace(person: Administrator, made_at: datetime | None, password_hash: str) -> None:
    """Replace the passphrase that was set at `made_at`; `person` comes from `replaceable_person`.

    Of two clicks at once, one succeeds. Raises `LinkUsed` for the other, and if the password was changed meanwhile.
    """
    if not credentials.replace_hash(person, password_hash, made_at=made_at):
        raise links.LinkUsed(reason=f"the password of {person.id} was changed meanwhile")
    log.record(events.CREDENTIALS_REPLACED, by=person.id, estab=person.sole_estab_id, subject=person.id)


def _is_unused(person: Administrator) -> bool:
    made_at = person.password_changed_at
    if made_at is None or clock.now() >= made_at + REPLACEMENT_WINDOW:
        return False
    signed_in = exists().where(BrowserSession.person_id == person.id, BrowserSession.created_at >= made_at)
    return not session().scalar(select(signed_in))
