"""Clients that register themselves (RFC 7591, RFC 7592, OpenID Connect Registration), within a token's policy.

All validation, including HTTP requests, is done before anything is written. A PUT replaces the registration: members
that it leaves out are removed. What the operator decided when issuing the token (profile, scopes, PKCE, partner)
limits the client, and the client cannot change it later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select

from idp.audit import events, log
from idp.foundation import clock, crypto, database, scopes
from idp.foundation.database import session
from idp.partners import initial_tokens, lookalikes, registry, sector
from idp.partners.initial_tokens import Policy
from idp.partners.metadata import CLIENT_CREDENTIALS, CODE, DEVICE_CODE, REFRESH, InvalidClientMetadata, Metadata, parse
from idp.partners.models import Client, ClientSecret, InitialAccessToken, RegistrationToken

SERVER_ISSUED: Final = (
    "registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
)  # fmt: skip
"""Members that only the server issues: they must not be in a PUT (RFC 7592 §2.2)."""
RETURNED_NAMES: Final = (
    "client_name", "client_uri", "policy_uri", "tos_uri", "contacts", "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg", "redirect_uris", "post_logout_redirect_uris", "initiate_login_uri",
    "backchannel_logout_uri", "jwks", "jwks_uri", "id_token_signed_response_alg", "userinfo_signed_response_alg",
    "request_object_signing_alg", "authorization_signed_response_alg", "introspection_signed_response_alg",
    "sector_identifier_uri", "subject_type",
)  # fmt: skip
"""Columns that the response contains under their own names, unless empty."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration; with the secret and the token only if they were just created."""

    client: Client
    secret: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class ManagedClient:
    """A client that may manage its own registration, and the policy that limits it."""

    client_id: str
    policy: Policy


def register(policy: Policy, metadata: Mapping[str, Any]) -> Registered | None:
    """Register a client; None where the initial token has just been used up, expired or revoked.

    Raises `InvalidRedirectUri` or `InvalidClientMetadata` naming every error. `policy` is that of the initial access
    token (`initial_tokens.find_usable`); nothing may have been written in this transaction.
    """
    columns = _validate(policy, metadata)
    if not initial_tokens.claim(policy.token_id):
        return None
    now, token = clock.now(), crypto.new_secret()
    added = Client(
        id=crypto.new_id("cli"), partner_id=policy.partner_id, purpose="", agreement_uri="", agreement_version="",
        authorisation_days=None, accepted_mis=frozenset(), require_pkce=policy.require_pkce, enabled=True, version=1,
        created_at=now, updated_at=now, **columns,
    )  # fmt: skip
    session().add(added)
    session().flush()
    session().add(
        RegistrationToken(
            digest=crypto.digest(token), client_id=added.id, initial_token_id=policy.token_id, created_at=now
        )
    )
    log.record(
        events.CLIENT_REGISTERED, by=policy.token_id, client=added.id, subject=added.id,
        scopes=added.scopes | added.client_scopes,
    )  # fmt: skip
    return Registered(added, registry.ensure_secret(added), token)


def authenticate(client_id: str, token: str) -> ManagedClient | None:
    """The client, if `token` is its registration access token and it and its partner are enabled; else None."""
    statement = (
        select(RegistrationToken, InitialAccessToken)
        .join(InitialAccessToken, InitialAccessToken.id == RegistrationToken.initial_token_id)
        .where(RegistrationToken.digest == crypto.digest(token), RegistrationToken.client_id == client_id)
    )
    row = session().execute(statement).one_or_none()
    if row is None:
        return None
    client = registry.find(client_id)
    is_enabled = client.enabled and client.partner.disabled_at is None
    return ManagedClient(client_id, initial_tokens.policy(row[1])) if is_enabled else None


def current(managed: ManagedClient) -> Registered:
    """The current registration (RFC 7592 §2.1)."""
    return Registered(registry.find(managed.client_id))


def replace(managed: ManagedClient, metadata: Mapping[str, Any]) -> Registered:
    """Replace the registration by `metadata` (RFC 7592 §2.2). A secret is created only if one is needed and missing.

    Raises the errors of `register`. Nothing may have been written in this transaction.
    """
    _check_identity(managed, metadata)
    columns = _validate(managed.policy, metadata)
    client = registry.find(managed.client_id)
    return Registered(client, registry.apply(client, columns, by=managed.client_id))


def remove(managed: ManagedClient) -> None:
    """Disable the client for good (RFC 7592 §2.3): its tokens are refused from now on.

    Its row stays, because schools' histories refer to it and ids are never reused.
    """
    client = registry.find(managed.client_id)
    client.enabled = False
    for model in (RegistrationToken, ClientSecret):
        session().execute(delete(model).where(model.client_id == client.id))
    registry.bump_version(client)
    log.record(events.CLIENT_DELETED, by=client.id, client=client.id, subject=client.id)


def to_metadata(client: Client) -> dict[str, Any]:
    """The client's metadata in the names of RFC 7591 §2; empty members are left out."""
    metadata = {name: value for name in RETURNED_NAMES if (value := getattr(client, name))}
    return metadata | {
        "grant_types": sorted(client.grant_types),
        "response_types": ["code"] if CODE in client.grant_types else [],
        "scope": scopes.format(client.scopes | client.client_scopes),
        "backchannel_logout_session_required": client.backchannel_logout_session_required,
        "dpop_bound_access_tokens": client.dpop_bound_access_tokens,
        "require_pushed_authorization_requests": client.profile == "fapi2",
        "require_signed_request_object": client.require_signed_request_object,
    }


def _validate(policy: Policy, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The columns for `metadata` under `policy`. Ends the read transaction before making an HTTP request."""
    validated = parse(Metadata, metadata, profile=policy.profile)
    requested_scopes = _scopes(policy, metadata.get("scope"), validated.grant_types)
    if validated.initiate_login_uri and not validated.initiate_login_uri.startswith("https:"):
        raise InvalidClientMetadata([("initiate_login_uri", "must be https")])
    columns = validated.columns()
    if validated.client_name:
        lookalikes.check_name(validated.client_name, policy.partner_id)
    lookalikes.check_sector(columns["sector_identifier"], policy.partner_id)
    database.end_read_transaction()
    sector.check(validated.sector_identifier_uri, validated.redirect_uris)
    columns |= {
        "client_name": validated.client_name or policy.partner_name,
        "jwks": None if validated.jwks is None else {"keys": validated.jwks["keys"]},
    }
    policy_scopes = {"required": policy.required, "optional": policy.optional, "client": policy.client}
    return columns | {f"{kind}_scopes": requested_scopes & allowed for kind, allowed in policy_scopes.items()}


def _scopes(policy: Policy, scope: object, grants: frozenset[str]) -> frozenset[str]:
    """The requested scopes, or all that the policy and the grants allow if none were requested.

    Raises `InvalidClientMetadata` if one is not allowed, or if a grant would have no scope.
    """
    is_for_people = bool(grants & {CODE, DEVICE_CODE})
    usable = (policy.required | policy.optional if is_for_people else frozenset()) | (
        policy.client if CLIENT_CREDENTIALS in grants else frozenset()
    )
    if REFRESH not in grants:
        usable -= {"offline_access"}
    requested = usable if scope in (None, "") else _parse(scope)
    if not requested <= policy.scopes:
        names = ", ".join(sorted(requested - policy.scopes))
        raise InvalidClientMetadata([("scope", f"the initial access token does not allow {names}")])
    if "offline_access" in requested - usable:
        raise InvalidClientMetadata([("scope", "offline_access needs the grant type refresh_token")])
    if not requested <= usable:
        names = ", ".join(sorted(requested - usable))
        raise InvalidClientMetadata([("scope", f"{names} cannot be granted by any of grant_types")])
    if (is_for_people and not requested - policy.client) or (
        CLIENT_CREDENTIALS in grants and not requested & policy.client
    ):
        raise InvalidClientMetadata([("grant_types", "has one for which there is no scope")])
    return requested


def _parse(scope: object) -> frozenset[str]:
    try:
        return scopes.parse(scope if isinstance(scope, str) else "\0")
    except scopes.UnknownScope as error:
        unknown = f": {', '.join(sorted(error.names))}" if error.names else ""
        raise InvalidClientMetadata([("scope", f"must be a string of scopes that exist{unknown}")]) from None


def _check_identity(managed: ManagedClient, metadata: Mapping[str, Any]) -> None:
    """Check that a PUT names its own client and no member that only the server issues (RFC 7592 §2.2)."""
    field_errors = [(name, "must not be sent") for name in SERVER_ISSUED if name in metadata]
    if metadata.get("client_id") != managed.client_id:
        field_errors.append(("client_id", "must be that of this registration"))
    client, secret = registry.client(managed.client_id), metadata.get("client_secret")
    if secret is not None and not (
        isinstance(secret, str) and client is not None and registry.secret_matches(client, secret)
    ):
        field_errors.append(("client_secret", "must be left out, or be the one that was issued"))
    if field_errors:
        raise InvalidClientMetadata(field_errors)
