"""The protected APIs and the scopes that each of them serves (RFC 8707).

An operator registers an API with a client; several clients may register the same API. The list
is cached by each process, as clients are.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select

from idp.foundation import scopes
from idp.foundation.database import session
from idp.foundation.runtime import PerApplication
from idp.partners.models import Client, Partner

CACHE_SECONDS = 1.0
"""How long the list is cached."""

Served = Mapping[str, frozenset[str]]
"""Scopes by the URL of the API that serves them."""


@dataclass(slots=True)
class _Cache:
    """The list, and when it was read (monotonic seconds)."""

    served: Served = field(default_factory=dict)
    read_at: float = float("-inf")


_CACHE: Final = PerApplication(_Cache)


def served_scopes() -> Served:
    """Every API of an enabled client, with the scopes it serves."""
    cache = _CACHE.get()
    if (now := time.monotonic()) - cache.read_at >= CACHE_SECONDS:
        cache.served = _load()
        cache.read_at = now  # the time before reading, so that its age is never understated
    return cache.served


def serving(scope_names: Iterable[str]) -> frozenset[str]:
    """The URLs of the APIs that serve any of these scopes."""
    requested = frozenset(scope_names)
    return frozenset(url for url, served in served_scopes().items() if served & requested)


def forget() -> None:
    """Drop the cached list."""
    _CACHE.get().read_at = float("-inf")


def _load() -> Served:
    enabled = Client.enabled.is_(True), Partner.disabled_at.is_(None), Client.resource.is_not(None)
    statement = select(Client.resource, Client.resource_scopes).join(Partner, Partner.id == Client.partner_id)
    result: dict[str, frozenset[str]] = {}
    for url, served in session().execute(statement.where(*enabled)):
        result[str(url)] = result.get(str(url), frozenset()) | scopes.known(served)
    return result
