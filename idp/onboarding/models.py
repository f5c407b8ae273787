"""Registrations under way, proofs of addresses, our staff's review, and requests to join."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.estabs import people
from idp.estabs.models import Estab
from idp.foundation import clock, crypto
from idp.foundation.database import Base
from idp.schools.models import School


class Registration(Base):
    """Somebody is registering a school; becomes an estab, or a request to join one, when completed."""

    __tablename__ = "registrations"
    __table_args__ = (Index("ix_registrations_browser", "browser", "school_id"),)

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
    expires_at: Mapped[datetime] = mapped_column(index=True)
    verified_email: Mapped[str | None]
    """Which address was proved. It counts only while it is `email`."""
    email_verified_at: Mapped[datetime | None]
    """When that was."""
    proved_in: Mapped[bytes | None]
    """Digest of the cookie of the browser in which the link was pressed."""
    continues_in: Mapped[bytes | None]
    """Digest of the cookie of the one browser that may sign up: that in which both happened, or, where the link was
    pressed in another than the one that began, that in which a person chose to go on. None until they have."""
    code_made_at: Mapped[datetime | None]
    """When the code was made that brings the browser that began on (`handover`)."""
    code_tries: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often that code has been tried."""
    codes_made: Mapped[int] = mapped_column(default=0, server_default="0")
    """Since the link was pressed."""
    used_at: Mapped[datetime | None]
    """When it was completed: claimed once, by one UPDATE."""
    completed_in: Mapped[bytes | None]
    """Digest of the cookie of the browser that signed up, and so was shown the password."""
    outcome: Mapped[str | None]
    """`registered`, `joining`, or `member`: the person had an account for this school already. `stopped` where the
    address was another person's, who said so."""
    administrator_id: Mapped[str | None] = mapped_column(ForeignKey("administrators.id"), index=True)
    """Who it made, where it was `registered`."""
    collected_at: Mapped[datetime | None]
    """When we last made that person's password; None once they chose their own."""

    school: Mapped[School] = relationship(lazy="joined")

    @property
    def has_expired(self) -> bool:
        """Left for too long without being completed."""
        return self.used_at is None and self.expires_at <= clock.now()

    @property
    def was_stopped(self) -> bool:
        """Whether the reader of the mail said that they did not ask for it."""
        return self.outcome == "stopped"

    @property
    def is_verified(self) -> bool:
        """Whether the address it has now was proved."""
        return self.verified_email is not None and self.verified_email == self.email

    def began_in(self, browser: bytes | None) -> bool:
        """Whether the browser with this digest began it: only there may a partner's request go on."""
        return _is_one_of(browser, self.browser)

    def knows(self, browser: bytes | None) -> bool:
        """Whether the browser with this digest began it or pressed the link."""
        return _is_one_of(browser, self.browser, self.proved_in)

    def proved_elsewhere_in(self, browser: bytes | None) -> bool:
        """Whether the link was pressed in the browser with this digest, which is not the one that began."""
        return _is_one_of(browser, self.proved_in) and not self.began_in(browser)

    def continues_here(self, browser: bytes | None) -> bool:
        """Whether it is the browser with this digest that signs up."""
        return _is_one_of(browser, self.continues_in)

    def was_completed_in(self, browser: bytes | None) -> bool:
        """Whether the browser with this digest was shown the password."""
        return _is_one_of(browser, self.completed_in)


def _is_one_of(browser: bytes | None, *digests: bytes | None) -> bool:
    return browser is not None and any(crypto.same(browser, digest) for digest in digests if digest)


class EmailProof(Base):
    """The link that proves an address: for one purpose, one registration and one address, once."""

    __tablename__ = "email_proofs"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"), index=True)
    email: Mapped[str]
    email_folded: Mapped[str] = mapped_column(index=True)
    """For counting what one address is sent."""
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
    """Why it was rejected, as the school was told."""

    estab: Mapped[Estab] = relationship(lazy="joined")

    @property
    def is_overdue(self) -> bool:
        """Should have been decided by now."""
        return self.decided_at is None and self.due_at < clock.now()


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
    """Verified."""
    email_folded: Mapped[str]
    mobile: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """From then on it is no longer the owners' to decide, but our staff's."""
    used_at: Mapped[datetime | None]
    """When it was decided: claimed once."""
    decision: Mapped[str | None]
    """`approved` or `declined`."""
    decided_by: Mapped[str | None]
    """An owner's id, an operator's, or `cli`."""
    settled_at: Mapped[datetime | None]
    """When our staff decided about it for good; None for what the owners declined and our staff have not looked at."""

    estab: Mapped[Estab] = relationship(lazy="joined")

    @property
    def masked_email(self) -> str:
        """The address as owners see it until they accept: `j…@oakhill.sch.uk`."""
        return people.masked_email(self.email)

    @property
    def is_with_operators(self) -> bool:
        """No owner answered in time, or the school was not verified when it was made."""
        return self.used_at is None and self.expires_at <= clock.now()
