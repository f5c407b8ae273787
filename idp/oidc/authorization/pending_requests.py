"""Pending requests: pushed by a client or stored on arrival, shown in one browser, used up when answered.

`state`, `nonce` and the PKCE challenge never pass through our pages: those carry an address with the id of the
pending request, which is a secret, stored as its digest, and good only in the browser that it was first shown in.
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
from idp.oidc.clients import bounds, client as clients
from idp.oidc.clients.client import OAuthClient
from idp.oidc.errors import StaleRequest
from idp.oidc.incoming import AUTHORIZATION, CheckedRequest, Parameters, PendingRequest
from idp.oidc.models import AuthorizationRequest
from idp.partners import start_link

URN: Final = "urn:ietf:params:oauth:request_uri:"
COOKIE: Final = "browser"
AUTHORIZE_PATH: Final = "/oauth/authorize"
STORED_PARAMETERS: Final = AUTHORIZATION - {"request", "request_uri"}
"""The parameters that are stored; `resource` stands apart, because it may be repeated."""
STALE_REASONS: Final = {
    "unknown": "We do not know this request. It may be too long ago, or the link to us was not complete.",
    "expired": "It was left open for too long.",
    "used": "It has been answered already, perhaps in another tab.",
    "elsewhere": "It does not belong to this browser, or the cookies it began with have been deleted. For your safety "
    "it can only be continued where it began.",
    "no cookies": "Your browser sent us no cookies. They may have been deleted since you began, or be switched off for "
    "this site; or you opened the link in a different browser.",
}

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
    _Row, select(*(_table.c[name] for name in _Row._fields)).where(_table.c.digest == bindparam("its_digest"))
)
_BIND: Final = WriteStatement(
    update(_table)
    .where(_table.c.digest == bindparam("its_digest"), _table.c.browser.is_(None))
    .values(
        browser=bindparam("its_browser"), shown_at=bindparam("now", type_=Instant()),
        expires_at=bindparam("until", type_=Instant()),
    )
)  # fmt: skip


@dataclass(slots=True)
class _NewCookie:
    """The cookie that this browser is being given with the answer to this request; None where it has one."""

    cookie: str | None = None


def is_ours(request_uri: str | None) -> bool:
    """Whether a `request_uri` has the form of those we give out."""
    return request_uri is not None and request_uri.startswith(URN)


def store(sent: Parameters, client: OAuthClient, *, pushed: bool, shown: bool, dpop_jkt: str | None = None) -> str:
    """Store a request and return its URN. `shown` binds it to this browser at once.

    Only the parameters of an authorization request are stored. Of one address, and of one client, the oldest
    requests make room (`bounds`).
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
    return URN + secret


def stored_parameters(sent: Parameters) -> dict[str, Any]:
    """What is stored of a request: never a credential, nor the request object whose claims stand in its place."""
    values = {name: value for name, value in sent.values.items() if name in STORED_PARAMETERS}
    return {"values": values, "resource": list(dict.fromkeys(sent.resources))}


def load(client: OAuthClient, urn: str) -> tuple[PendingRequest, Parameters]:
    """The client's pending request with this URN, which this browser may continue, and its parameters.

    Raises `StaleRequest` with the reason. Once a pushed request is shown, its lifetime is that of an interaction.
    """
    digest = crypto.digest(urn.removeprefix(URN))
    row = _load_row(digest)
    if row is None or row.client_id != client.id:
        raise _stale_request("unknown", client)  # the same answer for another client's request
    if row.used_at is not None:
        raise _stale_request("used", client)
    if row.expires_at <= clock.now():
        raise _stale_request("expired", client)
    browser, since = row.browser, row.shown_at
    if browser is None or since is None:
        browser, since = _bind(digest, client)
    elif not _is_this_browser(browser):
        raise _elsewhere(client)
    pending = PendingRequest(client.id, digest, urn, row.pushed, browser, row.dpop_jkt, since)
    return pending, Parameters(dict(row.params["values"]), tuple(row.params["resource"]))


def ensure_stored(request: CheckedRequest) -> PendingRequest:
    """The row of a request; a request that came with its parameters is stored now, to continue after the next page."""
    if request.pending is not None:
        return request.pending
    return load(request.client, store(request.sent, request.client, pushed=False, shown=True))[0]


def spend(request: CheckedRequest) -> None:
    """Mark the pending request as answered; raises `StaleRequest` where another tab was first."""
    pending = request.pending
    if pending is None:
        return
    bound = {"digest": pending.digest, "client_id": pending.client_id, "browser": pending.browser}
    if not database.claim(AuthorizationRequest, **bound):
        raise _stale_request("used", request.client)


def address(pending: PendingRequest, path: str = AUTHORIZE_PATH, **more: str) -> str:
    """The local path at which the pending request continues; our pages know nothing else of it."""
    return address_of(pending.client_id, pending.urn, path, **more)


def address_of(client_id: str, urn: str, path: str = AUTHORIZE_PATH, **more: str) -> str:
    """The local path for a client's pending request; an id that is not a URN of ours is not checked here."""
    return f"{path}?{urlencode({'client_id': client_id, 'request_uri': urn, **more})}"


def requesting_partner(path: str) -> RequestingPartner | None:
    """The client whose pending request a local path continues, if this browser may continue it."""
    parts = urlsplit(path)
    named = dict(parse_qsl(parts.query))
    client, urn = clients.find(named.get("client_id")), named.get("request_uri", "")
    if parts.path != AUTHORIZE_PATH or client is None or not is_ours(urn):
        return None
    row = _load_row(crypto.digest(urn.removeprefix(URN)))
    if row is None or row.client_id != client.id or row.used_at is not None or row.expires_at <= clock.now():
        return None
    if row.browser is None or not _is_this_browser(row.browser):
        return None
    return RequestingPartner(client.registered.client_name, client.registered.partner_name)


def _elsewhere(client: OAuthClient) -> StaleRequest:
    """The error for a request of another browser, or of one that sends no cookies: that may be the same browser."""
    return _stale_request("no cookies" if security.sent_no_cookies() else "elsewhere", client)


def _stale_request(which: str, client: OAuthClient) -> StaleRequest:
    start = start_link.of_client(client.id)
    return StaleRequest(
        STALE_REASONS[which], reason=f"pending request of {client.id}: {which}", partner=client.registered.client_name,
        way_back=start.address if start else None,
    )  # fmt: skip


def _load_row(digest: bytes) -> _Row | None:
    return _SELECT.one(its_digest=digest)


def _bind(digest: bytes, client: OAuthClient) -> tuple[bytes, datetime]:
    """Bind the row to this browser, unless another browser was first."""
    now, browser = clock.now(), this_browser()
    until = now + timedelta(seconds=runtime.settings().tokens.interaction)
    if _BIND.run(its_digest=digest, its_browser=browser, now=now, until=until) == 1:
        return browser, now
    row = _load_row(digest)
    if row is None or row.browser is None or row.shown_at is None or not _is_this_browser(row.browser):
        raise _elsewhere(client)
    return row.browser, row.shown_at


def _cookie_prefix() -> str:
    """What the names of our cookies begin with."""
    return security.cookie_name(runtime.settings(), COOKIE)


def _browser_secrets() -> list[str]:
    """This browser's cookies, the oldest first, and the one it is being given with this answer.

    There are several where its first tabs were opened at once: each answer came with a cookie, and as each has a name
    of its own none takes the place of another, whose request would be lost.
    """
    names = _cookie_prefix()
    sent = [value for name, value in flask.request.cookies.items() if name.startswith(names) and value]
    given = request_state.part(_NewCookie).cookie
    return sent if given is None else [*sent, given]


def _is_this_browser(browser: bytes) -> bool:
    return any(crypto.same(crypto.digest(presented), browser) for presented in _browser_secrets())


def this_browser() -> bytes:
    """The digest of this browser's cookie, which it is given where it has none."""
    presented = _browser_secrets()
    if not presented:
        secret = request_state.part(_NewCookie).cookie = crypto.new_secret()
        security.answer_with_cookie(f"{_cookie_prefix()}-{secrets.token_hex(4)}", secret)
        presented = [secret]
    return crypto.digest(presented[0])
