"""The network address of a pending request or device code, by which their number is limited."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for table in ("authorization_requests", "device_codes"):
        op.add_column(table, sa.Column("network", sa.Text(), nullable=True))
        op.create_index(f"ix_{table}_network", table, ["network", "created_at"])
        op.create_index(f"ix_{table}_client", table, ["client_id", "created_at"])
