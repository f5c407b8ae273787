"""Who read which area of a school's data on which day."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.create_table(
        "reads",
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_reads_client_id_clients")),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name=op.f("fk_reads_estab_id_estabs")),
        sa.PrimaryKeyConstraint("estab_id", "client_id", "scope", "day", name=op.f("pk_reads")),
    )
    op.create_index("ix_reads_last_at", "reads", ["last_at"])
