"""Whether a client must send its secret by one method, and the claims of its ID Tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # The previous release inserts rows without these columns, so they need defaults.
    op.add_column(
        "clients",
        sa.Column("pin_token_endpoint_auth_method", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column("clients", sa.Column("id_token_claims", sa.Text(), server_default="", nullable=False))
