"""Partners' invitations of schools, and the links in their mails."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.create_table(
        "school_invitations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("contact_name", sa.Text(), nullable=False),
        sa.Column("contact_email", sa.Text(), nullable=False),
        sa.Column("mis", sa.Text(), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("idempotency_digest", sa.LargeBinary(), nullable=True),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("forwards", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("forwarded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disclosed_name", sa.Text(), nullable=True),
        sa.Column("disclosed_email", sa.Text(), nullable=True),
        sa.Column("declined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_school_invitations_client_id")),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_school_invitations_school_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_school_invitations")),
        sa.UniqueConstraint(
            "client_id", "idempotency_digest", name=op.f("uq_school_invitations_client_id_idempotency_digest")
        ),
    )
    op.create_index(op.f("ix_school_invitations_expires_at"), "school_invitations", ["expires_at"])
    op.create_index("ix_school_invitations_in_order", "school_invitations", ["client_id", "created_at", "id"])
    op.create_table(
        "school_invitation_links",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("invitation_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_folded", sa.Text(), nullable=False),
        sa.Column("is_forwarded", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["invitation_id"], ["school_invitations.id"], name=op.f("fk_school_invitation_links_invitation_id")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_school_invitation_links")),
        sa.UniqueConstraint("invitation_id", "number", name=op.f("uq_school_invitation_links_invitation_id_number")),
    )
    op.create_index("ix_school_invitation_links_address", "school_invitation_links", ["email_folded", "created_at"])
    op.create_index(op.f("ix_school_invitation_links_expires_at"), "school_invitation_links", ["expires_at"])
