"""Invitations of people to act for a school."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "person_invitations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_folded", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("invited_by", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by", sa.Text(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name=op.f("fk_person_invitations_estab_id")),
        sa.ForeignKeyConstraint(["invited_by"], ["administrators.id"], name=op.f("fk_person_invitations_invited_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_invitations")),
        sa.UniqueConstraint("digest", name=op.f("uq_person_invitations_digest")),
    )
    op.create_index(op.f("ix_person_invitations_estab_id"), "person_invitations", ["estab_id"])
    op.create_index(op.f("ix_person_invitations_expires_at"), "person_invitations", ["expires_at"])
