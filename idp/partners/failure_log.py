"""A log of a client's failed requests for its developer: which parameter was wrong, and how; never a secret.

A failure that repeats is counted in its row, where the latest URI and numbers are stored. For each client the
newest `MAX_EVENTS` rows are kept, and of those with the same endpoint, error and parameter the newest
`MAX_SIMILAR_EVENTS`: neither a loop nor an attacker who uses the client's id can fill the table or displace others.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, CursorResult, Executable, delete, func, select

from idp.audit import log
from idp.foundation import clock, crypto, inserts
from idp.foundation.database import session
from idp.partners import registry
from idp.partners.models import Client, ClientEvent

MAX_EVENTS: Final = 200
"""Rows of one client."""
MAX_SIMILAR_EVENTS: Final = 10
"""Rows of one client that have the same endpoint, error and parameter and differ in their fact."""
NUMBER: Final = re.compile("[0-9]+")
MAX_FACT_LENGTH: Final = 500
"""In characters."""
REQUEST_ID: Final = re.compile("[0-9a-f]{16}")
"""The form of a request's id (`foundation.web.middleware`)."""
MAX_REQUEST_IDS: Final = 10
"""How many ids of requests that failed alike are stored."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that failed; the fields are those of `models.ClientEvent`."""

    endpoint: str
    error: str
    parameter: str
    fact: str
    comparison: tuple[dict[str, Any], ...] | None = None
    request_id: str = ""


def record(client_id: str, failure: Failure) -> None:
    """Record the failure in the client's log; does nothing if there is no such client, or it was removed."""
    client = session().get(Client, client_id) if registry.is_plausible_id(client_id) else None
    if client is None or client.removed_at is not None:
        return
    now = clock.now()
    values = {
        "client_id": client_id, "endpoint": failure.endpoint, "error": failure.error, "parameter": failure.parameter,
        "fact": failure.fact[:MAX_FACT_LENGTH],
    }  # fmt: skip
    # Numbers, such as a clock's offset in seconds, differ each time.
    normalised = values | {"fact": NUMBER.sub("0", values["fact"])}
    digest = crypto.digest(log.canonical(normalised).decode("ascii"))
    comparison = None if failure.comparison is None else [*failure.comparison]
    request_ids = f"{failure.request_id} " if REQUEST_ID.fullmatch(failure.request_id) else ""
    row = {
        **values, "digest": digest, "comparison": comparison, "first_at": now, "last_at": now, "count": 1,
        "request_ids": request_ids,
    }  # fmt: skip
    if session().execute(_upsert(row)).scalar_one() == 1:
        own = ClientEvent.client_id == client_id
        similar = own, *(getattr(ClientEvent, name) == values[name] for name in ("endpoint", "error", "parameter"))
        _delete_oldest(MAX_SIMILAR_EVENTS, *similar)
        _delete_oldest(MAX_EVENTS, own)


def newest(client_id: str) -> list[ClientEvent]:
    """The client's log, newest first. Raises `UnknownClient`."""
    client = registry.find(client_id)
    own = select(ClientEvent).where(ClientEvent.client_id == client.id)
    return list(session().scalars(own.order_by(ClientEvent.last_at.desc(), ClientEvent.digest)))


def list_for_partner(partner_id: str, *, reference: str = "", client_id: str = "") -> list[tuple[ClientEvent, Client]]:
    """The newest failures of a partner's clients, each with its client; of one client, or one request, if named.

    `reference` is the id of a request, with spaces and capitals as someone may have typed them.
    """
    statement = (
        select(ClientEvent, Client).join(Client, Client.id == ClientEvent.client_id)
        .where(Client.partner_id == partner_id, Client.removed_at.is_(None))
        .order_by(ClientEvent.last_at.desc(), ClientEvent.digest).limit(MAX_EVENTS)
    )  # fmt: skip
    if client_id:
        statement = statement.where(Client.id == client_id)
    if reference:
        request_id = "".join(reference.split()).lower()
        if not REQUEST_ID.fullmatch(request_id):
            return []
        statement = statement.where(ClientEvent.request_ids.contains(request_id))
    return [(event, client) for event, client in session().execute(statement)]


def _upsert(row: dict[str, Any]) -> Executable:
    """One statement that inserts the row or increments its count, and returns the count."""
    before, max_length = ClientEvent.request_ids, MAX_REQUEST_IDS * 17  # sixteen letters and a space
    return (
        inserts.insert(ClientEvent)
        .values(row)
        .on_conflict_do_update(
            index_elements=[ClientEvent.digest],
            set_={
                "count": ClientEvent.count + 1,
                "request_ids": func.substr(row["request_ids"] + before, 1, max_length),
            }
            | {name: row[name] for name in ("last_at", "comparison", "fact")},
        )
        .returning(ClientEvent.count)
    )


def _delete_oldest(limit: int, *conditions: ColumnElement[bool]) -> None:
    newest_digests = (
        select(ClientEvent.digest)
        .where(*conditions)
        .order_by(ClientEvent.last_at.desc(), ClientEvent.digest)
        .limit(limit)
    )
    statement = delete(ClientEvent).where(*conditions, ClientEvent.digest.not_in(newest_digests))
    cast("CursorResult[Any]", session().execute(statement.execution_options(synchronize_session=False)))
