"""Registrations under way, proofs of addresses, our staff's review, and requests to join."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.foundation.database import Base
from idp.schools.models import School


class Registration(Base):
    """Somebody is registering a school; becomes an estab, or a request to join one, when completed."""

    __tablename__ = "registrations"

    id: Mapped[str] = mapped_column(primary_key=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("schools.id"))
    name: Mapped[str]
    email: Mapped[str]
    mobile: Mapped[str]
    declared_at: Mapped[datetime]
    browser: Mapped[bytes]
    """Digest of the cookie of the browser that began it."""
    return_to: Mapped[str | None]
    """The pending authorization request's local path, where a partner's link began this."""
    client_id: Mapped[str | None]
    """That partner's client, for the other browser's way back (`initiate_login_uri`)."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    email_verified_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    """When it was completed: claimed once, by one UPDATE."""
    outcome: Mapped[str | None]
    """`registered` or `joining`."""

    school: Mapped[School] = relationship(lazy="joined")


class EmailProof(Base):
    """The link that proves an address: for one purpose, one registration and one address, once."""

    __tablename__ = "email_proofs"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"), index=True)
    email: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    superseded_at: Mapped[datetime | None]


class Review(Base):
    """Our check of one new estab."""

    __tablename__ = "reviews"

    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"), primary_key=True)
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime] = mapped_column(index=True)
    decided_at: Mapped[datetime | None]
    decision: Mapped[str | None]
    """`verified` or `rejected`."""
    decided_by: Mapped[str | None]
    reason: Mapped[str | None]


class ReviewNote(Base):
    """What an operator learnt on the telephone."""

    __tablename__ = "review_notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("reviews.estab_id"), index=True)
    at: Mapped[datetime]
    by: Mapped[str]
    text: Mapped[str]


class JoinRequest(Base):
    """Somebody with a verified address asks to join an estab that is registered already."""

    __tablename__ = "join_requests"

    id: Mapped[str] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"), index=True)
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"), unique=True)
    name: Mapped[str]
    email: Mapped[str]
    mobile: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    """When it was decided: claimed once."""
    decision: Mapped[str | None]
    """`approved` or `declined`."""
    decided_by: Mapped[str | None]
