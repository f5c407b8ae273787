"""Known devices: browsers in which a person has signed in before. Wrong guesses from them are counted separately.

So an attacker who guesses passwords locks the account for unknown browsers, but not for the school's own computer.
A cookie holds one random id per browser; a row here records that a person has signed in with it.
"""

from datetime import timedelta
from typing import Final

from flask import request
from sqlalchemy import delete, select, update
from ua_parser import parse

from idp.foundation import clock, crypto, inserts, runtime
from idp.foundation.database import session
from idp.foundation.web.security import cookie_name, set_cookie
from idp.signin import guesses
from idp.signin.models import KnownDevice

_BROWSERS: Final = {
    "Chrome": "Chrome", "Chrome Mobile": "Chrome", "Chrome Mobile iOS": "Chrome", "Chrome Mobile WebView": "Chrome",
    "Edge": "Edge", "Edge Mobile": "Edge", "Firefox": "Firefox", "Firefox Mobile": "Firefox", "Firefox iOS": "Firefox",
    "Opera": "Opera", "Opera Mobile": "Opera", "Safari": "Safari", "Mobile Safari": "Safari",
    "Samsung Internet": "Samsung Internet", "DuckDuckGo": "DuckDuckGo", "DuckDuckGo Mobile": "DuckDuckGo",
}  # fmt: skip
_SYSTEMS: Final = {
    "Windows": "Windows", "Mac OS X": "Mac", "iPad": "iPad", "iPhone": "iPhone", "Android": "Android",
    "Chrome OS": "Chromebook", "Linux": "Linux", "Ubuntu": "Linux", "Fedora": "Linux",
}  # fmt: skip
"""By ua-parser's names, the names that pages show. Others are not shown: a stranger may have written them."""

MAX_USER_AGENT_LENGTH: Final = 512
"""Characters that are parsed; browsers send fewer than 200."""


def device_id() -> str | None:
    """The random id in this browser's cookie, if it has one."""
    return request.cookies.get(_cookie_name()) or None


def is_known(person_id: str, device: str | None) -> bool:
    """Whether this person has signed in with the browser whose id is `device`."""
    row = session().get(KnownDevice, _digest(person_id, device)) if device else None
    return row is not None and row.expires_at > clock.now()


def guess_counter(person_id: str, device: str | None) -> bytes:
    """The counter for wrong guesses at this person's account; a known browser has one of its own."""
    if device and is_known(person_id, device):
        return guesses.key("account", person_id, device)
    return guesses.key("account", person_id)


def has_any(person_id: str) -> bool:
    """Whether the person has signed in in any browser before: if not, they need no notice of a new one."""
    statement = select(KnownDevice.digest).where(
        KnownDevice.person_id == person_id, KnownDevice.expires_at > clock.now()
    )
    return session().scalars(statement.limit(1)).first() is not None


def forget_all(person_id: str) -> None:
    """Forget every browser in which the person has signed in."""
    session().execute(delete(KnownDevice).where(KnownDevice.person_id == person_id))


def remember(person_id: str) -> None:
    """Remember this browser for the person, for as long as the settings say."""
    device, lifetime = device_id() or crypto.new_secret(), timedelta(seconds=runtime.settings().session.device)
    digest, until = _digest(person_id, device), clock.now() + lifetime
    statement = update(KnownDevice).where(KnownDevice.digest == digest).values(expires_at=until)
    if session().execute(statement.returning(KnownDevice.digest)).first() is None:
        inserts.insert_if_absent(KnownDevice, digest=digest, person_id=person_id, expires_at=until)

    set_cookie(_cookie_name(), device, lifetime=lifetime)


def describe(user_agent: str) -> str:
    """The browser as its owner would call it: "Firefox on Windows"."""
    parsed = parse(user_agent[:MAX_USER_AGENT_LENGTH])
    browser = _BROWSERS.get(parsed.user_agent.family, "") if parsed.user_agent else ""
    # The device comes first, because the system of both iPhone and iPad is iOS.
    names = (part.family for part in (parsed.device, parsed.os) if part)
    system = next((_SYSTEMS[name] for name in names if name in _SYSTEMS), "an unknown system")
    return f"{browser or 'A browser'} on {system}"


def load_patterns() -> None:
    """Load ua-parser's thousand patterns, which takes a third of a second, before the first sign-in needs them.

    While they are compiled, other threads wait for the interpreter lock.
    """
    parse("")


def _digest(person_id: str, device: str) -> bytes:
    return crypto.digest(f"{person_id} {device}")


def _cookie_name() -> str:
    return cookie_name(runtime.settings(), "device")
