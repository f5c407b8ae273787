"""Clients that register themselves (RFC 7591, RFC 7592, OpenID Connect Registration), within a token's policy.

What is wrong is found before anything is written, and the network is asked before the database is held. A PUT
replaces: what it leaves out is gone. Of what an operator decides (profile, scopes, PKCE, whose it is) a client
can neither ask for more nor change it later.
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
from idp.partners.metadata import CODE, REFRESH, InvalidClientMetadata, Metadata, check
from idp.partners.models import Client, ClientSecret, InitialAccessToken, RegistrationToken

DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
OWN: Final = "client_credentials"
ISSUED: Final = (
    "registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
)  # fmt: skip
"""What only we say: it must not stand in a PUT (RFC 7592 §2.2)."""
TOLD: Final = (
    "client_name", "client_uri", "policy_uri", "tos_uri", "contacts", "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg", "redirect_uris", "post_logout_redirect_uris", "initiate_login_uri",
    "backchannel_logout_uri", "jwks", "jwks_uri", "id_token_signed_response_alg", "userinfo_signed_response_alg",
    "request_object_signing_alg", "authorization_signed_response_alg", "introspection_signed_response_alg",
    "sector_identifier_uri", "subject_type",
)  # fmt: skip
"""Columns told back under their own names where they say something."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration as it stands; the secret and the token only where they have just been made."""

    client: Client
    secret: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A client that may manage itself, and the policy it has to keep to."""

    client_id: str
    policy: Policy


def register(policy: Policy, asked: Mapping[str, Any]) -> Registered | None:
    """Register a client; None where the initial token has just been used up, expired or revoked.

    Raises `InvalidRedirectUri` or `InvalidClientMetadata` naming every fault. `policy` is what the token presented
    says (`initial_tokens.presented`); nothing may have been written in this transaction.
    """
    columns = _checked(policy, asked)
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
    return Registered(added, registry.settle_secret(added), token)


def presented(client_id: str, token: str) -> Held | None:
    """Who may manage `client_id` by `token`: that client, while it and its partner are enabled; else None."""
    own = (
        select(RegistrationToken, InitialAccessToken)
        .join(InitialAccessToken, InitialAccessToken.id == RegistrationToken.initial_token_id)
        .where(RegistrationToken.digest == crypto.digest(token), RegistrationToken.client_id == client_id)
    )
    found = session().execute(own).one_or_none()
    if found is None:
        return None
    client = registry.find(client_id)
    works = client.enabled and client.partner.disabled_at is None
    return Held(client_id, initial_tokens.policy(found[1])) if works else None


def read(held: Held) -> Registered:
    """The registration as it stands (RFC 7592 §2.1)."""
    return Registered(registry.find(held.client_id))


def replace(held: Held, asked: Mapping[str, Any]) -> Registered:
    """Replace the registration by `asked` (RFC 7592 §2.2); a secret is made only where one is needed and there is none.

    Raises as `register`. Nothing may have been written in this transaction.
    """
    _check_identity(held, asked)
    columns = _checked(held.policy, asked)
    client = registry.find(held.client_id)
    return Registered(client, registry.apply(client, columns, by=held.client_id))


def remove(held: Held) -> None:
    """Take the client out of service for good (RFC 7592 §2.3): all that it holds is refused from now on.

    Its row stays, because schools' histories name it and ids are never reused.
    """
    client = registry.find(held.client_id)
    client.enabled = False
    for model in (RegistrationToken, ClientSecret):
        session().execute(delete(model).where(model.client_id == client.id))
    registry.changed(client)
    log.record(events.CLIENT_DELETED, by=client.id, client=client.id, subject=client.id)


def described(client: Client) -> dict[str, Any]:
    """All that is registered about the client, in the words of RFC 7591 §2; what says nothing is left out."""
    said = {name: value for name in TOLD if (value := getattr(client, name))}
    return said | {
        "grant_types": sorted(client.grant_types),
        "response_types": ["code"] if CODE in client.grant_types else [],
        "scope": scopes.format(client.scopes | client.client_scopes),
        "backchannel_logout_session_required": client.backchannel_logout_session_required,
        "dpop_bound_access_tokens": client.dpop_bound_access_tokens,
        "require_pushed_authorization_requests": client.profile == "fapi2",
        "require_signed_request_object": client.require_signed_request_object,
    }


def _checked(policy: Policy, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that `asked` says under `policy`. Lets go of the database while the network is asked."""
    wanted = check(Metadata, asked, profile=policy.profile)
    chosen = _scopes(policy, asked.get("scope"), wanted.grant_types)
    if wanted.initiate_login_uri and not wanted.initiate_login_uri.startswith("https:"):
        raise InvalidClientMetadata([("initiate_login_uri", "must be https")])
    columns = wanted.columns()
    if wanted.client_name:
        lookalikes.check_name(wanted.client_name, policy.partner_id)
    lookalikes.check_sector(columns["sector_identifier"], policy.partner_id)
    database.end_read_transaction()
    sector.check(wanted.sector_identifier_uri, wanted.redirect_uris)
    columns |= {
        "client_name": wanted.client_name or policy.partner_name,
        "jwks": None if wanted.jwks is None else {"keys": wanted.jwks["keys"]},
    }
    within = {"required": policy.required, "optional": policy.optional, "client": policy.client}
    return columns | {f"{kind}_scopes": chosen & allowed for kind, allowed in within.items()}


def _scopes(policy: Policy, asked: object, grants: frozenset[str]) -> frozenset[str]:
    """What the client asks for, or all that its grants can use of the policy; raises where that is more or nothing."""
    of_people = bool(grants & {CODE, DEVICE})
    usable = (policy.required | policy.optional if of_people else frozenset()) | (
        policy.client if OWN in grants else frozenset()
    )
    if REFRESH not in grants:
        usable -= {"offline_access"}
    chosen = usable if asked in (None, "") else _parsed(asked)
    if not chosen <= policy.scopes:
        others = ", ".join(sorted(chosen - policy.scopes))
        raise InvalidClientMetadata([("scope", f"the initial access token does not allow {others}")])
    if "offline_access" in chosen - usable:
        raise InvalidClientMetadata([("scope", "offline_access needs the grant type refresh_token")])
    if not chosen <= usable:
        others = ", ".join(sorted(chosen - usable))
        raise InvalidClientMetadata([("scope", f"none of grant_types can give {others}")])
    if (of_people and not chosen - policy.client) or (OWN in grants and not chosen & policy.client):
        raise InvalidClientMetadata([("grant_types", "has one for which there is no scope")])
    return chosen


def _parsed(asked: object) -> frozenset[str]:
    try:
        return scopes.parse(asked if isinstance(asked, str) else "\0")
    except scopes.UnknownScope as fault:
        named = f": {', '.join(sorted(fault.names))}" if fault.names else ""
        raise InvalidClientMetadata([("scope", f"must be a string of scopes that exist{named}")]) from None


def _check_identity(held: Held, asked: Mapping[str, Any]) -> None:
    """A PUT names the client it replaces, and nothing that is only ours to say (RFC 7592 §2.2)."""
    faults = [(name, "must not be sent") for name in ISSUED if name in asked]
    if asked.get("client_id") != held.client_id:
        faults.append(("client_id", "must be that of this registration"))
    known, secret = registry.client(held.client_id), asked.get("client_secret")
    if secret is not None and not (
        isinstance(secret, str) and known is not None and registry.secret_matches(known, secret)
    ):
        faults.append(("client_secret", "must be left out, or be the one that was issued"))
    if faults:
        raise InvalidClientMetadata(faults)
