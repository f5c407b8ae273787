"""Endpoints that are older than the column: their schools count as changed once.

A client that asked what had changed could have missed changes of an endpoint's state before they were recorded. The
moments at which they happened would not help: it may have asked since.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    changed_at = sa.column("endpoint_changed_at", sa.DateTime(timezone=True))
    estabs, endpoints = sa.table("estabs", sa.column("id"), changed_at), sa.table("endpoints", sa.column("estab_id"))
    op.execute(
        sa.update(estabs)
        .where(changed_at.is_(None), estabs.c.id.in_(sa.select(endpoints.c.estab_id)))
        .values(endpoint_changed_at=datetime.now(UTC))
    )
