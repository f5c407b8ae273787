"""An index to find and delete changes of the school register of which the operators were notified."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_index(op.f("ix_school_changes_told_at"), "school_changes", ["told_at"])
