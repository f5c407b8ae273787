"""The public keys of a client: those it registered, or those at its `jwks_uri`.

What was fetched is kept for a while, and fetched again when a JWT names a key we do not know, but for one client
at most once a minute, and by one request at a time: a stranger cannot make us hammer a server, nor, where that is
slow, keep all our threads waiting for it.

What the partner publishes counts: a key that is gone from its set is refused from the next fetch on, and an empty set
means that there is none. Where the set cannot be fetched, the keys we have stay good for `MAX_STALE` after they were
last fetched, so that an outage of the partner's server of a day ends nothing, and a vanished host ends them all.
"""

import json
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from joserfc.jwk import JWKRegistry

from idp.foundation import database, runtime
from idp.foundation.runtime import PerApplication
from idp.foundation.web import admission, fetch
from idp.oidc.clients.client import OAuthClient
from idp.oidc.jwts import Key
from idp.partners import jwks

FRESH: Final = 3600.0
"""Seconds fetched keys are used without asking again."""
AGAIN: Final = 60.0
"""Seconds between two requests to one client's server."""
MAX_STALE: Final = 86_400.0
"""Seconds fetched keys are used while they cannot be fetched again."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CachedKeys:
    """A client's keys as we last had them, loaded; `version` is its registration's, times are monotonic seconds."""

    version: int
    at: float
    """When we last asked for them, or loaded those that are registered."""
    keys: tuple[Key, ...]
    came_at: float
    """When they last came; before `at` where asking failed since."""

    def good(self, now: float) -> tuple[Key, ...]:
        """The keys, unless they could not be fetched again for too long."""
        return self.keys if now - self.came_at < MAX_STALE else ()


_CACHE: Final = PerApplication[dict[str, CachedKeys]](dict)
"""By client."""
_FETCHING: Final = PerApplication[dict[str, threading.Lock]](dict)
"""By client: held while its keys are fetched."""


def of(client: OAuthClient, kid: str | None) -> tuple[Key, ...]:
    """The client's keys; where one with this `kid` is not among them, as they are at its `jwks_uri` now."""
    cache, now, registered = _CACHE.get(), time.monotonic(), client.registered
    cached = cache.get(client.id)
    if cached is None or cached.version != registered.version:
        cached = CachedKeys(registered.version, float("-inf"), (), float("-inf"))
    if registered.jwks_uri is not None:
        return _fetch_once(client, cached, cache) if _is_stale(cached, kid, now) else cached.good(now)
    if cached.at == float("-inf"):
        loaded = _loaded(dict(registered.jwks or {"keys": []}))
        cached = cache[client.id] = CachedKeys(cached.version, now, loaded, now)
    return cached.keys


def _fetch_once(client: OAuthClient, cached: CachedKeys, cache: dict[str, CachedKeys]) -> tuple[Key, ...]:
    """The keys at the client's `jwks_uri`; while another request asks for them, those we have.

    If there are none yet, those that the other request fetches.
    """
    fetching = _FETCHING.get().setdefault(client.id, threading.Lock())
    database.end_read_transaction()  # a fetch must not hold a transaction open
    if not fetching.acquire(blocking=False):
        if cached.at != float("-inf"):
            return cached.good(time.monotonic())
        with admission.place_released():
            fetching.acquire()
    try:
        newest = cache.get(client.id, cached)
        if newest.version == cached.version and newest.at > cached.at:
            return newest.good(newest.at)
        now, fetched = time.monotonic(), _fetched(client)
        if fetched is None:
            cache[client.id] = replace(cached, at=now)
        else:
            cache[client.id] = CachedKeys(cached.version, now, fetched, now)
        return cache[client.id].good(now)
    finally:
        fetching.release()


def _is_stale(cached: CachedKeys, kid: str | None, now: float) -> bool:
    age = now - cached.at
    knows = kid is None or any(key.as_dict(private=False).get("kid") == kid for key in cached.keys)
    failed = cached.came_at < cached.at
    return age >= FRESH or (age >= AGAIN and (failed or not (cached.keys and knows)))


def _fetched(client: OAuthClient) -> tuple[Key, ...] | None:
    """The keys at the client's `jwks_uri`, none included; None, and a line in the log, where that is no key set."""
    try:
        answer = fetch.get(str(client.registered.jwks_uri), fetch.for_partner(runtime.settings().fetch))
        if answer.status != 200:
            raise ValueError(f"answered {answer.status}")  # noqa: TRY301  told below, with the other faults
        document = json.loads(answer.body)
        if not isinstance(document, dict):
            raise ValueError("is not an object")  # noqa: TRY004, TRY301  likewise
        return () if document.get("keys") == [] else _loaded(jwks.validate(document))
    except (fetch.FetchFailed, ValueError, RecursionError) as fault:
        log.warning("jwks_uri", client=client.id, because=str(fault))
        return None


def _loaded(document: dict[str, Any]) -> tuple[Key, ...]:
    return tuple(JWKRegistry.import_key(each) for each in document["keys"])
