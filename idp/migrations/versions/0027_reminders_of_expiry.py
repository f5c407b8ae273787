"""When somebody was reminded that an invitation, an initial access token or a client's former secret expires."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    for table in ("person_invitations", "initial_access_tokens", "client_secrets"):
        op.add_column(table, sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True))
