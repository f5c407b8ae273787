"""Claims about a person and their school, for ID Token, access token, userinfo and introspection.

Which claim may stand where is protocol.md §2.4. A claim without a value is left out.
"""

import base64
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple

from idp.foundation import crypto, runtime
from idp.foundation.scopes import CLAIMS, SCOPE_OF
from idp.keys import ring
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.errors import InvalidTarget
from idp.partners import resources
from idp.sharing.agreement_state import AgreementState

Place = Literal["id_token", "access_token", "userinfo", "introspection"]

PROTOCOL_CLAIMS: Final = ("iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "sid")
"""Claims of tokens that depend on no scope, as discovery lists them."""

ESTABLISHMENT: Final = {"id": "001", "name": "Establishment"}
"""DfE Sign-in's category of every organisation that is a school."""


class Person(NamedTuple):
    """An administrator, with the fields that claims are made from."""

    id: str
    name: str
    username: str
    email: str
    mobile: str
    mobile_confirmed_at: datetime | None
    role: str
    updated_at: datetime


class School(NamedTuple):
    """A school's public entry, as much of it as the `organisation` claim has."""

    name: str
    register: str
    register_id: str
    ukprn: str | None
    establishment_number: str
    la_code: str
    la_name: str
    type_name: str
    phase_name: str
    status_code: str
    status_name: str
    closed_on: date | None
    street: str
    locality: str
    address3: str
    town: str
    county: str
    postcode: str
    telephone_e164: str
    low_age: int | None
    high_age: int | None


def claims_for(
    state: AgreementState,
    scopes: Iterable[str],
    place: Place,
    *,
    person: Person | None = None,
    school: School | None = None,
    named: Iterable[str] = (),
) -> dict[str, Any]:
    """The claims in `place` for a token of `scopes`, as the records are now; `named` are claims requested by name.

    Claims about a person or a school are left out where `person` or `school` is None.
    """
    granted, estab_claims = frozenset(scopes), {"estab_id": state.estab_public_id, "estab_status": state.estab_state}
    if place in {"access_token", "introspection"}:
        return estab_claims | {"authorisation": state.id}
    requested = set(named)
    if place == "userinfo":
        requested |= {name for scope, names in CLAIMS.items() if scope in granted for name in names}
    available: dict[str, Any] = estab_claims | (_person_claims(person) if person else {})
    values = {name: value for name, value in available.items() if name in requested}
    if school is not None and "organisation" in requested:
        values["organisation"] = _organisation_claim(state.estab_id, school)
    return values


def requestable_claims(members: Mapping[str, Any]) -> list[str]:
    """The members of a `claims` parameter that can be requested by name; others are ignored."""
    return sorted(name for name in members if name in SCOPE_OF)


def scopes_of(named: Mapping[str, Iterable[str]] | None) -> frozenset[str]:
    """The scopes a school must agree to before these claims, by place, can be released."""
    return frozenset(SCOPE_OF[name] for names in (named or {}).values() for name in names)


def covered_claims(named: Iterable[str], agreed: frozenset[str]) -> list[str]:
    """The named claims whose scope the authorisation covers."""
    return [name for name in named if SCOPE_OF[name] in agreed]


def requested_claims(claims: Mapping[str, Iterable[str]] | None, place: str, state: AgreementState) -> list[str]:
    """The claims requested by name in `place`, as far as the school has agreed to them."""
    return covered_claims(claims.get(place, ()), state.allowed(frozenset(CLAIMS))) if claims else []


def subject(client: OAuthClient, person_id: str) -> str:
    """The `sub` of a person for this client: their id, or a pairwise pseudonym (OpenID Connect Core §8.1)."""
    return _pseudonym("prs", client, person_id)


def client_sid(client: OAuthClient, sid: str) -> str:
    """The `sid` of a session for this client; pairwise clients get different ones, which cannot be compared."""
    return _pseudonym("pss", client, sid)


def _pseudonym(kind: str, client: OAuthClient, name: str) -> str:
    """`name`, or its pseudonym in the sector of a pairwise client."""
    sector = client.registered.sector_identifier
    if client.registered.subject_type != "pairwise" or sector is None:
        return name
    digest = crypto.hmac_sha256(runtime.settings().secrets.tokens, "pairwise", kind, sector, name)
    return f"{kind}_{base64.b32encode(digest).decode('ascii').rstrip('=').lower()}"


def check_resources(requested: Iterable[str], client: OAuthClient) -> frozenset[str]:
    """The resources of a request, all of which must be `available_resources` (RFC 8707 §2)."""
    requested_resources = frozenset(requested)
    if requested_resources != available_resources(requested_resources, client):
        raise InvalidTarget
    return requested_resources


def available_resources(resource: frozenset[str], client: OAuthClient) -> frozenset[str]:
    """Those of these resources that are ours, or an API in use that serves a scope of the client's."""
    ours = resource & {runtime.settings().server.issuer}
    if resource == ours:
        return ours
    return ours | (resource & resources.serving(client.registered.scopes | client.registered.client_scopes))


def audience(resource: frozenset[str], granted: frozenset[str]) -> str | list[str]:
    """The audience of an access token for `granted`: us and the APIs of its scopes, or the requested resources."""
    audiences = sorted(resource or {runtime.settings().server.issuer} | resources.serving(granted))
    return audiences[0] if len(audiences) == 1 else audiences


def verify_id_token_hint(hint: str) -> dict[str, Any]:
    """The claims of an ID Token of ours, whatever its age; raises `ring.TokenNotVerified` for anything else."""
    payload = ring.verify_hint(hint, typ="JWT")
    if payload.get("iss") != runtime.settings().server.issuer or not isinstance(payload.get("aud"), str):
        raise ring.TokenNotVerified("another issuer, or an audience that we do not give")
    if not isinstance(payload.get("sub"), str) or "auth_time" not in payload or "client_id" in payload:
        raise ring.TokenNotVerified("another kind of token")
    return payload


def _person_claims(person: Person) -> dict[str, Any]:
    *given, family = person.name.split() or [person.name]
    values = {
        "name": person.name, "given_name": " ".join(given) or None, "family_name": family,
        "preferred_username": person.username, "locale": "en-GB", "zoneinfo": "Europe/London",
        "updated_at": int(person.updated_at.timestamp()),
        "email": person.email, "email_verified": True,  # it is verified before anyone becomes an administrator
        "phone_number": person.mobile, "phone_number_verified": person.mobile_confirmed_at is not None,
        "role": person.role,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _organisation_claim(estab: str, school: School) -> dict[str, Any]:
    """The school, with the member names of DfE Sign-in; null where the register has no value."""
    lines = (school.street, school.locality, school.address3, school.town, school.county, school.postcode)
    return {
        "id": estab,
        "name": school.name,
        "urn": school.register_id if school.register == "gias" else None,
        "ukprn": school.ukprn,
        "establishmentNumber": school.establishment_number or None,
        "localAuthority": {"code": school.la_code, "name": school.la_name},
        "category": ESTABLISHMENT,
        "type": school.type_name,
        "phase": school.phase_name,
        "status": {"id": int(school.status_code) if school.status_code.isdigit() else None, "name": school.status_name},
        "closedOn": school.closed_on.isoformat() if school.closed_on else None,
        "address": ", ".join(line for line in lines if line),
        "telephone": school.telephone_e164 or None,
        "statutoryLowAge": school.low_age,
        "statutoryHighAge": school.high_age,
    }
