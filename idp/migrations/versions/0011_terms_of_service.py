"""The terms of service that a client names (RFC 7591's `tos_uri`)."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("clients", sa.Column("tos_uri", sa.Text(), server_default="", nullable=False))
