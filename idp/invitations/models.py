"""A partner's invitations of schools, and the links by which they are answered."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.foundation import clock
from idp.foundation.database import Base
from idp.schools.models import School


class SchoolInvitation(Base):
    """A partner's application asks a school, through us, to connect to it.

    Its state is computed from these columns and the school's agreements (`states.state`).
    """

    __tablename__ = "school_invitations"
    __table_args__ = (
        # Of two requests with one key, one makes the invitation
        UniqueConstraint("client_id", "idempotency_digest"),
        Index("ix_school_invitations_in_order", "client_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    school_id: Mapped[int] = mapped_column(ForeignKey("schools.id"))
    contact_name: Mapped[str]
    """The name of the person whom the partner named."""
    contact_email: Mapped[str]
    """Their e-mail address. The addresses it was passed on to are in `links`, and not shown to the partner."""
    mis: Mapped[str | None]
    """The system that the partner believes the school to use: a code of config/mis.toml."""
    scopes: Mapped[frozenset[str]]
    """The scopes that the partner says it will request."""
    reference: Mapped[str]
    """The partner's own reference; not shown to anyone else."""
    idempotency_digest: Mapped[bytes | None]
    """The digest of the request's idempotency key."""
    content_digest: Mapped[bytes]
    """The digest of the request's content, to detect a different request with the same key."""
    sent: Mapped[int]
    """How many mails the partner has had us send."""
    forwards: Mapped[int]
    """How often it was passed on to someone else."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """When the newest link stops working."""
    opened_at: Mapped[datetime | None]
    """When the present recipient went on to the partner."""
    forwarded_at: Mapped[datetime | None]
    disclosed_name: Mapped[str | None]
    """The name of the person it was passed on to, if the partner may know it."""
    disclosed_email: Mapped[str | None]
    """Their e-mail address, if the partner may know it."""
    declined_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]

    school: Mapped[School] = relationship(lazy="joined")


class InvitationLink(Base):
    """A link to the page of an invitation, for one recipient; a newer one of the same invitation supersedes it."""

    __tablename__ = "school_invitation_links"
    __table_args__ = (
        UniqueConstraint("invitation_id", "number"),
        Index("ix_school_invitation_links_address", "email_folded", "created_at"),
    )

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    invitation_id: Mapped[str] = mapped_column(ForeignKey("school_invitations.id"))
    number: Mapped[int]
    """Counts the links of an invitation: the highest is the newest."""
    name: Mapped[str]
    email: Mapped[str]
    email_folded: Mapped[str]
    is_forwarded: Mapped[bool]
    """Whether it was sent to someone whom an earlier recipient named."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    answer: Mapped[str | None]
    """What it was used for: `begin`, `forward` or `decline`."""
    superseded_at: Mapped[datetime | None]

    @property
    def is_expired(self) -> bool:
        """Whether it has expired."""
        return self.expires_at <= clock.now()
