"""Sandbox applications, and the fictional schools that alone may use them."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.add_column("clients", sa.Column("is_sandbox", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("estabs", sa.Column("fictional_for", sa.Text(), nullable=True))
    op.create_index(op.f("ix_estabs_fictional_for"), "estabs", ["fictional_for"])
