"""Keys with which the console signs in at a sandbox application."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.create_table(
        "trial_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("jwk", sa.JSON(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_trial_keys_client_id_clients")),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_trial_keys")),
    )
    op.create_index("ix_trial_keys_client_id", "trial_keys", ["client_id"])
    op.create_index("ix_trial_keys_expires_at", "trial_keys", ["expires_at"])
