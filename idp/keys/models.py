"""Signing keys, sealed."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base


class SigningKey(Base):
    """A key of the ring. Published, then signing, then only verifying, then retired: times, not a state."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    """The JWK thumbprint (RFC 7638)."""
    alg: Mapped[str]
    """`ES256` or `RS256`."""
    public_jwk: Mapped[dict[str, Any]]
    sealed: Mapped[str]
    """The private JWK, sealed."""
    created_at: Mapped[datetime]
    signs_from: Mapped[datetime]
    verifies_until: Mapped[datetime | None]
    """Set when a successor takes over: when the last token it signed has expired."""
    retired_at: Mapped[datetime | None]
