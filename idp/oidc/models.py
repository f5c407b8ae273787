"""The protocol's tables: requests, codes, devices' codes, refresh token families, revocations and replay guards.

Access tokens are not here: they are JWTs, proved by their signature and the authorisation they name
(protocol.md §2.3). Secrets are stored as SHA-256.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base, transient


@transient
class AuthorizationRequest(Base):
    """A pending request: pushed (RFC 9126) or stored on arrival. Used up by its response."""

    __tablename__ = "authorization_requests"
    __table_args__ = (
        Index("ix_authorization_requests_network", "network", "created_at"),
        Index("ix_authorization_requests_client", "client_id", "created_at"),
    )

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """The digest of the id in `urn:ietf:params:oauth:request_uri:<id>`."""
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    network: Mapped[str | None]
    """The network it is counted under (`bounds.network_of`); None if the client authenticated and pushed it."""
    params: Mapped[dict[str, Any]]
    """The authorization request's parameters, by name."""
    pushed: Mapped[bool]
    """Whether it was pushed: where PAR is required, only a pushed request is accepted."""
    browser: Mapped[bytes | None]
    """Digest of the cookie of the browser it was first shown in; None until then."""
    shown_at: Mapped[datetime | None]
    """When that was: a sign-in or an agreement counts for this request only from then on."""
    dpop_jkt: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


@transient
class Code(Base):
    """An authorization code, and the content of the tokens that are issued for it."""

    __tablename__ = "codes"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    person_id: Mapped[str]
    estab_id: Mapped[str]
    authorisation_id: Mapped[str]
    lineage: Mapped[str]
    redirect_uri: Mapped[str]
    scopes: Mapped[frozenset[str]]
    resource: Mapped[frozenset[str]]
    nonce: Mapped[str | None]
    code_challenge: Mapped[str | None]
    dpop_jkt: Mapped[str | None]
    claims: Mapped[dict[str, Any] | None]
    auth_time: Mapped[datetime]
    acr: Mapped[str]
    amr: Mapped[frozenset[str]]
    sid: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


@transient
class DeviceCode(Base):
    """A device's request (RFC 8628): it polls with one code while a person types the other."""

    __tablename__ = "device_codes"
    __table_args__ = (
        Index("ix_device_codes_network", "network", "created_at"),
        Index("ix_device_codes_client", "client_id", "created_at"),
    )

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """The digest of the device code."""
    user_digest: Mapped[bytes] = mapped_column(unique=True)
    """A keyed digest (HMAC) of the user code, because all combinations of eight letters can be tried."""
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    network: Mapped[str | None]
    """The network it is counted under (`bounds.network_of`); None if the client authenticated."""
    scopes: Mapped[frozenset[str]]
    resource: Mapped[frozenset[str]]
    interval: Mapped[int]
    """Seconds between polls; five more for each poll that came too soon."""
    poll_after: Mapped[datetime]
    browser: Mapped[bytes | None]
    """Digest of the cookie of the browser in which the code was typed first: the request can be decided only there."""
    decided_at: Mapped[datetime | None]
    approved: Mapped[bool | None]
    person_id: Mapped[str | None]
    estab_id: Mapped[str | None]
    authorisation_id: Mapped[str | None]
    lineage: Mapped[str | None]
    auth_time: Mapped[datetime | None]
    acr: Mapped[str | None]
    amr: Mapped[frozenset[str] | None]
    sid: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class RefreshFamily(Base):
    """One refresh token and its successors: a row per family, updated by rotation."""

    __tablename__ = "refresh_families"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    """The digest of the token; if it rotates, of the secret part with which all tokens of the family begin."""
    rotates: Mapped[bool]
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    person_id: Mapped[str] = mapped_column(index=True)
    estab_id: Mapped[str]
    authorisation_id: Mapped[str] = mapped_column(index=True)
    lineage: Mapped[str] = mapped_column(index=True)
    scopes: Mapped[frozenset[str]]
    resource: Mapped[frozenset[str]]
    dpop_jkt: Mapped[str | None]
    claims: Mapped[dict[str, Any] | None]
    auth_time: Mapped[datetime]
    acr: Mapped[str]
    amr: Mapped[frozenset[str]]
    sid: Mapped[str]
    sequence: Mapped[int]
    """How often it was rotated."""
    rotated_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    """Updated at most once a day."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(index=True)


class Revoked(Base):
    """A revoked access token (`jti`) or lineage, kept until the last such token has expired."""

    __tablename__ = "revoked"

    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


@transient
class UsedJti(Base):
    """A `jti` of an assertion or proof, claimed by an insert that fails the second time."""

    __tablename__ = "seen"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """HMAC of the `jti` and the client, or for a DPoP proof its key; the HMAC's key is the kind of JWT."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
