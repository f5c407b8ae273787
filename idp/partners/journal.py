"""What went wrong with a client's requests, kept for its developer: which parameter, and how; never a secret.

What fails again in the same way is counted and not written again (of addresses and numbers the last one is kept), and
only the newest ways are, `MOST` in all and `MOST_ALIKE` of one parameter at one endpoint, so that a loop, or a stranger
who plays the client, fills no table and hides nothing.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, CursorResult, Executable, delete, select

from idp.audit import log as audit
from idp.foundation import clock, crypto, inserts
from idp.foundation.database import session
from idp.partners import registry
from idp.partners.models import Client, ClientEvent

MOST: Final = 200
"""Events kept of one client."""
MOST_ALIKE: Final = 10
"""Events kept of one client's endpoint, error and parameter, which differ in their fact."""
NUMBER: Final = re.compile("[0-9]+")
LONGEST: Final = 500
"""Characters of a fact."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that failed; the fields are those of `models.ClientEvent`."""

    endpoint: str
    error: str
    parameter: str
    fact: str
    comparison: tuple[dict[str, Any], ...] | None = None


def note(client_id: str, failure: Failure) -> None:
    """Keep the failure in the client's log; nothing where there is no such client."""
    if not registry.could_be(client_id) or session().get(Client, client_id) is None:
        return
    now = clock.now()
    said = {
        "client_id": client_id, "endpoint": failure.endpoint, "error": failure.error, "parameter": failure.parameter,
        "fact": failure.fact[:LONGEST],
    }  # fmt: skip
    way = said | {"fact": NUMBER.sub("0", said["fact"])}  # by how many seconds a clock is off differs each time
    digest = crypto.digest(audit.canonical(way).decode("ascii"))
    comparison = None if failure.comparison is None else [*failure.comparison]
    row = {**said, "digest": digest, "comparison": comparison, "first_at": now, "last_at": now, "count": 1}
    if session().execute(_once_more(row)).scalar_one() == 1:
        own = ClientEvent.client_id == client_id
        alike = own, *(getattr(ClientEvent, name) == said[name] for name in ("endpoint", "error", "parameter"))
        _forget_oldest(MOST_ALIKE, *alike)
        _forget_oldest(MOST, own)


def newest(client_id: str) -> list[ClientEvent]:
    """The client's log, what happened last first. Raises `UnknownClient`."""
    found = registry.find(client_id)
    own = select(ClientEvent).where(ClientEvent.client_id == found.id)
    return list(session().scalars(own.order_by(ClientEvent.last_at.desc(), ClientEvent.digest)))


def _once_more(row: dict[str, Any]) -> Executable:
    """One statement that inserts the row, or counts it once more; returns the count."""
    return (
        inserts.insert(ClientEvent)
        .values(row)
        .on_conflict_do_update(
            index_elements=[ClientEvent.digest],
            set_={"count": ClientEvent.count + 1} | {name: row[name] for name in ("last_at", "comparison", "fact")},
        )
        .returning(ClientEvent.count)
    )


def _forget_oldest(most: int, *of_which: ColumnElement[bool]) -> None:
    kept = (
        select(ClientEvent.digest).where(*of_which).order_by(ClientEvent.last_at.desc(), ClientEvent.digest).limit(most)
    )
    older = delete(ClientEvent).where(*of_which, ClientEvent.digest.not_in(kept))
    cast("CursorResult[Any]", session().execute(older.execution_options(synchronize_session=False)))
