"""Sandbox applications that were removed, and what was mailed before unused ones are."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    op.add_column("clients", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("clients", sa.Column("removal_mailed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("estabs", sa.Column("removal_mailed_at", sa.DateTime(timezone=True), nullable=True))
