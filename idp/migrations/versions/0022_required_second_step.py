"""Since when a school requires a second step of everyone who acts for it."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("estabs", sa.Column("second_step_required_at", sa.DateTime(timezone=True), nullable=True))
