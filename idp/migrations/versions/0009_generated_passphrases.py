"""Which passwords are generated passphrases: those are accepted in any spelling of case and spaces."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # The previous release inserts rows without this column, so it needs a default; passwords so far are
    # compared exactly.
    op.add_column(
        "administrators", sa.Column("password_is_ours", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
