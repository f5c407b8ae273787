"""When our staff were told of a partner's request."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    op.add_column("registration_requests", sa.Column("staff_mailed_at", sa.DateTime(timezone=True), nullable=True))
