"""Which clients must sign their requests, and the algorithms of signed responses to a client."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # The previous release inserts rows without this column, so it needs a default.
    op.add_column(
        "clients", sa.Column("require_signed_request_object", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    for name in ("authorization_signed_response_alg", "introspection_signed_response_alg"):
        op.add_column("clients", sa.Column(name, sa.Text(), nullable=True))
