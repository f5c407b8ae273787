"""When an authorisation was changed last, for clients that ask what has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("authorisations", sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True))
