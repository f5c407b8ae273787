"""Accounts of other providers that are linked to people, and requests that wait for a provider's response."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base, transient


class LinkedAccount(Base):
    """An account of another provider with which a person may sign in. An account is linked to one person only."""

    __tablename__ = "linked_accounts"
    __table_args__ = (UniqueConstraint("provider", "issuer", "subject"), UniqueConstraint("person_id", "provider"))

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(index=True)
    provider: Mapped[str]
    """`microsoft` or `google`."""
    issuer: Mapped[str]
    subject: Mapped[str]
    """The provider's `sub`. With provider and issuer it identifies the account; an e-mail address does not."""
    tenant: Mapped[str]
    """The organisation that the account belongs to: Microsoft's `tid`, Google's `hd`; empty where there is none."""
    shown_as: Mapped[str]
    """The name that the provider gave for the account when it was linked, for the person to recognise it; or empty."""
    linked_at: Mapped[datetime] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None]


@transient
class FederatedRequest(Base):
    """An authentication request that we sent to a provider. The key is the digest of its `state`; it works once."""

    __tablename__ = "federated_requests"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    provider: Mapped[str]
    browser: Mapped[bytes]
    """The digest of the id of the browser that began it; no other browser can complete it."""
    sid: Mapped[str | None]
    """The session whose person links an account; None for a sign-in."""
    sealed: Mapped[str]
    """The nonce and the PKCE verifier."""
    return_path: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
