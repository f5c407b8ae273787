"""What a school has considered of a client's registration, so that what is added to it later is a review.

Agreements in force count as having considered what their client is registered for today.
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    for name in ("considered_scopes", "considered_required", "considered_agreement"):
        op.add_column("authorisations", sa.Column(name, sa.Text(), nullable=True))
    for name in ("review_mailed_at", "review_declined_at"):
        op.add_column("authorisations", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column("clients", sa.Column("reviewed_version", sa.Integer(), nullable=False, server_default="0"))
    bind = op.get_bind()
    for client in bind.execute(sa.text("SELECT id, required_scopes, optional_scopes FROM clients")).all():
        scopes = sorted({*client.required_scopes.split(), *client.optional_scopes.split()})
        bind.execute(
            sa.text(
                "UPDATE authorisations SET considered_scopes = :scopes, considered_required = :required "
                "WHERE client_id = :client AND withdrawn_at IS NULL AND superseded_at IS NULL"
            ),
            {"scopes": " ".join(scopes), "required": client.required_scopes, "client": client.id},
        )
