"""The API that has the schools' data: what it gives for an access token. This module alone knows its addresses."""

from typing import Any

from clients.assembly.errors import Unreachable
from clients.assembly.provider import Provider

KINDS = {"students": "Pupils", "staff": "Staff", "classes": "Classes"}
"""What we read, by the last part of its address, and its name for people."""
SAMPLE = 5
"""How many rows are kept to be shown."""


class NotAllowed(Exception):
    """The API refuses the token: it has expired, or the school has stopped sharing."""


def read(provider: Provider, api: str, access_token: str) -> dict[str, Any]:
    """What the API gives: `areas` that the token opens there, and of each kind the number and a sample.

    A kind that the API does not have, or not yet, is left out. Raises `NotAllowed` and `Unreachable`.
    """
    areas = _get(provider, f"{api}/access", access_token)
    received: dict[str, Any] = {"areas": (areas or {}).get("areas", []), "kinds": {}}
    for kind in KINDS:
        document = _get(provider, f"{api}/{kind}", access_token)
        if document is not None and isinstance(document.get(kind), list):
            rows = document[kind]
            received["kinds"][kind] = {"count": document.get("total", len(rows)), "sample": rows[:SAMPLE]}
    return received


def _get(provider: Provider, url: str, access_token: str) -> dict[str, Any] | None:
    """The JSON document at an address; None where there is none, or where the token does not cover it."""
    response = provider.call("GET", url, access_token, headers={"Accept": "application/json"})
    if response.status_code == 401:
        raise NotAllowed(response.headers.get("WWW-Authenticate", ""))
    if response.status_code in {403, 404}:
        return None
    try:
        document = response.json()
    except ValueError as fault:
        raise Unreachable(f"{url} did not answer with JSON") from fault
    return document if response.status_code == 200 and isinstance(document, dict) else None
