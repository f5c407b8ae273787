"""Which address was verified, in which browser a registration continues, and which requests owners declined."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("registrations", sa.Column("verified_email", sa.Text(), nullable=True))
    op.add_column("registrations", sa.Column("continues_in", sa.LargeBinary(), nullable=True))
    op.add_column("registrations", sa.Column("code_made_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("registrations", sa.Column("code_tries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("registrations", sa.Column("codes_made", sa.Integer(), server_default="0", nullable=False))
    op.add_column("join_requests", sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True))
