"""The public keys of a client: those it registered, or those at its `jwks_uri`.

What was fetched is kept for a while, and fetched again when a JWT names a key we do not know, but for one client
at most once a minute, and by one request at a time: nobody can make us hammer somebody's server, nor, where that is
slow, keep all our threads waiting for it.
"""

import json
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import structlog
from joserfc.jwk import JWKRegistry

from idp.foundation import database, runtime
from idp.foundation.web import admission, fetch
from idp.oidc.client import OAuthClient
from idp.oidc.jwts import Key
from idp.partners import jwks

FRESH: Final = 3600.0
"""Seconds fetched keys are used without asking again."""
AGAIN: Final = 60.0
"""Seconds between two requests to one client's server."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """A client's keys as we last had them, loaded; `version` is its registration's, `at` monotonic seconds."""

    version: int
    at: float
    keys: tuple[Key, ...]


def of(client: OAuthClient, kid: str | None) -> tuple[Key, ...]:
    """The client's keys; where one with this `kid` is not among them, as they are at its `jwks_uri` now."""
    all_kept: dict[str, Kept] = runtime.kept("idp.oidc.client_keys", dict)
    found, now, registered = all_kept.get(client.id), time.monotonic(), client.registered
    if found is None or found.version != registered.version:
        found = Kept(registered.version, float("-inf"), ())
    if registered.jwks_uri is not None:
        return _asked_by_one(client, found, all_kept) if _is_stale(found, kid, now) else found.keys
    if found.at == float("-inf"):
        found = all_kept[client.id] = Kept(found.version, now, _loaded(dict(registered.jwks or {"keys": []})))
    return found.keys


def _asked_by_one(client: OAuthClient, found: Kept, all_kept: dict[str, Kept]) -> tuple[Key, ...]:
    """The keys at the client's `jwks_uri`; while another request asks for them, those we have.

    If that is nothing yet, what the other one is told.
    """
    asking: dict[str, threading.Lock] = runtime.kept("idp.oidc.client_keys.asking", dict)
    asks = asking.setdefault(client.id, threading.Lock())
    database.let_go()  # nobody waits for a partner's server inside a transaction
    if not asks.acquire(blocking=False):
        if found.at != float("-inf"):
            return found.keys
        with admission.aside():
            asks.acquire()
    try:
        newest = all_kept.get(client.id, found)
        if newest.version == found.version and newest.at > found.at:
            return newest.keys
        now = time.monotonic()
        all_kept[client.id] = Kept(found.version, now, _fetched(client) or found.keys)
        return all_kept[client.id].keys
    finally:
        asks.release()


def _is_stale(found: Kept, kid: str | None, now: float) -> bool:
    age = now - found.at
    knows = kid is None or any(key.as_dict(private=False).get("kid") == kid for key in found.keys)
    return age >= FRESH or (age >= AGAIN and not (found.keys and knows))


def _fetched(client: OAuthClient) -> tuple[Key, ...]:
    """What stands at the client's `jwks_uri`; nothing, and a line in the log, where that is of no use."""
    try:
        answer = fetch.get(str(client.registered.jwks_uri), runtime.settings().fetch)
        if answer.status != 200:
            raise ValueError(f"answered {answer.status}")  # noqa: TRY301  told below, with the other faults
        document = json.loads(answer.body)
        if not isinstance(document, dict):
            raise ValueError("is not an object")  # noqa: TRY004, TRY301  likewise
        return _loaded(jwks.checked(document))
    except (fetch.FetchFailed, ValueError, RecursionError) as fault:
        log.warning("jwks_uri", client=client.id, because=str(fault))
        return ()


def _loaded(document: dict[str, Any]) -> tuple[Key, ...]:
    return tuple(JWKRegistry.import_key(each) for each in document["keys"])
