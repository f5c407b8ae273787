"""The account of a person who asks to join a school while they are signed in."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("join_requests", sa.Column("person_id", sa.Text(), nullable=True))
