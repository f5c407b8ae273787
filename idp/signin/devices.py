"""Known devices: browsers in which a person has signed in before. They have guesses of their own.

So a stranger who hammers on an account locks out strangers, and not the school's own computer. A browser
keeps one random id; that it is known *to a person* is a row here.
"""

from datetime import timedelta

from flask import Response, after_this_request, request
from sqlalchemy import select, update

from idp.foundation import clock, crypto, inserts, runtime
from idp.foundation.database import session
from idp.foundation.web.security import cookie_name
from idp.signin import guesses
from idp.signin.models import KnownDevice

_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "SamsungBrowser": "Samsung Internet", "Firefox": "Firefox",
             "FxiOS": "Firefox", "CriOS": "Chrome", "Chrome": "Chrome", "Safari": "Safari"}  # fmt: skip
_SYSTEMS = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "CrOS": "Chromebook", "Windows": "Windows",
            "Mac OS X": "Mac", "Linux": "Linux"}  # fmt: skip


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
    browser = next((name for mark, name in _BROWSERS.items() if f"{mark}/" in user_agent), "A browser")
    system = next((name for mark, name in _SYSTEMS.items() if mark in user_agent), "an unknown system")
    return f"{browser} on {system}"


def _digest(person_id: str, device: str) -> bytes:
    return crypto.digest(f"{person_id} {device}")


def _cookie() -> str:
    return cookie_name(runtime.settings(), "device")
