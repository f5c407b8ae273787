"""Accounts of Microsoft 365 and Google Workspace that are linked to people, and requests to those providers."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "linked_accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("shown_as", sa.Text(), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_linked_accounts")),
        sa.UniqueConstraint("provider", "issuer", "subject", name=op.f("uq_linked_accounts_provider_issuer_subject")),
        sa.UniqueConstraint("person_id", "provider", name=op.f("uq_linked_accounts_person_id_provider")),
    )
    op.create_index(op.f("ix_linked_accounts_person_id"), "linked_accounts", ["person_id"])
    op.create_index(op.f("ix_linked_accounts_linked_at"), "linked_accounts", ["linked_at"])
    op.create_table(
        "federated_requests",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("browser", sa.LargeBinary(), nullable=False),
        sa.Column("sid", sa.Text(), nullable=True),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("return_path", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_federated_requests")),
    )
    op.create_index(op.f("ix_federated_requests_expires_at"), "federated_requests", ["expires_at"])
