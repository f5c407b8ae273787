"""Protected APIs: which there are, and which scopes each of them serves (RFC 8707).

An API is a client's own, registered with it by an operator; several clients may be hosts of the same. The list
is read now and then by each process, as clients are.
"""

import time
from collections.abc import Iterable, Mapping

from sqlalchemy import select

from idp.foundation import runtime, scopes
from idp.foundation.database import session
from idp.partners.models import Client, Partner

FRESH = 1.0
"""Seconds the list may be old."""

Served = Mapping[str, frozenset[str]]
"""Scopes by the address of the API that serves them."""


def known() -> Served:
    """Every API of an enabled client, with the scopes it serves."""
    kept: dict[str, tuple[float, Served]] = _kept()
    read_at, found = kept.get("all", (float("-inf"), {}))
    if (now := time.monotonic()) - read_at >= FRESH:
        found = _read()
        kept["all"] = now, found  # as old as the moment before it was read
    return found


def serving(wanted: Iterable[str]) -> frozenset[str]:
    """The addresses of the APIs that serve any of these scopes."""
    asked = frozenset(wanted)
    return frozenset(address for address, served in known().items() if served & asked)


def forget() -> None:
    """Read the list anew when it is needed next."""
    _kept().clear()


def _read() -> Served:
    enabled = Client.enabled.is_(True), Partner.disabled_at.is_(None), Client.resource.is_not(None)
    asked = select(Client.resource, Client.resource_scopes).join(Partner, Partner.id == Client.partner_id)
    found: dict[str, frozenset[str]] = {}
    for address, served in session().execute(asked.where(*enabled)):
        found[str(address)] = found.get(str(address), frozenset()) | scopes.known(served)
    return found


def _kept() -> dict[str, tuple[float, Served]]:
    return runtime.kept("idp.partners.resources", dict)
