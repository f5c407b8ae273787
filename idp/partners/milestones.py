"""What a sandbox application has reached, which the console ticks off: noted by the protocol when it happens.

A live application has no milestones. A sign-in that the console walks through in the
application's place (`trial_secrets`) does not count, because the application itself did nothing.
"""

from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import select

from idp.foundation import clock, inserts
from idp.foundation.database import connection, session
from idp.partners.models import ClientMilestone
from idp.partners.snapshots import AnyClient

Milestone = Literal["sign-in", "token", "data"]
"""A code was sent to it, it was given tokens about a person, and it has read claims."""
FROM_CONSOLE: Final = "idp.of_console"
"""Key in the WSGI environment of a request that the console makes in the application's place."""
PRECISION: Final = timedelta(days=1)
"""How far `last_at` may lag, so that most calls write nothing."""


def note(client: AnyClient, name: Milestone) -> None:
    """Note that a sandbox application has reached `name`; does nothing for others. One statement, seldom a write."""
    if not client.is_sandbox:
        return
    now = clock.now()
    statement = inserts.insert(ClientMilestone).values(client_id=client.id, name=name, first_at=now, last_at=now)
    connection().execute(
        statement.on_conflict_do_update(
            index_elements=["client_id", "name"], set_={"last_at": now},
            where=ClientMilestone.__table__.c.last_at < now - PRECISION,
        )
    )  # fmt: skip


def list_for_client(client_id: str) -> dict[str, datetime]:
    """What the application has reached, and when first."""
    statement = select(ClientMilestone.name, ClientMilestone.first_at).where(ClientMilestone.client_id == client_id)
    return {row.name: row.first_at for row in session().execute(statement)}
