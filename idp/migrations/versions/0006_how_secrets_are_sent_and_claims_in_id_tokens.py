"""Whether a client's secret is accepted in one way only, and which claims its ID Tokens have."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # With defaults, for the rows that the release before this one writes.
    op.add_column(
        "clients",
        sa.Column("pin_token_endpoint_auth_method", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column("clients", sa.Column("id_token_claims", sa.Text(), server_default="", nullable=False))
