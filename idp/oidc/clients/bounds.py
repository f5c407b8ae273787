"""Bounds on the rows that callers make without being signed in: pending requests and device codes.

Only the newest rows of each network and of each client are kept. A network is an IPv4 address or the /64 prefix of an
IPv6 address. All rows count, used and expired ones too. Rows made by a client that authenticated have no network and
are counted separately: a stranger who makes thousands of requests in a client's name deletes none that the client
pushed itself.
"""

import secrets
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Table, delete, select

from idp.foundation.database import Base, connection
from idp.foundation.web import throttle
from idp.oidc.clients.oauth_client import OAuthClient

MAX_PARAMETERS_BYTES: Final = 16_384
"""Bytes of all parameters of one authorization request, as they are stored."""
MAX_PER_NETWORK: Final = 200
"""Rows of one network, which everybody in a school's office may share."""
MAX_PER_CLIENT: Final = 20_000
"""Rows of one client. Those that it made itself, and those that others made in its name, are counted separately."""
ROWS_PER_COUNT: Final = 100
"""A client's rows are counted after one in `MAX_PER_CLIENT / ROWS_PER_COUNT` insertions: counting them is slow."""


def network_of(client: OAuthClient, *, proven: bool) -> str | None:
    """The network that a new row is counted under; None if `client` authenticated (`proven`)."""
    return None if proven and not client.registered.is_public else throttle.caller_key()


def trim(model: type[Base], client_id: str, network: str | None) -> None:
    """Delete the oldest rows beyond the limits, after one was inserted for this client and network."""
    table = cast("Table", model.__table__)
    if network is not None:
        _delete_beyond(MAX_PER_NETWORK, table, table.c.network == network)
    if secrets.randbelow(max(1, MAX_PER_CLIENT // ROWS_PER_COUNT)) == 0:
        same_kind = table.c.network.is_(None) if network is None else table.c.network.is_not(None)
        _delete_beyond(MAX_PER_CLIENT, table, table.c.client_id == client_id, same_kind)


def _delete_beyond(limit: int, table: Table, *conditions: ColumnElement[Any]) -> None:
    oldest = select(table.c.digest).where(*conditions).order_by(table.c.created_at.desc()).offset(limit)
    connection().execute(delete(table).where(table.c.digest.in_(oldest)))
