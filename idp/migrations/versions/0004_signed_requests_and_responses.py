"""Which clients have to sign their requests, and what signed answers to a client are signed with."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # With a default, for the rows that the release before this one writes.
    op.add_column(
        "clients", sa.Column("require_signed_request_object", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    for name in ("authorization_signed_response_alg", "introspection_signed_response_alg"):
        op.add_column("clients", sa.Column(name, sa.Text(), nullable=True))
