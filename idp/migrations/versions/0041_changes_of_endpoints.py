"""When the state of a school's endpoint changed last, for clients that ask what has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    op.add_column("estabs", sa.Column("endpoint_changed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_estabs_endpoint_changed_at", "estabs", ["endpoint_changed_at"])
