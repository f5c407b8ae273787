"""The address of a client's terms of service (`tos_uri`, RFC 7591)."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("clients", sa.Column("tos_uri", sa.Text(), server_default="", nullable=False))
