"""A provider's description of itself (OpenID Connect Discovery 1.0) and its public keys, fetched and cached.

Both are fetched again after an hour; keys also when a token is signed by none of them, at most once a minute.
What was fetched is used for a day while the provider cannot be reached, or sends something that we cannot use.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from idp.federation.errors import ProviderUnavailable, ResponseRefused
from idp.federation.providers import Provider
from idp.foundation import database, runtime
from idp.foundation.errors import Refusal
from idp.foundation.runtime import PerApplication
from idp.foundation.web import fetch
from idp.keys.jwts import Key
from idp.partners import jwks

CACHE_SECONDS: Final = 3600.0
"""For how long a fetched document is used before it is fetched again."""
MIN_REFETCH_SECONDS: Final = 60.0
"""The least time between two requests for keys that are made because a token is signed by none that is cached."""
MAX_STALE_SECONDS: Final = 86_400.0
"""For how long a fetched document is used while the provider cannot be reached."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of a provider's metadata that we use."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    sends_issuer: bool
    """Whether its authorization responses always have `iss` (RFC 9207 §3)."""


@dataclass(frozen=True, slots=True)
class _Cached:
    fetched_at: float
    """By the monotonic clock, in seconds."""
    document: dict[str, Any]


_CACHE: Final = PerApplication[dict[str, _Cached]](dict)
"""The fetched documents, by URL."""


def for_provider(provider: Provider) -> Metadata:
    """The provider's metadata. Raises `ProviderUnavailable`, and `ResponseRefused` if they name another issuer."""
    url = f"{provider.settings.authority}/.well-known/openid-configuration"
    return _parse_metadata(_document(url, CACHE_SECONDS, partial(_parse_metadata, provider=provider)), provider)


def keys(metadata: Metadata, kid: str | None) -> tuple[Key, ...]:
    """The provider's keys; fetched again where none has this `kid`.

    Raises `ProviderUnavailable`, and `ResponseRefused` if there is none that we can use.
    """
    known_keys = _parse_keys(_document(metadata.jwks_uri, CACHE_SECONDS, _parse_keys))
    if kid is None or any(key.as_dict(private=False).get("kid") == kid for key in known_keys):
        return known_keys
    return refetched_keys(metadata)


def refetched_keys(metadata: Metadata) -> tuple[Key, ...]:
    """The provider's keys, fetched again unless that was done a moment ago. Raises the errors of `keys`."""
    return _parse_keys(_document(metadata.jwks_uri, MIN_REFETCH_SECONDS, _parse_keys))


def _document(url: str, seconds: float, check: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The JSON object at `url`, from the cache if it was fetched less than `seconds` ago.

    `check` raises `ResponseRefused` for an object that we cannot use, which is not cached.
    """
    cache, now = _CACHE.get(), time.monotonic()
    cached = cache.get(url)
    if cached is not None and now - cached.fetched_at < seconds:
        return cached.document
    try:
        document = _fetch(url)
        check(document)
    except Refusal as error:
        if cached is None or now - cached.fetched_at >= MAX_STALE_SECONDS:
            raise
        log.warning("provider", url=url, reason=error.reason)
        return cached.document
    cache[url] = _Cached(now, document)
    return document


def _parse_metadata(document: dict[str, Any], provider: Provider) -> Metadata:
    if document.get("issuer") != provider.settings.issuer:
        raise ResponseRefused(reason=f"{provider.name}: the metadata are of another issuer than the settings name")
    endpoints = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(_is_valid_url(endpoint) for endpoint in endpoints):
        raise ResponseRefused(reason=f"{provider.name}: an endpoint in the metadata is not an https URL")
    authorization_endpoint, token_endpoint, jwks_uri = map(str, endpoints)
    sends_issuer = document.get("authorization_response_iss_parameter_supported") is True
    return Metadata(authorization_endpoint, token_endpoint, jwks_uri, sends_issuer)


def _fetch(url: str) -> dict[str, Any]:
    database.end_read_transaction()  # a fetch must not hold a transaction open
    try:
        response = fetch.get(url, fetch.for_operator(runtime.settings().fetch))
    except fetch.FetchFailed as error:
        raise ProviderUnavailable(reason=str(error)) from error
    if response.status != 200:
        raise ProviderUnavailable(reason=f"{url} responded with {response.status}")
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise ResponseRefused(reason=f"{url}: not JSON") from error
    if not isinstance(document, dict):
        raise ResponseRefused(reason=f"{url}: not a JSON object")
    return document


def _parse_keys(document: dict[str, Any]) -> tuple[Key, ...]:
    """The keys of a set that we can use; others are passed over (RFC 7517 §5). Raises `ResponseRefused` if none is."""
    members = document.get("keys")
    usable: list[Key] = []
    for member in members[: jwks.MAX_KEYS] if isinstance(members, list) else ():
        try:
            usable.append(jwks.parse_key(member))
        except ValueError as error:
            log.info("provider key passed over", reason=str(error))
    if not usable:
        raise ResponseRefused(reason="the provider publishes no key that we can use")
    return tuple(usable)


def _is_valid_url(endpoint: object) -> bool:
    """Whether it is an https URL without a fragment; for tests, http on this machine."""
    if not isinstance(endpoint, str):
        return False
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        return False
    schemes = {"https", "http"} if runtime.settings().fetch.allow_loopback else {"https"}
    return parts.scheme in schemes and bool(parts.hostname) and not parts.fragment and endpoint.isprintable()
