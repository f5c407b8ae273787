"""Device codes: issued in pairs, typed in one browser, decided once, polled for and redeemed once (RFC 8628).

A person types eight letters without vowels or digits, so that they form no word and cannot be misread. A code can be
decided only in the browser in which it was typed first: no other person can connect that device to their own school.
"""

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, NoReturn, cast

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError
from authlib.oauth2.rfc8628 import AuthorizationPendingError, ExpiredTokenError, SlowDownError
from sqlalchemy import ColumnElement, Table, bindparam, or_, select, update

from idp.audit import events, log
from idp.foundation import clock, crypto, inserts, runtime
from idp.foundation.database import connection
from idp.foundation.errors import Refusal
from idp.foundation.queries import Query
from idp.oidc import errors
from idp.oidc.basis import Basis
from idp.oidc.clients import bounds, failures
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.models import DeviceCode
from idp.sharing import protected_data
from idp.sharing.agreement_state import AgreementState
from idp.sharing.models import Authorisation
from idp.signin import session_clients
from idp.signin.session import SignedIn

LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""The letters of user codes: no vowels, and no digits."""
CODE_LENGTH: Final = 8
"""Letters of a user code."""
MAX_ATTEMPTS: Final = 10
"""How many codes are tried: of 25,600 million, ten that are all in use mean that something else is wrong."""
LIFETIME_SECONDS: Final = 900
"""The time in which the person has to decide."""
INTERVAL_SECONDS: Final = 5
"""Seconds between polls at first, and what each poll that comes too soon adds (RFC 8628 §3.5)."""
POLL_TOLERANCE: Final = timedelta(seconds=1)
"""How early a poll may come: timers are not exact, and delays in the network differ."""

_table = cast("Table", DeviceCode.__table__)


class _Approval(NamedTuple):
    authorisation_id: str
    person_id: str
    estab_id: str
    lineage: str
    auth_time: datetime
    acr: str
    amr: frozenset[str]
    sid: str


class _Row(NamedTuple):
    digest: bytes
    client_id: str
    scopes: frozenset[str]
    resource: frozenset[str]
    network: str | None
    created_at: datetime
    interval: int
    poll_after: datetime
    expires_at: datetime
    decided_at: datetime | None
    approved: bool | None
    used_at: datetime | None
    approval: _Approval | None


_APPROVAL: Final = frozenset(_Approval._fields)
"""Columns that are set together, by `approve`."""
_SELECT = select(*(_table.c[name] for name in (*_Row._fields[:-1], *_Approval._fields)))
_BY_DEVICE_CODE: Final = Query(_Row, _SELECT.where(_table.c.digest == bindparam("by_digest")), not_null=_APPROVAL)
_BY_USER_CODE: Final = Query(
    _Row,
    _SELECT.where(_table.c.user_digest == bindparam("by_digest"), _table.c.browser == bindparam("by_browser")),
    not_null=_APPROVAL,
)


class CodeGone(Refusal):
    """The code expired, or was decided in another tab, while the page was open."""

    code, status, title = "device_code_gone", 409, "This code can no longer be used"
    message = (
        "It has expired or has already been used. Nothing was connected. Ask the device or program for a new code."
    )


@dataclass(frozen=True, slots=True)
class Pair:
    """The response to the device: the code that it polls with, and the one that it shows."""

    device: str
    user: str


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A device's request whose code was typed in this browser."""

    digest: bytes
    browser: bytes
    client_id: str
    scopes: frozenset[str]
    approved: bool | None
    """None until it is decided."""
    network: str | None
    """The IP address that it came from, or the /64 prefix of an IPv6 address; None if the client authenticated."""
    created_at: datetime
    is_open: bool
    """Whether there is still time to decide."""


def issue(client: OAuthClient, scopes: frozenset[str], resource: frozenset[str]) -> Pair:
    """Issue a pair of codes for the request of `client`. Raises `TemporarilyUnavailable`."""
    now, network = clock.now(), bounds.network_of(client, proven=True)
    for _ in range(MAX_ATTEMPTS):
        pair = Pair(crypto.new_secret(), "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH)))
        if inserts.insert_if_absent(
            DeviceCode, digest=crypto.digest(pair.device), user_digest=_user_code_digest(pair.user),
            client_id=client.id, network=network, scopes=scopes, resource=resource,
            interval=INTERVAL_SECONDS, poll_after=now, created_at=now,
            expires_at=now + timedelta(seconds=LIFETIME_SECONDS),
        ):  # fmt: skip
            bounds.trim(DeviceCode, client.id, network)
            return pair
    raise errors.TemporarilyUnavailable


def format_user_code(user_code: str) -> str:
    """The user code as pages show it: `WDJB-MJHT`."""
    half = CODE_LENGTH // 2
    return f"{user_code[:half]}-{user_code[half:]}"


def letters_of(text: str) -> str:
    """The typed text in capitals, without spaces and punctuation."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).upper() if char.isalnum())


def parse_user_code(text: str) -> str | None:
    """The user code in the typed text; None if it cannot be one."""
    letters = letters_of(text)
    return letters if len(letters) == CODE_LENGTH and set(letters) <= set(LETTERS) else None


def enter(user_code: str, browser: bytes) -> bool:
    """Bind the request of the device that shows `user_code` to this browser; False if there is no such open request."""
    is_unbound = or_(_table.c.browser.is_(None), _table.c.browser == browser)
    statement = update(_table).where(
        _table.c.user_digest == _user_code_digest(user_code), is_unbound, *_open_conditions()
    )
    return connection().execute(statement.values(browser=browser)).rowcount == 1


def entered_request(user_code: str, browser: bytes) -> DeviceRequest | None:
    """The device's request that is bound to this browser by its code; None otherwise."""
    row = _BY_USER_CODE.one(by_digest=_user_code_digest(user_code), by_browser=browser)
    if row is None:
        return None
    return DeviceRequest(
        row.digest,
        browser,
        row.client_id,
        row.scopes,
        row.approved,
        row.network,
        row.created_at,
        clock.now() < row.expires_at,
    )


def approve(request: DeviceRequest, signed_in: SignedIn, authorisation: Authorisation | AgreementState) -> None:
    """Approve the device's request, under the school's agreement. Raises `CodeGone`, `SecondStepNeeded`."""
    protected_data.check(request.scopes & authorisation.scopes, second_step=signed_in.has_second_step)
    _decide(
        request, signed_in, approved=True, estab_id=authorisation.estab_id, authorisation_id=authorisation.id,
        lineage=crypto.new_id("lin"),
        auth_time=signed_in.auth_time, acr=signed_in.acr, amr=signed_in.amr, sid=signed_in.sid,
    )  # fmt: skip
    if "openid" in request.scopes & authorisation.scopes:
        session_clients.add(signed_in.sid, request.client_id)


def deny(request: DeviceRequest, signed_in: SignedIn) -> None:
    """Refuse the device's request. Raises `CodeGone`."""
    _decide(request, signed_in, approved=False)


def redeem(device_code: str, client: OAuthClient) -> tuple[Basis, frozenset[str]]:
    """Redeem an approved code: its basis, and the requested scopes. Otherwise raises the error for a poll."""
    digest = crypto.digest(device_code)
    row = _BY_DEVICE_CODE.one(by_digest=digest)
    if row is None:
        raise _unknown_code()
    if row.client_id != client.id:
        log.record(events.CLIENT_REFUSED, by=client.id, client=client.id, reason="device code")
        failures.set_reason("device_code", "was issued to another client")
        raise _unknown_code()
    if row.used_at is not None:
        raise _used_code()
    if row.expires_at <= clock.now():
        raise ExpiredTokenError(description=f"device_code: expired {LIFETIME_SECONDS} seconds after it was issued")
    if row.decided_at is None:
        _record_poll(row)
    if not row.approved or row.approval is None:
        raise AccessDeniedError(description="the person or the school refused")
    statement = update(_table).where(_table.c.digest == digest, _table.c.used_at.is_(None)).values(used_at=clock.now())
    if connection().execute(statement).rowcount != 1:
        raise _used_code()
    return _basis(row, row.approval), row.scopes


def _basis(row: _Row, approval: _Approval) -> Basis:
    return Basis(
        client_id=row.client_id, person_id=approval.person_id, estab_id=approval.estab_id,
        authorisation_id=approval.authorisation_id, lineage=approval.lineage, scopes=row.scopes, resource=row.resource,
        dpop_jkt=None, claims=None, auth_time=approval.auth_time, acr=approval.acr, amr=approval.amr, sid=approval.sid,
    )  # fmt: skip


def _record_poll(row: _Row) -> NoReturn:
    """Record a poll before the decision and raise its error. A poll too early adds five seconds (RFC 8628 §3.5)."""
    now = clock.now()
    too_soon = now + POLL_TOLERANCE < row.poll_after
    interval = row.interval + INTERVAL_SECONDS if too_soon else row.interval
    values = {"interval": interval, "poll_after": now + timedelta(seconds=interval)}
    connection().execute(update(_table).where(_table.c.digest == row.digest).values(**values))
    if too_soon:
        raise SlowDownError(description=f"wait {interval} seconds between two requests")
    raise AuthorizationPendingError(description="the person has not decided yet")


def _decide(request: DeviceRequest, signed_in: SignedIn, *, approved: bool, **values: Any) -> None:
    conditions = _table.c.digest == request.digest, _table.c.browser == request.browser, *_open_conditions()
    columns = {"decided_at": clock.now(), "approved": approved, "person_id": signed_in.id, **values}
    statement = update(_table).where(*conditions).values(**columns)
    if connection().execute(statement).rowcount != 1:
        raise CodeGone(reason=f"device code of {request.client_id}")
    event = events.DEVICE_APPROVED if approved else events.DEVICE_DENIED
    log.record(event, by=signed_in.id, estab=signed_in.estab_id, client=request.client_id, scopes=request.scopes)


def _open_conditions() -> tuple[ColumnElement[bool], ...]:
    return _table.c.decided_at.is_(None), _table.c.expires_at > clock.now()


def _unknown_code() -> OAuth2Error:
    return errors.invalid_grant("device_code: unknown")


def _used_code() -> OAuth2Error:
    return errors.invalid_grant("device_code: was used before")


def _user_code_digest(user_code: str) -> bytes:
    return crypto.hmac_sha256(runtime.settings().secrets.tokens, "user code", user_code)
