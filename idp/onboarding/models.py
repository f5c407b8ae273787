"""Registrations, links that verify e-mail addresses, our staff's reviews, and requests to join."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.estabs import people
from idp.estabs.models import Estab
from idp.foundation import clock, crypto
from idp.foundation.database import Base
from idp.schools.models import School


class Registration(Base):
    """A registration of a school; on completion it creates an estab, or a request to join one."""

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
    """That partner's client, for the link back from another browser (`initiate_login_uri`)."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    verified_email: Mapped[str | None]
    """The address that was verified. It counts only while it equals `email`."""
    email_verified_at: Mapped[datetime | None]
    """When `verified_email` was verified."""
    verified_in: Mapped[bytes | None] = mapped_column("proved_in")
    """Digest of the cookie of the browser in which the address was verified."""
    continues_in: Mapped[bytes | None]
    """Digest of the cookie of the one browser that may sign up: the one that began and verified the address, or,
    where these are two browsers, the one in which the person chose to continue. None until then."""
    code_made_at: Mapped[datetime | None]
    """When the code was issued that lets the browser that began continue (`handover`)."""
    code_tries: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often that code has been tried."""
    codes_made: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many codes were issued since the address was verified."""
    used_at: Mapped[datetime | None]
    """When it was completed: claimed once, by one UPDATE."""
    completed_in: Mapped[bytes | None]
    """Digest of the cookie of the browser that signed up and was shown the password."""
    outcome: Mapped[str | None]
    """`registered`; `added` where the school was registered and added to the account of the person signed in;
    `joining`; `member` where the person acted for this school already; `stopped` where the reader of the mail had not
    asked for it."""
    administrator_id: Mapped[str | None] = mapped_column(ForeignKey("administrators.id"), index=True)
    """The administrator it created, where it was `registered`; the one who was signed in when it was completed."""
    collected_at: Mapped[datetime | None]
    """When we last generated that person's password; None once they chose their own."""

    school: Mapped[School] = relationship(lazy="joined")

    @property
    def has_expired(self) -> bool:
        """Whether it was not completed in time."""
        return self.used_at is None and self.expires_at <= clock.now()

    @property
    def was_stopped(self) -> bool:
        """Whether the reader of the mail said that they had not asked for it."""
        return self.outcome == "stopped"

    @property
    def is_verified(self) -> bool:
        """Whether its present address was verified."""
        return self.verified_email is not None and self.verified_email == self.email

    def began_in(self, browser: bytes | None) -> bool:
        """Whether the browser with this digest began it: only there may a partner's request continue."""
        return _matches_any(browser, self.browser)

    def is_known_browser(self, browser: bytes | None) -> bool:
        """Whether the browser with this digest began it or verified its address."""
        return _matches_any(browser, self.browser, self.verified_in)

    def was_verified_elsewhere_than_begun(self, browser: bytes | None) -> bool:
        """Whether the browser with this digest verified the address but did not begin it."""
        return _matches_any(browser, self.verified_in) and not self.began_in(browser)

    def continues_here(self, browser: bytes | None) -> bool:
        """Whether the browser with this digest is the one that may sign up."""
        return _matches_any(browser, self.continues_in)

    def was_completed_in(self, browser: bytes | None) -> bool:
        """Whether the browser with this digest was shown the password."""
        return _matches_any(browser, self.completed_in)


def _matches_any(browser: bytes | None, *digests: bytes | None) -> bool:
    return browser is not None and any(crypto.constant_time_compare(browser, digest) for digest in digests if digest)


class EmailVerification(Base):
    """A single-use link that verifies an address, for one purpose, registration and address."""

    __tablename__ = "email_proofs"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"), index=True)
    email: Mapped[str]
    email_folded: Mapped[str] = mapped_column(index=True)
    """For limiting how many links are sent to one address."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    superseded_at: Mapped[datetime | None]


class Review(Base):
    """Our staff's check of one new estab."""

    __tablename__ = "reviews"

    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"), primary_key=True)
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime] = mapped_column(index=True)
    decided_at: Mapped[datetime | None]
    decision: Mapped[str | None]
    """`verified` or `rejected`."""
    decided_by: Mapped[str | None]
    reason: Mapped[str | None]
    """The reason of a rejection, as the school received it."""

    estab: Mapped[Estab] = relationship(lazy="joined")

    @property
    def is_overdue(self) -> bool:
        """Whether it is past its due time, undecided."""
        return self.decided_at is None and self.due_at < clock.now()


class ReviewNote(Base):
    """What an operator learnt on the phone."""

    __tablename__ = "review_notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("reviews.estab_id"), index=True)
    at: Mapped[datetime]
    by: Mapped[str]
    text: Mapped[str]


class JoinRequest(Base):
    """A request, by a person with a verified address, to join an estab that is registered already."""

    __tablename__ = "join_requests"

    id: Mapped[str] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"), index=True)
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"), unique=True)
    person_id: Mapped[str | None]
    """The administrator who asked, signed in: approving adds the school to their account. Otherwise it makes one."""
    name: Mapped[str]
    email: Mapped[str]
    """The address, which was verified before the request was stored."""
    email_folded: Mapped[str]
    mobile: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """The owners decide until then; afterwards our staff do."""
    used_at: Mapped[datetime | None]
    """When it was decided. One UPDATE claims it."""
    decision: Mapped[str | None]
    """`approved` or `declined`."""
    decided_by: Mapped[str | None]
    """An owner's id, an operator's, or `cli`."""
    settled_at: Mapped[datetime | None]
    """When the decision became final; None for what owners declined and our staff have not decided."""

    estab: Mapped[Estab] = relationship(lazy="joined")

    @property
    def masked_email(self) -> str:
        """The address as owners see it until they accept: `j…@oakhill.sch.uk`."""
        return people.mask_email(self.email)

    @property
    def is_with_operators(self) -> bool:
        """Whether no owner answered in time, or the school was not verified when the request was made."""
        return self.used_at is None and self.expires_at <= clock.now()
