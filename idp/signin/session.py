"""Who is signed in: sessions kept here, of which a browser holds nothing but a random id.

Flask-Login asks `_load` for everyone's `current_user`; ending the row ends the login. Nothing about it goes
into Flask's own cookie (security.md rule 7).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Flask, Request, Response, after_this_request, g, request, session as form_cookie
from flask_login import LoginManager, UserMixin, current_user
from sqlalchemy import select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import Administrator
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.foundation.settings import Settings
from idp.foundation.web.security import cookie_name
from idp.signin import devices, told
from idp.signin.models import BrowserSession, Operator

TOUCH = timedelta(minutes=1)
"""How far `last_used_at` may lag, so that most pages are reads."""

SINGLE, MULTI = "urn:idaas:acr:single", "urn:idaas:acr:multi"
PASSWORD = frozenset({"pwd"})
PASSWORD_AND_CODE = frozenset({"pwd", "otp", "mfa"})
"""RFC 8176."""


@dataclass(frozen=True, eq=False)
class SignedIn(UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    """Someone, signed in in this browser: Flask-Login's `current_user`.

    `kind` is `administrator` or `operator`; `estab_id` the internal id of the administrator's estab;
    `auth_time`, `amr`, `acr` and `sid` are what an ID token says.
    """

    kind: str
    id: str
    name: str
    estab_id: str | None
    sid: str
    auth_time: datetime
    amr: frozenset[str]
    acr: str

    def get_id(self) -> str:
        """The session's handle: not a secret, and good for nothing by itself."""
        return self.sid

    @property
    def person(self) -> Administrator:
        """The administrator behind it, with the estab."""
        return session().get_one(Administrator, self.id)


def configure(app: Flask, _settings: Settings) -> None:
    """Let Flask-Login ask us who is signed in, and the rooms beside us sign somebody in."""
    app.config["REMEMBER_COOKIE_NAME"] = ""  # no cookie has this name: a planted one would hide the real session
    manager = LoginManager(app)
    manager.session_protection = None
    manager.request_loader(_load)
    app.extensions["idp.sign_in"] = begin


def current(*, since: datetime | None = None) -> SignedIn | None:
    """The administrator signed in in this browser; with `since`, only if they signed in then or later."""
    if not current_user.is_authenticated or current_user.kind != "administrator":
        return None
    signed_in: SignedIn = current_user._get_current_object()  # noqa: SLF001  how werkzeug's proxies are opened
    return signed_in if since is None or signed_in.auth_time >= since else None


def begin(person_id: str, amr: frozenset[str] = PASSWORD, *, kind: str = "administrator") -> SignedIn:
    """Sign somebody in in this browser, under a new id; whoever was signed in in it no longer is."""
    settings, now, secret, sid = runtime.settings().session, clock.now(), crypto.new_secret(), crypto.new_id("ses")
    if current_user.is_authenticated:
        if current_user.id == person_id:
            told.go_on(current_user.sid, sid)
        end(current_user.sid, "replaced")
    for oldest in _live(person_id)[settings.per_person - 1 :]:
        end(oldest, "too_many")
    row = BrowserSession(
        digest=crypto.digest(secret), sid=sid, kind=kind, person_id=person_id, signed_in_at=now,
        amr=amr, acr=MULTI if len(amr) > 1 else SINGLE, device=devices.in_words(str(request.user_agent)),
        address=request.remote_addr or "", created_at=now, last_used_at=now,
        expires_at=now + timedelta(seconds=settings.absolute), ended_at=None, why_ended=None,
    )  # fmt: skip
    session().add(row)
    signed_in = _signed_in(row)
    if signed_in is None:
        raise RuntimeError(f"{kind} {person_id} may not sign in")
    log.record(events.SIGNED_IN, by=person_id, estab=signed_in.estab_id, subject=person_id, sid=row.sid, amr=amr)
    devices.remember(person_id)
    _forget_forms()
    _answer_with_cookie(secret)
    g._login_user = signed_in  # noqa: SLF001  for the rest of this request; `login_user` would write to Flask's cookie
    return signed_in


def end(sid: str, why: str) -> None:
    """End one session: `signed_out`, `replaced`, `too_many`, `removed`, … Ending it twice changes nothing.

    Clients that know of it are told; no refresh token is revoked (protocol.md §2.2).
    """
    ended = session().execute(
        update(BrowserSession)
        .where(BrowserSession.sid == sid, BrowserSession.ended_at.is_(None))
        .values(ended_at=clock.now(), why_ended=why)
        .returning(BrowserSession.person_id)
    )
    if (person_id := ended.scalar_one_or_none()) is not None:
        log.record(events.SIGNED_OUT, by=person_id, subject=person_id, sid=sid, why=why)
        told.ended(sid, person_id)


def end_here() -> None:
    """Sign out whoever is signed in in this browser, and take its cookie away."""
    if current_user.is_authenticated:
        end(current_user.sid, "signed_out")
    _forget_forms()
    _answer_with_cookie("")
    g.pop("_login_user", None)


def end_all(person_id: str, why: str, *, but: str | None = None) -> None:
    """End every session of a person, except the one with the sid `but`."""
    for sid in _live(person_id):
        if sid != but:
            end(sid, why)


def _live(person_id: str) -> list[str]:
    """The sids of a person's sessions, newest first."""
    mine = BrowserSession.person_id == person_id, BrowserSession.ended_at.is_(None)
    living = (*mine, BrowserSession.expires_at > clock.now())
    newest = BrowserSession.created_at.desc(), BrowserSession.sid
    return list(session().scalars(select(BrowserSession.sid).where(*living).order_by(*newest)))


def _load(asked: Request) -> SignedIn | None:
    """Whoever the request's cookie stands for, if the session and the person are still good."""
    secret = asked.cookies.get(_cookie())
    if not secret:
        return None
    row = session().get(BrowserSession, crypto.digest(secret))
    if row is None or not _is_live(row):
        return None
    signed_in = _signed_in(row)
    if signed_in is not None and clock.now() - row.last_used_at >= TOUCH:
        _touch(row)
    return signed_in


def _touch(row: BrowserSession) -> None:
    """Past the ORM, so that a view which hashes next may let this go unwritten: it will be used again."""
    session().execute(
        update(BrowserSession)
        .where(BrowserSession.digest == row.digest)
        .values(last_used_at=clock.now())
        .execution_options(synchronize_session=False)
    )


def _is_live(row: BrowserSession) -> bool:
    settings, now = runtime.settings().session, clock.now()
    idle = settings.operator_idle if row.kind == "operator" else settings.idle
    return row.ended_at is None and now < row.expires_at and now - row.last_used_at < timedelta(seconds=idle)


def _signed_in(row: BrowserSession) -> SignedIn | None:
    """The person of a session, unless they were removed or their estab may not act."""
    person: Administrator | Operator | None
    if row.kind == "operator":
        person, estab_id = session().get(Operator, row.person_id), None
        good = person is not None and person.disabled_at is None
    else:
        person = people.get(row.person_id)
        good = person is not None and person.estab.may_act
        estab_id = person.estab_id if person else None
    if person is None or not good:
        return None
    return SignedIn(row.kind, person.id, person.name, estab_id, row.sid, row.signed_in_at, row.amr, row.acr)


def _cookie() -> str:
    return cookie_name(runtime.settings(), "session")


def _forget_forms() -> None:
    """Forms of the time before are good for nothing now: a token that was planted is not carried over."""
    form_cookie.pop("csrf_token", None)
    g.pop("csrf_token", None)


def _answer_with_cookie(secret: str) -> None:
    """Set the session's cookie on the answer to this request, or take it away where `secret` is empty."""

    @after_this_request
    def answer(response: Response) -> Response:
        response.set_cookie(
            _cookie(), secret, path="/", httponly=True, samesite="Lax", secure=runtime.settings().server.is_https,
            max_age=None if secret else 0,
        )  # fmt: skip
        return response
