"""What went wrong with a client's requests, kept for whoever develops it: which parameter, and how; never a secret.

What fails again in the same way is counted and not written again (of addresses the last one is kept), and only the
newest `MOST` ways are, so that a loop, or a stranger who plays the client, fills no table and hides nothing.
"""

from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Executable, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from idp.audit import log as audit
from idp.foundation import clock, crypto
from idp.foundation.database import session
from idp.partners import registry
from idp.partners.models import Client, ClientEvent

MOST: Final = 200
"""Events kept of one client."""
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
    digest = crypto.digest(audit.canonical(said).decode("ascii"))
    comparison = None if failure.comparison is None else [*failure.comparison]
    row = {**said, "digest": digest, "comparison": comparison, "first_at": now, "last_at": now, "count": 1}
    if session().execute(_once_more(row)).scalar_one() == 1:
        _forget_oldest(client_id)


def newest(client_id: str) -> list[ClientEvent]:
    """The client's log, what happened last first. Raises `UnknownClient`."""
    found = registry.find(client_id)
    own = select(ClientEvent).where(ClientEvent.client_id == found.id)
    return list(session().scalars(own.order_by(ClientEvent.last_at.desc(), ClientEvent.digest)))


def _once_more(row: dict[str, Any]) -> Executable:
    """One statement that inserts the row, or counts it once more; returns the count."""
    insert = (postgresql.insert if session().get_bind().dialect.name == "postgresql" else sqlite.insert)(ClientEvent)
    return (
        insert.values(row)
        .on_conflict_do_update(
            index_elements=[ClientEvent.digest],
            set_={"count": ClientEvent.count + 1, "last_at": row["last_at"], "comparison": row["comparison"]},
        )
        .returning(ClientEvent.count)
    )


def _forget_oldest(client_id: str) -> None:
    kept = (
        select(ClientEvent.digest)
        .where(ClientEvent.client_id == client_id)
        .order_by(ClientEvent.last_at.desc(), ClientEvent.digest)
        .limit(MOST)
    )
    older = delete(ClientEvent).where(ClientEvent.client_id == client_id, ClientEvent.digest.not_in(kept))
    cast("CursorResult[Any]", session().execute(older.execution_options(synchronize_session=False)))
