"""An immutable copy of a client's registration, cached and shared by all threads of the process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from idp.foundation import scopes
from idp.partners.models import Client, ClientSecret, TrialKey


@dataclass(frozen=True, slots=True)
class Secret:
    """One of a client's secrets: its SHA-256, and the secret itself, sealed, for `client_secret_jwt` alone."""

    digest: bytes
    sealed: str | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class TrialPublicKey:
    """A public key with which the console signs for the application until `expires_at`."""

    jwk: Mapping[str, Any]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A client's registration as it was at `version`; `models.Client` documents the fields."""

    id: str
    partner_id: str
    partner_name: str
    partner_website: str
    client_name: str
    client_uri: str
    purpose: str
    policy_uri: str
    tos_uri: str
    agreement_uri: str
    agreement_version: str
    profile: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    initiate_login_uri: str | None
    backchannel_logout_uri: str | None
    backchannel_logout_session_required: bool
    grant_types: frozenset[str]
    token_endpoint_auth_method: str
    pin_token_endpoint_auth_method: bool
    token_endpoint_auth_signing_alg: str | None
    required_scopes: frozenset[str]
    optional_scopes: frozenset[str]
    client_scopes: frozenset[str]
    accepted_mis: frozenset[str]
    authorisation_days: int | None
    require_pkce: bool
    dpop_bound_access_tokens: bool
    rotate_refresh_tokens: bool
    id_token_signed_response_alg: str
    id_token_claims: frozenset[str]
    userinfo_signed_response_alg: str | None
    request_object_signing_alg: str | None
    require_signed_request_object: bool
    authorization_signed_response_alg: str | None
    introspection_signed_response_alg: str | None
    subject_type: str
    sector_identifier: str | None
    sector_identifier_uri: str | None
    jwks: Mapping[str, Any] | None
    jwks_uri: str | None
    resource: str | None
    resource_scopes: frozenset[str]
    is_sandbox: bool
    version: int
    secrets: tuple[Secret, ...]
    trial_keys: tuple[TrialPublicKey, ...]
    """Keys of the console, for minutes; sandbox applications alone have any."""

    @property
    def scopes(self) -> frozenset[str]:
        """All that a school may be asked for."""
        return self.required_scopes | self.optional_scopes

    @property
    def is_public(self) -> bool:
        """Whether it cannot keep a secret (RFC 6749 §2.1)."""
        return self.token_endpoint_auth_method == "none"  # noqa: S105  a method's name


_FROM_OTHER_TABLES: Final = {"secrets", "trial_keys"}
"""Fields that are not of the client's own row."""

AnyClient = Client | Snapshot
"""Either form; for rules that need only the registration."""


def freeze(client: Client, secrets: list[ClientSecret], trial_keys: Sequence[TrialKey] = ()) -> Snapshot:
    """Freeze `client`, its `secrets` and `trial_keys`, without scopes that have left the catalogue since."""
    values = {
        field.name: getattr(client, field.name) for field in fields(Snapshot) if field.name not in _FROM_OTHER_TABLES
    }
    frozen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    for name in ("required_scopes", "optional_scopes", "client_scopes", "resource_scopes"):
        frozen[name] = scopes.known(frozen[name])
    frozen_secrets = tuple(Secret(value.digest, value.sealed, value.expires_at) for value in secrets)
    trials = tuple(TrialPublicKey(key.jwk, key.expires_at) for key in trial_keys)
    return Snapshot(**frozen, secrets=frozen_secrets, trial_keys=trials)
