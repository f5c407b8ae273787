"""The sessions of the person who is signed in: where they are signed in, and how to end it elsewhere.

A session's place is what is certain of it: this browser, the network of this browser's address, or another network.
No geolocation service is used: it would learn who signs in, and is wrong about schools, whose broadband may end in
another town.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, select, update

from idp.audit import events, log
from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.foundation.web.throttle import network_of
from idp.signin import devices, session as browser_sessions
from idp.signin.models import BrowserSession, HalfSignIn
from idp.signin.session import SignedIn

THIS_BROWSER: Final = "This browser"
SAME_NETWORK: Final = "Same network as now"
OTHER_NETWORK: Final = "Another network"


@dataclass(frozen=True, slots=True)
class Session:
    """A session that still works, as a page shows it."""

    sid: str
    device: str
    place: str
    began_at: datetime
    last_used_at: datetime

    @property
    def is_here(self) -> bool:
        """Whether this is the session of the browser that sent the request."""
        return self.place == THIS_BROWSER


def active(signed_in: SignedIn, address: str) -> list[Session]:
    """The person's sessions that still work: that of this browser first, then by last use."""
    statement = (
        select(BrowserSession)
        .where(*_live(signed_in))
        .order_by(BrowserSession.last_used_at.desc(), BrowserSession.digest)
    )
    rows = [_session(row, signed_in, address) for row in session().scalars(statement)]
    return sorted(rows, key=lambda row: not row.is_here)


def others(signed_in: SignedIn, address: str) -> list[Session]:
    """The person's sessions in other browsers, the last used first."""
    return [browser_session for browser_session in active(signed_in, address) if not browser_session.is_here]


def end(signed_in: SignedIn, sid: str) -> str:
    """End one of the person's other sessions; returns its device in words. Raises `NotFound` for any other session."""
    if sid == signed_in.sid:
        raise NotFound(reason="this session, which the page Sign out ends")
    device = session().scalar(select(BrowserSession.device).where(*_conditions(signed_in), BrowserSession.sid == sid))
    if device is None:
        raise NotFound(reason=f"no session of {signed_in.id}")
    browser_sessions.end(sid, "ended_elsewhere")
    return device


def end_others(signed_in: SignedIn) -> int:
    """End the person's other sessions; returns how many there were."""
    return browser_sessions.end_all(signed_in.id, "ended_elsewhere", except_sid=signed_in.sid)


def end_everywhere(signed_in: SignedIn) -> None:
    """End all of the person's sessions, this one too, and forget every browser in which they signed in.

    Sign-ins that wait for a second step end as well. Every browser counts as new at the next sign-in.
    """
    unused = HalfSignIn.person_id == signed_in.id, HalfSignIn.used_at.is_(None)
    session().execute(update(HalfSignIn).where(*unused).values(used_at=clock.now()))
    browser_sessions.end_all(signed_in.id, "everywhere")
    devices.forget_all(signed_in.id)
    log.record(events.DEVICES_FORGOTTEN, by=signed_in.id, estab=signed_in.estab_id, subject=signed_in.id)


def _conditions(signed_in: SignedIn) -> tuple[ColumnElement[bool], ...]:
    return BrowserSession.person_id == signed_in.id, BrowserSession.kind == signed_in.kind


def _live(signed_in: SignedIn) -> tuple[ColumnElement[bool], ...]:
    idle_since = clock.now() - timedelta(seconds=runtime.settings().session.idle)
    return (
        *_conditions(signed_in), BrowserSession.ended_at.is_(None), BrowserSession.expires_at > clock.now(),
        BrowserSession.last_used_at > idle_since,
    )  # fmt: skip


def _session(row: BrowserSession, signed_in: SignedIn, address: str) -> Session:
    is_same_network = bool(row.address) and network_of(row.address) == network_of(address)
    place = THIS_BROWSER if row.sid == signed_in.sid else SAME_NETWORK if is_same_network else OTHER_NETWORK
    return Session(row.sid, row.device, place, row.created_at, row.last_used_at)
