"""Pending requests: pushed by a client or stored on arrival, bound to one browser, used up by their response.

The URLs of our pages carry only the id of the pending request, so `state`, `nonce` and the PKCE challenge never
pass through them. The id is a secret of which we store the digest, and it works only in the browser that the request
was first shown in.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import flask
from sqlalchemy import Table, bindparam, insert, select, update

from idp.foundation import clock, crypto, database, request_state, runtime
from idp.foundation.database import Instant
from idp.foundation.fastpath.statements import Statement, WriteStatement
from idp.foundation.ports import RequestingPartner
from idp.foundation.web import security
from idp.oidc.clients import bounds, oauth_client
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.errors import StaleRequest
from idp.oidc.incoming import AUTHORIZATION, CheckedRequest, Parameters, PendingRequest
from idp.oidc.models import AuthorizationRequest
from idp.partners import start_link

URN_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
"""How the `request_uri` of a stored request begins (RFC 9126 §2.2)."""
COOKIE: Final = "browser"
AUTHORIZE_PATH: Final = "/oauth/authorize"
STORED_PARAMETERS: Final = AUTHORIZATION - {"request", "request_uri"}
"""The parameters that are stored by name; `resource` is stored in a list of its own, because it may be repeated."""
STALE_REASONS: Final = {
    "unknown": "We do not know this request. It may be too long ago, or the link to us was not complete.",
    "expired": "It was left open for too long.",
    "used": "It has been answered already, perhaps in another tab.",
    "elsewhere": "It does not belong to this browser, or the cookies it began with have been deleted. For your safety "
    "it can only be continued where it began.",
    "no cookies": "Your browser sent us no cookies. They may have been deleted since you began, or be switched off for "
    "this site; or you opened the link in a different browser.",
}
"""Why a pending request cannot be continued, as the person reads it."""

_table = cast("Table", AuthorizationRequest.__table__)


class _Row(NamedTuple):
    client_id: str
    params: dict[str, Any]
    pushed: bool
    browser: bytes | None
    shown_at: datetime | None
    dpop_jkt: str | None
    expires_at: datetime
    used_at: datetime | None


_INSERT: Final = WriteStatement(insert(_table))
_SELECT: Final = Statement(
    _Row, select(*(_table.c[name] for name in _Row._fields)).where(_table.c.digest == bindparam("by_digest"))
)
_BIND: Final = WriteStatement(
    update(_table)
    .where(_table.c.digest == bindparam("by_digest"), _table.c.browser.is_(None))
    .values(
        browser=bindparam("new_browser"), shown_at=bindparam("now", type_=Instant()),
        expires_at=bindparam("until", type_=Instant()),
    )
)  # fmt: skip


@dataclass(slots=True)
class _NewCookie:
    """The value of the cookie that the response to this request sets; None where the browser has one already."""

    cookie: str | None = None


def is_ours(request_uri: str | None) -> bool:
    """Whether a `request_uri` has the form of those we give out."""
    return request_uri is not None and request_uri.startswith(URN_PREFIX)


def store(sent: Parameters, client: OAuthClient, *, pushed: bool, shown: bool, dpop_jkt: str | None = None) -> str:
    """Store a request and return its URN. `shown` binds it to this browser at once.

    Only the parameters of an authorization request are stored. The oldest requests of the same network and of
    the same client are deleted where there are too many (`bounds`).
    """
    secret, now, tokens = crypto.new_secret(), clock.now(), runtime.settings().tokens
    lifetime = tokens.interaction if shown else tokens.pushed_request
    network = bounds.network_of(client, proven=pushed)
    _INSERT.run(
        digest=crypto.digest(secret), client_id=client.id, network=network, pushed=pushed, dpop_jkt=dpop_jkt,
        params=stored_parameters(sent),
        browser=this_browser() if shown else None, shown_at=now if shown else None,
        created_at=now, expires_at=now + timedelta(seconds=lifetime), used_at=None,
    )  # fmt: skip
    bounds.trim(AuthorizationRequest, client.id, network)
    return URN_PREFIX + secret


def stored_parameters(sent: Parameters) -> dict[str, Any]:
    """The JSON that is stored of a request: no credentials, and not the request object, whose claims replaced it."""
    values = {name: value for name, value in sent.values.items() if name in STORED_PARAMETERS}
    return {"values": values, "resource": list(dict.fromkeys(sent.resources))}


def load(client: OAuthClient, urn: str) -> tuple[PendingRequest, Parameters]:
    """The client's pending request with this URN, and its parameters. A request not yet shown is bound to this browser.

    A pushed request gets the longer lifetime `tokens.interaction` when it is first shown. Raises `StaleRequest` if it
    is unknown, expired, used, or bound to another browser.
    """
    digest = crypto.digest(urn.removeprefix(URN_PREFIX))
    row = _load_row(digest)
    if row is None or row.client_id != client.id:
        raise _stale_request_error("unknown", client)  # the same error for another client's request
    if row.used_at is not None:
        raise _stale_request_error("used", client)
    if row.expires_at <= clock.now():
        raise _stale_request_error("expired", client)
    browser, since = row.browser, row.shown_at
    if browser is None or since is None:
        browser, since = _bind(digest, client)
    elif not _is_this_browser(browser):
        raise _wrong_browser(client)
    pending = PendingRequest(client.id, digest, urn, row.pushed, browser, row.dpop_jkt, since)
    return pending, Parameters(dict(row.params["values"]), tuple(row.params["resource"]))


def ensure_stored(request: CheckedRequest) -> PendingRequest:
    """The pending request of `request`, which is stored now if it came with its parameters."""
    if request.pending is not None:
        return request.pending
    return load(request.client, store(request.sent, request.client, pushed=False, shown=True))[0]


def spend(request: CheckedRequest) -> None:
    """Mark the pending request as used; raises `StaleRequest` if it was already, for instance in another tab."""
    pending = request.pending
    if pending is None:
        return
    conditions = {"digest": pending.digest, "client_id": pending.client_id, "browser": pending.browser}
    if not database.claim(AuthorizationRequest, **conditions):
        raise _stale_request_error("used", request.client)


def url(pending: PendingRequest, path: str = AUTHORIZE_PATH, **options: str) -> str:
    """The local path at which the pending request continues; our pages hold nothing else of it."""
    return url_by_urn(pending.client_id, pending.urn, path, **options)


def url_by_urn(client_id: str, urn: str, path: str = AUTHORIZE_PATH, **options: str) -> str:
    """The local path for the pending request with this URN, which is not checked here."""
    return f"{path}?{urlencode({'client_id': client_id, 'request_uri': urn, **options})}"


def requesting_partner(path: str) -> RequestingPartner | None:
    """The partner whose pending request a local path continues, if this browser may continue it; else None."""
    parts = urlsplit(path)
    query = dict(parse_qsl(parts.query))
    client, urn = oauth_client.find(query.get("client_id")), query.get("request_uri", "")
    if parts.path != AUTHORIZE_PATH or client is None or not is_ours(urn):
        return None
    row = _load_row(crypto.digest(urn.removeprefix(URN_PREFIX)))
    if row is None or row.client_id != client.id or row.used_at is not None or row.expires_at <= clock.now():
        return None
    if row.browser is None or not _is_this_browser(row.browser):
        return None
    registered = client.registered
    return RequestingPartner(registered.client_name, registered.partner_name, registered.is_sandbox)


def _wrong_browser(client: OAuthClient) -> StaleRequest:
    """The error for a request that is bound to another browser; without any cookies it may be the same browser."""
    return _stale_request_error("no cookies" if security.sent_no_cookies() else "elsewhere", client)


def _stale_request_error(cause: str, client: OAuthClient) -> StaleRequest:
    start = start_link.for_client(client.id)
    return StaleRequest(
        STALE_REASONS[cause], reason=f"pending request of {client.id}: {cause}", partner=client.registered.client_name,
        way_back=start.url if start else None,
    )  # fmt: skip


def _load_row(digest: bytes) -> _Row | None:
    return _SELECT.one(by_digest=digest)


def _bind(digest: bytes, client: OAuthClient) -> tuple[bytes, datetime]:
    """Bind the row to this browser and return its digest and the time; raises `StaleRequest` if another was first."""
    now, browser = clock.now(), this_browser()
    until = now + timedelta(seconds=runtime.settings().tokens.interaction)
    if _BIND.run(by_digest=digest, new_browser=browser, now=now, until=until) == 1:
        return browser, now
    row = _load_row(digest)
    if row is None or row.browser is None or row.shown_at is None or not _is_this_browser(row.browser):
        raise _wrong_browser(client)
    return row.browser, row.shown_at


def _cookie_prefix() -> str:
    """The prefix of the names of browser cookies."""
    return security.cookie_name(runtime.settings(), COOKIE)


def _browser_secrets() -> list[str]:
    """The values of this browser's cookies, the oldest first, then that of the one this response sets.

    There are several if the first tabs were opened at the same time: each response set a cookie. Each has a name of its
    own, because a cookie that replaced another would make the request bound to that one unusable.
    """
    prefix = _cookie_prefix()
    sent = [value for name, value in flask.request.cookies.items() if name.startswith(prefix) and value]
    new = request_state.part(_NewCookie).cookie
    return sent if new is None else [*sent, new]


def _is_this_browser(browser: bytes) -> bool:
    return any(crypto.constant_time_compare(crypto.digest(secret), browser) for secret in _browser_secrets())


def this_browser() -> bytes:
    """The digest of this browser's cookie; sets one if there is none."""
    values = _browser_secrets()
    if not values:
        secret = request_state.part(_NewCookie).cookie = crypto.new_secret()
        security.set_cookie(f"{_cookie_prefix()}-{secrets.token_hex(4)}", secret)
        values = [secret]
    return crypto.digest(values[0])
