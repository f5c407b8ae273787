"""A person may act for several schools: memberships, and the school that a browser session is for.

The previous release reads `administrators.estab_id` and `administrators.role`, so both stay and are still written. This
release reads memberships only. A later migration removes the two columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "memberships",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["administrators.id"], name="fk_memberships_person_id"),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name="fk_memberships_estab_id"),
        sa.PrimaryKeyConstraint("person_id", "estab_id", name="pk_memberships"),
    )
    op.create_index("ix_memberships_estab_id", "memberships", ["estab_id"])
    op.execute(
        "INSERT INTO memberships (person_id, estab_id, role, added_at, removed_at)"
        " SELECT id, estab_id, role, created_at, removed_at FROM administrators"
    )
    op.add_column("browser_sessions", sa.Column("estab_id", sa.Text(), nullable=True))
    op.execute(
        "UPDATE browser_sessions SET estab_id ="
        " (SELECT estab_id FROM administrators WHERE administrators.id = browser_sessions.person_id)"
        " WHERE kind = 'administrator'"
    )
