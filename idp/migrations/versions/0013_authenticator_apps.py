"""Authenticator apps of administrators, and sign-ins whose second step is missing."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_CONFIRMED = sa.text("confirmed_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "authenticator_apps",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("sid", sa.Text(), nullable=False),
        sa.Column("seed_sealed", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authenticator_apps")),
    )
    op.create_index(op.f("ix_authenticator_apps_person_id"), "authenticator_apps", ["person_id"])
    op.create_index(op.f("ix_authenticator_apps_created_at"), "authenticator_apps", ["created_at"])
    op.create_index(
        "uq_authenticator_apps_confirmed", "authenticator_apps", ["person_id"],
        unique=True, postgresql_where=_CONFIRMED, sqlite_where=_CONFIRMED,
    )  # fmt: skip
    op.create_table(
        "half_sign_ins",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("amr", sa.Text(), nullable=False),
        sa.Column("name_counter", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_half_sign_ins")),
    )
    op.create_index(op.f("ix_half_sign_ins_person_id"), "half_sign_ins", ["person_id"])
    op.create_index(op.f("ix_half_sign_ins_expires_at"), "half_sign_ins", ["expires_at"])
