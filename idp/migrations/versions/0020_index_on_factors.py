"""Indexes by which the worker deletes the factors of people who were removed."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_index(op.f("ix_passkeys_created_at"), "passkeys", ["created_at"])
    op.create_index(op.f("ix_recovery_codes_created_at"), "recovery_codes", ["created_at"])
