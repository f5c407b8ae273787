"""Which reminder of an authorisation's end was sent to the school's owners."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.add_column("authorisations", sa.Column("reminded_days", sa.Integer(), nullable=True))
