"""Which passwords are passphrases that we made: those are taken however they are typed back."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # With a default, for the rows that the release before this one writes. Passwords made before are compared exactly.
    op.add_column(
        "administrators", sa.Column("password_is_ours", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
