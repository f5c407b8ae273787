"""Sessions of people who are signed in. They are stored here; the browser holds only a random id.

Flask-Login gets `current_user` from `_load`; ending the row signs the person out. Nothing of a session is stored in
Flask's own cookie (security.md rule 7).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, Final, NamedTuple, cast

from flask import Flask, Request, request, session as form_cookie
from flask_login import AnonymousUserMixin, LoginManager, current_user
from sqlalchemy import Table, and_, bindparam, select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import ACTIVE_STATES, Administrator, Estab, Membership
from idp.foundation import clock, crypto, request_state, runtime
from idp.foundation.database import Instant, session
from idp.foundation.errors import NotFound, Refusal
from idp.foundation.fastpath import hooks
from idp.foundation.fastpath.statements import Statement, WriteStatement
from idp.foundation.ports import LastPerson
from idp.foundation.web import browser_store
from idp.foundation.web.security import cookie_name, set_cookie
from idp.signin import devices, session_clients
from idp.signin.models import BrowserSession, Developer, Operator, SignInRecord

LAST_USED_PRECISION = timedelta(minutes=1)
"""How far `last_used_at` may lag, so that most page views write nothing."""

SINGLE, MULTI = "urn:idaas:acr:single", "urn:idaas:acr:multi"
PASSWORD = frozenset({"pwd"})
PASSWORD_AND_CODE = frozenset({"pwd", "otp", "mfa"})
"""`amr` values (RFC 8176)."""
OUTSIDE_ACCOUNT: frozenset[str] = frozenset()
"""The `amr` of a sign-in by another provider: its methods are unknown, so the class is the lowest (ASVS 5.0, 6.8.4)."""


class SessionEnded(Refusal):
    """The session was ended, from another browser or by another person, while the request was on its way."""

    code, status, title = "session_ended", 409, "You have been signed out"
    message = "You were signed out a moment ago, so nothing was changed. Please sign in and try again."


def acr_of(amr: frozenset[str]) -> str:
    """The authentication class (`acr`) of a sign-in by these methods."""
    return MULTI if "mfa" in amr else SINGLE


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The person signed in in this browser: Flask-Login's `current_user`, with the attributes that it reads.

    `kind` is `administrator`, `operator` or `developer`. `estab_id` is the internal id of the estab that an
    administrator acts for, None until they have chosen one of several. `locked_estab_id` is an estab that they have
    chosen but cannot act for, because it requires a second step that they have not taken. `auth_time`, `amr`, `acr`
    and `sid` are the claims of an ID Token.
    """

    kind: str
    id: str
    name: str
    estab_id: str | None
    sid: str
    auth_time: datetime
    amr: frozenset[str]
    acr: str
    locked_estab_id: str | None = None
    is_fictional: bool = False
    """Whether they act for a fictional school (`estabs.fictional`): most pages are closed to them."""
    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    def get_id(self) -> str:
        """The `sid`, which is not a secret."""
        return self.sid

    @property
    def has_second_step(self) -> bool:
        """Whether a second factor was used at this sign-in, or set up since."""
        return self.acr == MULTI

    @property
    def person(self) -> Administrator:
        """The administrator who is signed in."""
        return session().get_one(Administrator, self.id)

    @property
    def membership(self) -> Membership:
        """Their membership of the school that they act for. A page marked `security.person` always has one."""
        return session().get_one(Membership, (self.id, self.estab_id))


class _Administrator(NamedTuple):
    name: str
    removed_at: datetime | None


class _Member(NamedTuple):
    state: str
    """This and the next two are columns of the estab."""
    second_step_required_at: datetime | None
    fictional_for: str | None
    removed_at: datetime | None


class _Operator(NamedTuple):
    name: str
    disabled_at: datetime | None


class _Session(NamedTuple):
    """A session and its person."""

    kind: str
    person_id: str
    sid: str
    signed_in_at: datetime
    amr: frozenset[str]
    acr: str
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    estab_id: str | None
    administrator: _Administrator | None
    member: _Member | None
    operator: _Operator | None


def configure(app: Flask) -> None:
    """Make `_load` Flask-Login's request loader."""
    app.config["REMEMBER_COOKIE_NAME"] = ""  # no cookie has this name: a planted one would hide the real session
    manager = LoginManager(app)
    manager.session_protection = None
    manager.request_loader(_load)
    hooks.remove(app, manager)  # it sets no cookie of its own


def current(*, since: datetime | None = None) -> SignedIn | None:
    """The administrator signed in in this browser; with `since`, only if they signed in then or later."""
    signed_in = request_state.user()
    if signed_in is None:  # not through Flask-Login, which would read the form cookie first
        signed_in = _load(request) or AnonymousUserMixin()
        request_state.set_user(signed_in)
    if not isinstance(signed_in, SignedIn) or signed_in.kind != "administrator":
        return None
    return signed_in if since is None or signed_in.auth_time >= since else None


def last_person() -> LastPerson | None:
    """Kind and id of the person whose session cookie this browser still has, though it may have ended."""
    secret = request.cookies.get(_cookie())
    row = _SESSION.one(by_digest=crypto.digest(secret)) if secret else None
    return None if row is None else LastPerson(row.kind, row.person_id)


def begin(person_id: str, amr: frozenset[str] = PASSWORD, *, kind: str = "administrator") -> SignedIn:
    """Sign a person in in this browser, under a new id; its former session ends.

    The caller locks the person (`people.get_locked`) before it checks their proof, and before rows of `guesses`:
    another transaction that ends all of their sessions then ends this one too, or was committed before.
    """
    settings, now, secret, sid = runtime.settings().session, clock.now(), crypto.new_secret(), crypto.new_id("ses")
    name, estab_id = _name_and_school(kind, person_id)
    is_again = current_user.is_authenticated and current_user.id == person_id
    if is_again:
        # a person who signs in again acts for the same school as before
        estab_id = current_user.estab_id or current_user.locked_estab_id or estab_id
    if estab_id is not None:  # before the rows of sessions, in the order in which a removal locks them
        people.note_sign_in(person_id, estab_id)
    if is_again:
        session_clients.carry_over(current_user.sid, sid)
        session().execute(update(SignInRecord).where(SignInRecord.sid == current_user.sid).values(sid=sid))
    if current_user.is_authenticated:
        end(current_user.sid, "replaced")
    for oldest in _live(person_id)[settings.per_person - 1 :]:
        end(oldest, "too_many")
    row = BrowserSession(
        digest=crypto.digest(secret), sid=sid, kind=kind, person_id=person_id, estab_id=estab_id, signed_in_at=now,
        amr=amr, acr=acr_of(amr), device=devices.describe(str(request.user_agent)),
        address=request.remote_addr or "", created_at=now, last_used_at=now,
        expires_at=now + timedelta(seconds=settings.absolute), ended_at=None, why_ended=None,
    )  # fmt: skip
    session().add(row)
    signed_in = _for_estab(SignedIn(kind, person_id, name, None, sid, now, amr, row.acr), estab_id)
    log.record(events.SIGNED_IN, by=person_id, estab=estab_id, subject=person_id, sid=row.sid, amr=amr)
    devices.remember(person_id)
    _forget_forms()
    set_cookie(_cookie(), secret)
    request_state.set_user(signed_in)
    return signed_in


def renew(amr: frozenset[str]) -> None:
    """Continue under a new session id, with the methods `amr`, after a change of rights. Raises `SessionEnded`."""
    people.get_locked(current_user.id)
    is_open = BrowserSession.sid == current_user.sid, BrowserSession.ended_at.is_(None)
    if session().scalar(select(BrowserSession.sid).where(*is_open).with_for_update()) is None:
        raise SessionEnded(reason=current_user.sid)
    begin(current_user.id, amr)


def choose(estab_id: str) -> None:
    """Let the person signed in in this browser act for another of their schools.

    Forms that were opened for the school before expire, so that nothing is decided for the wrong one. Where the school
    requires a second step that they did not take, it is chosen and locked. Raises `NotFound` for a school that they do
    not act for, or whose account is not open; `SessionEnded` where the session was ended at the same moment.
    """
    signed_in = current()
    member = people.membership(signed_in.id, estab_id) if signed_in else None
    if signed_in is None or member is None or not member.estab.may_act:
        raise NotFound(reason=f"no membership of {estab_id}")
    if not people.note_sign_in(signed_in.id, estab_id):  # before the session's row: in the order of a removal's locks
        raise NotFound(reason=f"the membership of {estab_id} ended at the same moment")
    chosen = session().scalar(
        update(BrowserSession)
        .where(BrowserSession.sid == signed_in.sid, BrowserSession.ended_at.is_(None))
        .values(estab_id=estab_id)
        .returning(BrowserSession.sid)
    )
    if chosen is None:
        raise SessionEnded(reason=signed_in.sid)
    unknown = SignInRecord.sid == signed_in.sid, SignInRecord.estab_id.is_(None)
    session().execute(update(SignInRecord).where(*unknown).values(estab_id=estab_id))
    log.record(events.SCHOOL_CHOSEN, by=signed_in.id, estab=estab_id, subject=signed_in.id, sid=signed_in.sid)
    _forget_forms()
    request_state.set_user(_for_estab(signed_in, estab_id))


def end(sid: str, reason: str) -> None:
    """End one session: `signed_out`, `replaced`, `too_many`, `removed`, … Ending it twice changes nothing.

    Clients that hold an ID Token of the session are told; no refresh token is revoked (protocol.md §2.2).
    """
    result = session().execute(
        update(BrowserSession)
        .where(BrowserSession.sid == sid, BrowserSession.ended_at.is_(None))
        .values(ended_at=clock.now(), why_ended=reason)
        .returning(BrowserSession.person_id)
    )
    if (person_id := result.scalar_one_or_none()) is not None:
        log.record(events.SIGNED_OUT, by=person_id, subject=person_id, sid=sid, why=reason)
        session_clients.notify_ended(sid, person_id)


def end_here() -> None:
    """Sign out the person signed in in this browser, and delete its cookie."""
    if current_user.is_authenticated:
        end(current_user.sid, "signed_out")
    _forget_forms()
    browser_store.renew_browser_id()
    set_cookie(_cookie(), "")
    request_state.forget_user()


def end_all(person_id: str, reason: str, *, except_sid: str | None = None, estab_id: str | None = None) -> int:
    """End every session of a person, except the one with the sid `except_sid`; returns how many there were.

    With `estab_id`, only those in which they act for the estab with this internal id. The person is locked: a sign-in
    at the same moment is either committed before and ended as well, or reads what this transaction has changed.
    """
    people.get_locked(person_id)
    sids = [sid for sid in _live(person_id, estab_id) if sid != except_sid]
    for sid in sids:
        end(sid, reason)
    return len(sids)


def _live(person_id: str, estab_id: str | None = None) -> list[str]:
    """The sids of a person's sessions, of those for one estab if it is given, newest first."""
    conditions = [BrowserSession.person_id == person_id, BrowserSession.ended_at.is_(None)]
    if estab_id is not None:
        conditions.append(BrowserSession.estab_id == estab_id)
    is_live = (*conditions, BrowserSession.expires_at > clock.now())
    newest = BrowserSession.created_at.desc(), BrowserSession.sid
    return list(session().scalars(select(BrowserSession.sid).where(*is_live).order_by(*newest)))


def _load(flask_request: Request) -> SignedIn | None:
    """The person of the request's session cookie, if session and person are still valid."""
    secret = flask_request.cookies.get(_cookie())
    if not secret:
        return None
    digest = crypto.digest(secret)
    row = _SESSION.one(by_digest=digest)
    if row is None or not _is_live(row) or (name := _name_if_active(row)) is None:
        return None
    if clock.now() - row.last_used_at >= LAST_USED_PRECISION:
        # At the end of the request: a transaction that ends sessions locks the person first, so this could deadlock.
        request_state.current().before_commit = partial(_SET_LAST_USED.run, by_digest=digest, now=clock.now())
    signed_in = SignedIn(row.kind, row.person_id, name, None, row.sid, row.signed_in_at, row.amr, row.acr)
    is_required = row.member is not None and row.member.second_step_required_at is not None
    is_fictional = row.member is not None and row.member.fictional_for is not None
    return replace(_with_estab(signed_in, row.estab_id, requires_second_step=is_required), is_fictional=is_fictional)


def _for_estab(signed_in: SignedIn, estab_id: str | None) -> SignedIn:
    """`signed_in`, acting for the estab with this internal id, as far as its rule on second steps lets them."""
    estab = session().get(Estab, estab_id) if estab_id else None
    is_required = estab is not None and estab.second_step_required_at is not None
    is_fictional = estab is not None and estab.is_fictional
    return replace(_with_estab(signed_in, estab_id, requires_second_step=is_required), is_fictional=is_fictional)


def _with_estab(signed_in: SignedIn, estab_id: str | None, *, requires_second_step: bool) -> SignedIn:
    if requires_second_step and not signed_in.has_second_step:
        return replace(signed_in, estab_id=None, locked_estab_id=estab_id)
    return replace(signed_in, estab_id=estab_id, locked_estab_id=None)


def _is_live(row: _Session) -> bool:
    settings, now = runtime.settings().session, clock.now()
    idle = settings.idle if row.kind == "administrator" else settings.operator_idle
    return row.ended_at is None and now < row.expires_at and now - row.last_used_at < timedelta(seconds=idle)


def _name_if_active(row: _Session) -> str | None:
    """The person's name; None once they were removed or disabled, or may no longer act for the school they chose."""
    if row.kind == "operator":
        return row.operator.name if row.operator is not None and row.operator.disabled_at is None else None
    if row.kind == "developer":
        developer = find_active_developer(row.person_id)
        return developer.name if developer is not None else None
    person, member = row.administrator, row.member
    if person is None or person.removed_at is not None:
        return None
    if row.estab_id is None:
        return person.name
    if member is None or member.removed_at is not None or member.state not in ACTIVE_STATES:
        return None
    return person.name


def find_active_developer(developer_id: str) -> Developer | None:
    """The developer with this id; None if they were removed, or their partner is disabled."""
    developer = session().get(Developer, developer_id)
    if developer is None or developer.disabled_at is not None or developer.partner.disabled_at is not None:
        return None
    return developer


def _name_and_school(kind: str, person_id: str) -> tuple[str, str | None]:
    """Name of a person who may sign in, and their school if they act for one only; `RuntimeError` for others."""
    if kind == "operator":
        operator = session().get(Operator, person_id)
        if operator is not None and operator.disabled_at is None:
            return operator.name, None
    elif kind == "developer":
        if (developer := find_active_developer(person_id)) is not None:
            return developer.name, None
    elif (person := people.get_locked(person_id)) is not None:
        active = people.active_memberships(person)
        if active:
            return person.name, active[0].estab_id if len(active) == 1 else None
    raise RuntimeError(f"{kind} {person_id} may not sign in")


def _cookie() -> str:
    return cookie_name(runtime.settings(), "session")


def _forget_forms() -> None:
    """Invalidate forms from before the sign-in, so that a planted CSRF token is not carried over."""
    form_cookie.pop("csrf_token", None)
    request_state.forget_csrf_token()


_sessions, _people = cast("Table", BrowserSession.__table__), cast("Table", Administrator.__table__)
_members, _estabs = cast("Table", Membership.__table__), cast("Table", Estab.__table__)
_staff = cast("Table", Operator.__table__)
_SESSION: Final = Statement(
    _Session,
    select(
        _sessions.c.kind, _sessions.c.person_id, _sessions.c.sid, _sessions.c.signed_in_at, _sessions.c.amr,
        _sessions.c.acr, _sessions.c.last_used_at, _sessions.c.expires_at, _sessions.c.ended_at,
        _sessions.c.estab_id, _people.c.name, _people.c.removed_at, _estabs.c.state, _estabs.c.second_step_required_at,
        _estabs.c.fictional_for, _members.c.removed_at, _staff.c.name, _staff.c.disabled_at,
    )
    .outerjoin(_people, and_(_people.c.id == _sessions.c.person_id, _sessions.c.kind == "administrator"))
    .outerjoin(_members, and_(_members.c.person_id == _people.c.id, _members.c.estab_id == _sessions.c.estab_id))
    .outerjoin(_estabs, _estabs.c.id == _members.c.estab_id)
    .outerjoin(_staff, and_(_staff.c.id == _sessions.c.person_id, _sessions.c.kind == "operator"))
    .where(_sessions.c.digest == bindparam("by_digest")),
)  # fmt: skip
"""A session by its digest, with its person and school: one round trip for every page."""
_SET_LAST_USED: Final = WriteStatement(
    update(_sessions)
    .where(_sessions.c.digest == bindparam("by_digest"))
    .values(last_used_at=bindparam("now", type_=Instant()))
)
