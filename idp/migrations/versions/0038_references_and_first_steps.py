"""The references of failed requests, and what sandbox applications have reached."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.add_column("client_events", sa.Column("request_ids", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "client_milestones",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_client_milestones_client_id_clients")),
        sa.PrimaryKeyConstraint("client_id", "name", name=op.f("pk_client_milestones")),
    )
