"""When an authorisation was changed last, and indexes for clients that ask what has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("authorisations", sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE authorisations SET changed_at = coalesce(withdrawn_at, superseded_at, paused_at, given_at)")
    op.create_index("ix_authorisations_changed", "authorisations", ["client_id", "changed_at"])
    op.create_index("ix_authorisations_client_until", "authorisations", ["client_id", "until"])
    op.create_index("ix_estabs_state_changed_at", "estabs", ["state_changed_at"])
    op.create_index("ix_schools_last_seen_in", "schools", ["last_seen_in"])
