"""Partners, their clients, what lets a client register itself, and what went wrong with its requests."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.foundation.database import Base, transient


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
    """One application of a partner: an OAuth client. Columns have the names of RFC 7591 where it has one."""

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
    """The URL of the data sharing agreement."""
    agreement_version: Mapped[str]
    """The version of the data sharing agreement."""
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
    """Whether `client_secret_basic` and `client_secret_post` do not replace each other: only the method above works."""
    token_endpoint_auth_signing_alg: Mapped[str | None]
    required_scopes: Mapped[frozenset[str]]
    optional_scopes: Mapped[frozenset[str]]
    client_scopes: Mapped[frozenset[str]]
    """Scopes of kind `client`, which it may get by client credentials."""
    accepted_mis: Mapped[frozenset[str]]
    """Codes of config/mis.toml; empty accepts all."""
    authorisation_days: Mapped[int | None]
    """How long a school's authorisation lasts, in days; None means the setting."""
    require_pkce: Mapped[bool]
    dpop_bound_access_tokens: Mapped[bool]
    rotate_refresh_tokens: Mapped[bool]
    id_token_signed_response_alg: Mapped[str]
    id_token_claims: Mapped[frozenset[str]] = mapped_column(default=frozenset(), server_default="")
    """Claims of the granted scopes that its ID Tokens contain too, for software that does not call userinfo."""
    userinfo_signed_response_alg: Mapped[str | None]
    request_object_signing_alg: Mapped[str | None]
    """The only algorithm its request objects may be signed with; None means any that its profile allows."""
    require_signed_request_object: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether its authorization requests have to be signed (RFC 9101 §10.5)."""
    authorization_signed_response_alg: Mapped[str | None]
    """The algorithm for signed authorization responses (JARM §3); None means the default."""
    introspection_signed_response_alg: Mapped[str | None]
    """The algorithm for signed introspection responses (RFC 9701 §6); None means the default."""
    subject_type: Mapped[str]
    sector_identifier: Mapped[str | None]
    """The host for which pairwise subjects are calculated (OpenID Connect Core §8.1)."""
    sector_identifier_uri: Mapped[str | None]
    jwks: Mapped[dict[str, Any] | None]
    jwks_uri: Mapped[str | None]
    contacts: Mapped[list[str]]
    resource: Mapped[str | None]
    """If this client is a protected API: its URL, which is the `aud` of tokens for it (RFC 8707)."""
    resource_scopes: Mapped[frozenset[str]] = mapped_column(default=frozenset(), server_default="")
    """The scopes that this API serves."""
    events_method: Mapped[str | None]
    """How the client gets events (`event_types.METHODS`); None if it gets none."""
    events_endpoint_url: Mapped[str | None]
    """The URL that events are pushed to."""
    events_authorization: Mapped[str | None]
    """The `Authorization` header to push them with, sealed (`event_streams`)."""
    events_types: Mapped[frozenset[str]] = mapped_column(default=frozenset(), server_default="")
    """The names of the events that it gets; empty for all."""
    is_sandbox: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it is for trying things out: only its partner's fictional schools can authorise it. Never changed."""
    removed_at: Mapped[datetime | None]
    """When a sandbox application was removed. The row stays: no `client_id` is reused."""
    removal_mailed_at: Mapped[datetime | None]
    """When its partner was told that it will be removed because no one uses it."""
    enabled: Mapped[bool]
    version: Mapped[int]
    """Incremented by every change: a process that reads another version drops its snapshot."""
    reviewed_version: Mapped[int] = mapped_column(default=0, server_default="0")
    """The version for which all schools have been told what they have to review (`sharing.reviews`)."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    partner: Mapped[Partner] = relationship(lazy="joined")

    @property
    def scopes(self) -> frozenset[str]:
        """All scopes that a school may be asked for."""
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
    """A client's secret, as its digest. A client has two while the old one is still valid after a rotation."""

    __tablename__ = "client_secrets"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), index=True)
    sealed: Mapped[str | None]
    """The encrypted secret, only for `client_secret_jwt`: it is the HMAC key, so a digest is not enough."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    """When the partner was reminded of `expires_at`."""


@transient
class TrialKey(Base):
    """The public half of a key with which the console signs in at a sandbox application (`trial_keys`)."""

    __tablename__ = "trial_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    """The thumbprint of the key."""
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), index=True)
    jwk: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class InitialAccessToken(Base):
    """A token with which a partner registers clients of its own (RFC 7591 §3), within an operator's limits."""

    __tablename__ = "initial_access_tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The id by which operators name it. Of the token itself only the digest is stored."""
    digest: Mapped[bytes] = mapped_column(unique=True)
    partner_id: Mapped[str] = mapped_column(ForeignKey("partners.id"), index=True)
    profile: Mapped[str]
    required_scopes: Mapped[frozenset[str]]
    optional_scopes: Mapped[frozenset[str]]
    client_scopes: Mapped[frozenset[str]]
    require_pkce: Mapped[bool]
    most: Mapped[int]
    """How many clients may be registered with it."""
    used: Mapped[int]
    """How many clients have been registered with it, including those deleted since."""
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    reminded_at: Mapped[datetime | None]
    """When the partner was reminded of `expires_at`."""
    revoked_at: Mapped[datetime | None]

    partner: Mapped[Partner] = relationship(lazy="joined")


class RegistrationToken(Base):
    """A token with which a client manages its own registration (RFC 7592), within the limits of its initial token."""

    __tablename__ = "registration_tokens"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), unique=True)
    initial_token_id: Mapped[str] = mapped_column(ForeignKey("initial_access_tokens.id"), index=True)
    created_at: Mapped[datetime]


class ClientEvent(Base):
    """A failed request of a client, for its developer. Failures of the same kind are counted in one row."""

    __tablename__ = "client_events"
    __table_args__ = (Index("ix_client_events_newest", "client_id", "last_at"),)

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """Digest of the client, the endpoint, and what is wrong."""
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    count: Mapped[int]
    endpoint: Mapped[str]
    """Method and path: `POST /oauth/token`."""
    error: Mapped[str]
    """The OAuth error code in the response."""
    parameter: Mapped[str]
    """The parameter that is wrong; empty if the error is not about one."""
    fact: Mapped[str]
    """What is wrong with it; never its value."""
    comparison: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    """For a wrong URI (the latest, if there were several): how it differs from each registered one."""
    request_ids: Mapped[str] = mapped_column(default="", server_default="")
    """The `X-Request-ID` of the newest such requests, which error pages call the reference; each ends with a space."""


class ClientMilestone(Base):
    """What a sandbox application has reached (`milestones`), for the console."""

    __tablename__ = "client_milestones"

    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    """Updated at most once a day."""


class RegistrationRequest(Base):
    """A partner's request to register an application for schools, or to let one ask for more or for another purpose."""

    __tablename__ = "registration_requests"

    id: Mapped[str] = mapped_column(primary_key=True)
    partner_id: Mapped[str] = mapped_column(ForeignKey("partners.id"), index=True)
    client_id: Mapped[str | None] = mapped_column(ForeignKey("clients.id"), index=True)
    """The live application: the one to be changed, or, once it is approved, the one that was registered."""
    manifest: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The whole manifest of a new application; of a change only the names that differ."""
    reasons: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Why each scope is needed, by its name. For our staff."""
    state: Mapped[str]
    """`waiting`, `approved`, `declined` or `withdrawn`."""
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None] = mapped_column(index=True)
    reason: Mapped[str | None]
    """Why it was declined, as the partner reads it."""
    staff_mailed_at: Mapped[datetime | None]
    """When our staff were told of it."""

    partner: Mapped[Partner] = relationship(lazy="joined")
