"""Endpoints: the agents on schools' servers."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"

_CURRENT = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("key_thumbprint", sa.Text(), nullable=False),
        sa.Column("lineage", sa.Text(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_by", sa.Text(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mis", sa.Text(), nullable=False),
        sa.Column("agent_version", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("last_extract", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("extract_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("extract_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lost_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_as", sa.Text(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_endpoints_client_id_clients")),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name=op.f("fk_endpoints_estab_id_estabs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
    )
    op.create_index(
        "uq_endpoints_current", "endpoints", ["estab_id"], unique=True, postgresql_where=_CURRENT, sqlite_where=_CURRENT
    )
    op.create_index("ix_endpoints_estab", "endpoints", ["estab_id", "registered_at"])
    op.create_index("ix_endpoints_heard", "endpoints", ["heard_at"], postgresql_where=_CURRENT, sqlite_where=_CURRENT)
