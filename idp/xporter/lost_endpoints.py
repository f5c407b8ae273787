"""Endpoints without a report for a day: their loss is recorded and sent to partners as an event, once."""

from typing import Final

from sqlalchemy import ColumnElement, select, update

from idp.estabs import accounts
from idp.estabs.models import Estab
from idp.foundation import clock
from idp.foundation.database import lock, row_isolated, session
from idp.sharing import notices
from idp.xporter.models import LOSS_DELAY, Endpoint

BATCH_SIZE: Final = 50
"""How many endpoints one transaction handles; it locks the estab of each."""


def announce_due(after: str = "") -> str | None:
    """Send partners the event for the next lost endpoints, of estabs after the internal id `after`.

    Returns the id to continue after, or None at the end. A row that cannot be processed is skipped until the next run.
    """
    batch = select(Endpoint.estab_id, Endpoint.id).where(*_due(), Endpoint.estab_id > after)
    rows = session().execute(batch.order_by(Endpoint.estab_id).limit(BATCH_SIZE)).all()
    for estab_id, endpoint_id in rows:
        with row_isolated("lost endpoint", endpoint_id):
            _mark_lost(estab_id, endpoint_id)
    return rows[-1].estab_id if len(rows) == BATCH_SIZE else None


def _mark_lost(estab_id: str, endpoint_id: str) -> None:
    """Mark the endpoint as lost unless it has reported meanwhile. Partners knew of it if it had sent an extract."""
    lock(Estab, estab_id)
    statement = update(Endpoint).where(*_due(), Endpoint.id == endpoint_id).values(lost_at=clock.now())
    marked = session().scalars(
        statement.returning(Endpoint.extract_at).execution_options(synchronize_session=False)
    ).all()  # fmt: skip
    if marked:
        accounts.record_endpoint_change(estab_id)
    if marked and marked[0] is not None:
        notices.record_endpoint(estab_id, "lost")


def _due() -> tuple[ColumnElement[bool], ...]:
    return Endpoint.ended_at.is_(None), Endpoint.lost_at.is_(None), Endpoint.heard_at <= clock.now() - LOSS_DELAY
