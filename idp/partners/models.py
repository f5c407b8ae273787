"""Partners, their clients, what lets a client register itself, and what went wrong with its requests."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.foundation.database import Base


class Partner(Base):
    """A company that schools share data with."""

    __tablename__ = "partners"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    website: Mapped[str]
    contact_email: Mapped[str]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class Client(Base):
    """One application of a partner: an OAuth client (RFC 7591's words for what they name)."""

    __tablename__ = "clients"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The `client_id`; can never be taken for a person's `sub`, which begins with adm_."""
    partner_id: Mapped[str] = mapped_column(ForeignKey("partners.id"), index=True)
    client_name: Mapped[str]
    client_uri: Mapped[str]
    logo_uri: Mapped[str] = mapped_column(default="")
    """No longer accepted or shown, because a client could use another company's logo. The previous release reads it."""
    purpose: Mapped[str]
    """What the partner uses the data for, in a school's words."""
    policy_uri: Mapped[str]
    """The privacy notice."""
    tos_uri: Mapped[str] = mapped_column(default="", server_default="")
    """The terms of service, where the partner names them."""
    agreement_uri: Mapped[str]
    """The data sharing agreement …"""
    agreement_version: Mapped[str]
    """… and its version."""
    profile: Mapped[str]
    """`oidc` or `fapi2` (protocol.md §2.1)."""
    redirect_uris: Mapped[list[str]]
    post_logout_redirect_uris: Mapped[list[str]]
    initiate_login_uri: Mapped[str | None]
    backchannel_logout_uri: Mapped[str | None]
    backchannel_logout_session_required: Mapped[bool]
    grant_types: Mapped[frozenset[str]]
    token_endpoint_auth_method: Mapped[str]
    pin_token_endpoint_auth_method: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether a secret is accepted only in the way that is named above, and not in the other (Basic or form)."""
    token_endpoint_auth_signing_alg: Mapped[str | None]
    required_scopes: Mapped[frozenset[str]]
    optional_scopes: Mapped[frozenset[str]]
    client_scopes: Mapped[frozenset[str]]
    """Scopes of kind `client` it may have by client credentials."""
    accepted_mis: Mapped[frozenset[str]]
    """Codes of config/mis.toml; empty accepts all."""
    authorisation_days: Mapped[int | None]
    """How long a school's authorisation lasts; None takes the setting."""
    require_pkce: Mapped[bool]
    dpop_bound_access_tokens: Mapped[bool]
    rotate_refresh_tokens: Mapped[bool]
    id_token_signed_response_alg: Mapped[str]
    id_token_claims: Mapped[frozenset[str]] = mapped_column(default=frozenset(), server_default="")
    """Claims of the granted scopes that stand in its ID Tokens too, for software that never asks userinfo."""
    userinfo_signed_response_alg: Mapped[str | None]
    request_object_signing_alg: Mapped[str | None]
    """The only algorithm its request objects may be signed with; None leaves them all."""
    require_signed_request_object: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether its authorization requests have to be signed (RFC 9101 §10.5)."""
    authorization_signed_response_alg: Mapped[str | None]
    """What its authorization responses are signed with where it asks for signed ones (JARM §3); None: the default."""
    introspection_signed_response_alg: Mapped[str | None]
    """What introspection responses to it are signed with where it asks for signed ones (RFC 9701 §6); None likewise."""
    subject_type: Mapped[str]
    sector_identifier: Mapped[str | None]
    """The host that pairwise subjects are made for."""
    sector_identifier_uri: Mapped[str | None]
    jwks: Mapped[dict[str, Any] | None]
    jwks_uri: Mapped[str | None]
    contacts: Mapped[list[str]]
    resource: Mapped[str | None]
    """The address of the protected API that this client is: the `aud` of tokens for it (RFC 8707) …"""
    resource_scopes: Mapped[frozenset[str]] = mapped_column(default=frozenset(), server_default="")
    """… and the scopes that it serves."""
    enabled: Mapped[bool]
    version: Mapped[int]
    """Raised by every change: processes drop their snapshot when they see another."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    partner: Mapped[Partner] = relationship(lazy="joined")

    @property
    def scopes(self) -> frozenset[str]:
        """All that a school may be asked for."""
        return self.required_scopes | self.optional_scopes

    @property
    def partner_name(self) -> str:
        """The company a school shares with."""
        return self.partner.name

    @property
    def partner_website(self) -> str:
        """The company's own site."""
        return self.partner.website

    @property
    def is_public(self) -> bool:
        """Whether it cannot keep a secret (RFC 6749 §2.1)."""
        return self.token_endpoint_auth_method == "none"  # noqa: S105  a method's name


class ClientSecret(Base):
    """A client's secret, as its digest. Two at once while one is being rotated out."""

    __tablename__ = "client_secrets"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), index=True)
    sealed: Mapped[str | None]
    """Only for `client_secret_jwt`, where the secret itself is the HMAC key."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class InitialAccessToken(Base):
    """Lets a partner register clients of its own (RFC 7591 §3), within the policy that an operator gave it."""

    __tablename__ = "initial_access_tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    """What operators call it; the token itself is not stored."""
    digest: Mapped[bytes] = mapped_column(unique=True)
    partner_id: Mapped[str] = mapped_column(ForeignKey("partners.id"), index=True)
    profile: Mapped[str]
    required_scopes: Mapped[frozenset[str]]
    optional_scopes: Mapped[frozenset[str]]
    client_scopes: Mapped[frozenset[str]]
    require_pkce: Mapped[bool]
    most: Mapped[int]
    """How many clients may be registered with it …"""
    used: Mapped[int]
    """… and how many have been. A client that is deleted is not given back."""
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    partner: Mapped[Partner] = relationship(lazy="joined")


class RegistrationToken(Base):
    """Lets one client read, replace and delete its own registration (RFC 7592), within the policy it came by."""

    __tablename__ = "registration_tokens"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), unique=True)
    initial_token_id: Mapped[str] = mapped_column(ForeignKey("initial_access_tokens.id"), index=True)
    created_at: Mapped[datetime]


class ClientEvent(Base):
    """A request of a client that failed, for its developer. What fails again in the same way is counted here."""

    __tablename__ = "client_events"
    __table_args__ = (Index("ix_client_events_newest", "client_id", "last_at"),)

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """Of the client, the endpoint, and what is wrong."""
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    count: Mapped[int]
    endpoint: Mapped[str]
    """Method and path: `POST /oauth/token`."""
    error: Mapped[str]
    """OAuth's code, as the client was answered."""
    parameter: Mapped[str]
    """The one at fault; empty where it is none."""
    fact: Mapped[str]
    """What is wrong with it; never its value."""
    comparison: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    """For an address, the last one of several: how it differs from each that is registered."""
