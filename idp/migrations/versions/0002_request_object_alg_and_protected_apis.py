"""The algorithm that a client's request objects are signed with, and which clients are protected APIs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("clients", sa.Column("request_object_signing_alg", sa.Text(), nullable=True))
    op.add_column("clients", sa.Column("resource", sa.Text(), nullable=True))
    # The previous release inserts rows without this column, so it needs a default.
    op.add_column("clients", sa.Column("resource_scopes", sa.Text(), server_default="", nullable=False))
