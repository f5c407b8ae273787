"""Events for partners' clients, and how each client gets them."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

WAITING = sa.text("delivered_at IS NULL AND failed_at IS NULL")


def upgrade() -> None:
    for name in ("events_method", "events_endpoint_url", "events_authorization"):
        op.add_column("clients", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("clients", sa.Column("events_types", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "partner_events",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_partner_events_client_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_partner_events")),
        sa.UniqueConstraint("id", name=op.f("uq_partner_events_id")),
        sqlite_autoincrement=True,
    )
    for name, columns in (
        ("ix_partner_events_waiting", ["client_id", "number"]),
        ("ix_partner_events_waiting_of", ["client_id", "subject", "number"]),
    ):
        op.create_index(name, "partner_events", columns, postgresql_where=WAITING, sqlite_where=WAITING)
    op.create_index("ix_partner_events_client", "partner_events", ["client_id", "number"])
    op.create_index("ix_partner_events_created_at", "partner_events", ["created_at"])
    op.create_table(
        "event_streams",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("is_slow", sa.Boolean(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_event_streams_client_id")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_event_streams")),
    )
