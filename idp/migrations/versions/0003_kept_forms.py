"""Items stored for a browser: drafts of forms, and pages that respond to a POST."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "kept_forms",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_kept_forms")),
    )
    op.create_index(op.f("ix_kept_forms_network"), "kept_forms", ["network"])
    op.create_index(op.f("ix_kept_forms_expires_at"), "kept_forms", ["expires_at"])
