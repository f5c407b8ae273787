"""Protected APIs: which there are, and which scopes each of them serves (RFC 8707).

An API is a client's own, registered with it by an operator; several clients may be hosts of the same. The list
is read now and then by each process, as clients are.
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

FRESH = 1.0
"""Seconds the list may be old."""

Served = Mapping[str, frozenset[str]]
"""Scopes by the address of the API that serves them."""


@dataclass(slots=True)
class _Cache:
    """The list, and when it was read (monotonic seconds)."""

    served: Served = field(default_factory=dict)
    read_at: float = float("-inf")


_CACHE: Final = PerApplication(_Cache)


def known() -> Served:
    """Every API of an enabled client, with the scopes it serves."""
    cache = _CACHE.get()
    if (now := time.monotonic()) - cache.read_at >= FRESH:
        cache.served = _read()
        cache.read_at = now  # as old as the moment before it was read
    return cache.served


def serving(wanted: Iterable[str]) -> frozenset[str]:
    """The addresses of the APIs that serve any of these scopes."""
    asked = frozenset(wanted)
    return frozenset(address for address, served in known().items() if served & asked)


def forget() -> None:
    """Read the list anew when it is needed next."""
    _CACHE.get().read_at = float("-inf")


def _read() -> Served:
    enabled = Client.enabled.is_(True), Partner.disabled_at.is_(None), Client.resource.is_not(None)
    asked = select(Client.resource, Client.resource_scopes).join(Partner, Partner.id == Client.partner_id)
    found: dict[str, frozenset[str]] = {}
    for address, served in session().execute(asked.where(*enabled)):
        found[str(address)] = found.get(str(address), frozenset()) | scopes.known(served)
    return found
