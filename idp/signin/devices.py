"""Known devices: browsers in which a person has signed in before. They have guesses of their own.

So a stranger who hammers on an account locks out strangers, and not the school's own computer. A browser
keeps one random id; that it is known *to a person* is a row here.
"""

from datetime import timedelta
from typing import Final

from flask import Response, after_this_request, request
from sqlalchemy import select, update
from ua_parser import parse

from idp.foundation import clock, crypto, inserts, runtime
from idp.foundation.database import session
from idp.foundation.web.security import cookie_name
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
"""What ua-parser calls them, in its owner's words. Other names are not shown: a stranger may have written them."""

MAX_USER_AGENT: Final = 512
"""Characters that are parsed; browsers send fewer than 200."""


def here() -> str | None:
    """The random id this browser brings, if it brings one."""
    return request.cookies.get(_cookie()) or None


def is_known(person_id: str, device: str | None) -> bool:
    """Whether this person has signed in in the browser that brings `device`."""
    row = session().get(KnownDevice, _digest(person_id, device)) if device else None
    return row is not None and row.expires_at > clock.now()


def counter(person_id: str, device: str | None) -> bytes:
    """Where wrong guesses at this person's account count: in a known browser apart from all others."""
    if device and is_known(person_id, device):
        return guesses.key("account", person_id, device)
    return guesses.key("account", person_id)


def has_any(person_id: str) -> bool:
    """Whether this person has signed in anywhere lately: if not, no browser is news."""
    known = select(KnownDevice.digest).where(KnownDevice.person_id == person_id, KnownDevice.expires_at > clock.now())
    return session().scalars(known.limit(1)).first() is not None


def remember(person_id: str) -> None:
    """From now on this browser is known to the person, for as long as the settings say."""
    device, lasts = here() or crypto.new_secret(), timedelta(seconds=runtime.settings().session.device)
    digest, until = _digest(person_id, device), clock.now() + lasts
    renewed = update(KnownDevice).where(KnownDevice.digest == digest).values(expires_at=until)
    if session().execute(renewed.returning(KnownDevice.digest)).first() is None:
        inserts.once(KnownDevice, digest=digest, person_id=person_id, expires_at=until)

    @after_this_request
    def answer(response: Response) -> Response:
        response.set_cookie(
            _cookie(), device, max_age=int(lasts.total_seconds()), path="/", httponly=True, samesite="Lax",
            secure=runtime.settings().server.is_https,
        )  # fmt: skip
        return response


def in_words(user_agent: str) -> str:
    """The browser as its owner would call it: "Firefox on Windows"."""
    parsed = parse(user_agent[:MAX_USER_AGENT])
    browser = _BROWSERS.get(parsed.user_agent.family, "") if parsed.user_agent else ""
    names = (part.family for part in (parsed.device, parsed.os) if part)  # an iPhone's system is iOS, as an iPad's
    system = next((_SYSTEMS[name] for name in names if name in _SYSTEMS), "an unknown system")
    return f"{browser or 'A browser'} on {system}"


def _digest(person_id: str, device: str) -> bytes:
    return crypto.digest(f"{person_id} {device}")


def _cookie() -> str:
    return cookie_name(runtime.settings(), "device")
