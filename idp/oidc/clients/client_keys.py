"""The public keys of a client: those it registered, or those at its `jwks_uri`.

Fetched keys are cached, and fetched again when a JWT is signed by none of them, but for one client at most once a
minute, and by one request at a time: an attacker cannot make us flood a server, nor make all our threads wait for a
slow one.

The published set is authoritative: a key that was removed from it is refused after the next fetch, and an empty set
means that the client has no keys. If the set cannot be fetched, the cached keys stay valid for `MAX_STALE_SECONDS`
after they were last fetched: long enough for an outage of the partner's server, but not for ever.
"""

import json
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from joserfc.jwk import JWKRegistry

from idp.foundation import clock, database, runtime
from idp.foundation.runtime import PerApplication
from idp.foundation.web import admission, fetch
from idp.keys import jwts
from idp.keys.jwts import Key, Presented
from idp.oidc.clients.oauth_client import OAuthClient
from idp.partners import jwks

CACHE_SECONDS: Final = 3600.0
"""How long fetched keys are used without a new fetch."""
MIN_FETCH_INTERVAL_SECONDS: Final = 60.0
"""Between two fetches from one client's server."""
MAX_STALE_SECONDS: Final = 86_400.0
"""How long fetched keys are used while fetching fails."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CachedKeys:
    """A client's keys; `version` is that of its registration, times are monotonic seconds."""

    version: int
    checked_at: float
    """The last attempt to fetch them, or the time at which registered keys were loaded."""
    keys: tuple[Key, ...]
    fetched_at: float
    """The last successful fetch; before `checked_at` if a later attempt failed."""

    def usable(self, now: float) -> tuple[Key, ...]:
        """The keys; empty if fetching has failed for too long."""
        return self.keys if now - self.fetched_at < MAX_STALE_SECONDS else ()


_CACHE: Final = PerApplication[dict[str, CachedKeys]](dict)
"""By client id."""
_FETCHING: Final = PerApplication[dict[str, threading.Lock]](dict)
"""By client id; locked while its keys are fetched."""


def verify(presented: Presented, client: OAuthClient, algs: Collection[str]) -> None:
    """Check the signature of a JWT of the client's. Raises `InvalidJwt`.

    Its keys are fetched again if the signature is by none of them, because a client with one key at a time may give
    each new one the same `kid`, or none.
    """
    began = time.monotonic()
    try:
        jwts.verify(presented, for_client(client, presented.kid), algs)
    except jwts.InvalidJwt:
        refetched = _refetch(client, began) if presented.alg in algs else None
        if refetched is None:
            raise
        jwts.verify(presented, refetched, algs)


def for_client(client: OAuthClient, kid: str | None) -> tuple[Key, ...]:
    """The client's keys, fetched again from its `jwks_uri` if none of them has this `kid`.

    The console signs for a sandbox application with trial keys: if one of them has this `kid`, it alone is returned.
    """
    for trial in client.registered.trial_keys:
        if trial.jwk["kid"] == kid and clock.now() < trial.expires_at:
            return _load({"keys": [dict(trial.jwk)]})
    cache, now, registered = _CACHE.get(), time.monotonic(), client.registered
    cached = cache.get(client.id)
    if cached is None or cached.version != registered.version:
        cached = CachedKeys(registered.version, float("-inf"), (), float("-inf"))
    if registered.jwks_uri is not None:
        return _fetch_once(client, cached, cache) if _is_stale(cached, kid, now) else cached.usable(now)
    if cached.checked_at == float("-inf"):
        loaded = _load(dict(registered.jwks or {"keys": []}))
        cached = cache[client.id] = CachedKeys(cached.version, now, loaded, now)
    return cached.keys


def _refetch(client: OAuthClient, began: float) -> tuple[Key, ...] | None:
    """The keys at the client's `jwks_uri`; None if it has none, or if they were fetched less than a minute ago.

    `began` is when the request began to read the keys: it has fetched those that are newer.
    """
    cache = _CACHE.get()
    cached = cache.get(client.id)
    if client.registered.jwks_uri is None or cached is None or cached.checked_at >= began:
        return None
    is_recent = time.monotonic() - cached.checked_at < MIN_FETCH_INTERVAL_SECONDS
    return None if is_recent else _fetch_once(client, cached, cache)


def _fetch_once(client: OAuthClient, cached: CachedKeys, cache: dict[str, CachedKeys]) -> tuple[Key, ...]:
    """Fetch the keys, unless another request does: then the cached keys are used.

    If nothing is cached yet, it waits for the other request.
    """
    lock = _FETCHING.get().setdefault(client.id, threading.Lock())
    database.end_read_transaction()  # a fetch must not hold a transaction open
    if not lock.acquire(blocking=False):
        if cached.checked_at != float("-inf"):
            return cached.usable(time.monotonic())
        with admission.place_released():
            lock.acquire()
    try:
        newest = cache.get(client.id, cached)
        if newest.version == cached.version and newest.checked_at > cached.checked_at:
            return newest.usable(newest.checked_at)
        now, fetched = time.monotonic(), _fetch(client)
        if fetched is None:
            cache[client.id] = replace(cached, checked_at=now)
        else:
            cache[client.id] = CachedKeys(cached.version, now, fetched, now)
        return cache[client.id].usable(now)
    finally:
        lock.release()


def _is_stale(cached: CachedKeys, kid: str | None, now: float) -> bool:
    age = now - cached.checked_at
    has_kid = kid is None or any(key.as_dict(private=False).get("kid") == kid for key in cached.keys)
    failed = cached.fetched_at < cached.checked_at
    return age >= CACHE_SECONDS or (age >= MIN_FETCH_INTERVAL_SECONDS and (failed or not (cached.keys and has_kid)))


def _fetch(client: OAuthClient) -> tuple[Key, ...] | None:
    """The keys at the client's `jwks_uri`; None, with a line in the log, if there is no valid key set."""
    try:
        response = fetch.get(str(client.registered.jwks_uri), fetch.for_partner(runtime.settings().fetch))
        if response.status != 200:
            raise ValueError(f"returned {response.status}")  # noqa: TRY301  logged below
        document = json.loads(response.body)
        if not isinstance(document, dict):
            raise ValueError("is not an object")  # noqa: TRY004, TRY301  likewise
        return () if document.get("keys") == [] else _load(jwks.usable(document))
    except (fetch.FetchFailed, ValueError, RecursionError) as error:
        log.warning("jwks_uri", client=client.id, reason=str(error))
        return None


def _load(document: dict[str, Any]) -> tuple[Key, ...]:
    return tuple(JWKRegistry.import_key(jwk) for jwk in document["keys"])
