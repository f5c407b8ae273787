"""Schools that close: what they were told, and whom they let continue with what they share."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.add_column("estabs", sa.Column("closing_told", sa.Text(), nullable=True))
    with op.batch_alter_table("authorisations") as table:
        table.add_column(sa.Column("moved_to", sa.Text(), nullable=True))
        table.create_foreign_key("fk_authorisations_moved_to", "estabs", ["moved_to"], ["id"])
    op.create_table(
        "sharing_releases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name="fk_sharing_releases_estab_id"),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name="fk_sharing_releases_school_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sharing_releases"),
        sa.UniqueConstraint("estab_id", "school_id", name="uq_sharing_releases_estab_id_school_id"),
    )
    op.create_index("ix_sharing_releases_school_id", "sharing_releases", ["school_id"])
