"""Access tokens: issued without being stored, read back, and revoked.

A token is a JWT (RFC 9068), proved by its signature and by the authorisation it names, so revocation, code
replay and withdrawal act at once wherever we are asked (protocol.md §2.3). It belongs to a *lineage*: all
tokens that came from one code.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple, cast

from sqlalchemy import Table, Text, bindparam, exists, or_, select, update

from idp.audit import events, log
from idp.estabs.models import ACTIVE_STATES, Membership
from idp.foundation import clock, crypto, inserts, runtime, scopes
from idp.foundation.database import Instant, session
from idp.foundation.fastpath.statements import Statement, WriteStatement
from idp.keys import ring
from idp.oidc import claims, errors, records
from idp.oidc.basis import Basis
from idp.oidc.clients import oauth_client
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.models import RefreshFamily, Revoked
from idp.sharing import agreement_state
from idp.sharing.agreement_state import AgreementState

ALG: Final = "ES256"
"""The algorithm of access tokens."""
TYP: Final = "at+jwt"
"""The header's `typ` (RFC 9068 §2.1)."""
ANOTHER_CLIENTS: Final = "token: was issued to another client"
"""The error for a token that is revoked by another client (RFC 7009 §2.1)."""

_revoked = cast("Table", Revoked.__table__)
_families = cast("Table", RefreshFamily.__table__)
_is_revoked = (
    exists()
    .where(or_(_revoked.c.name == bindparam("jti"), _revoked.c.name == bindparam("lineage")))
    .label("is_revoked")
)
_END_FAMILIES: Final = WriteStatement(
    update(_families)
    .where(_families.c.lineage == bindparam("by_lineage"), _families.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now", type_=Instant()))
)
_joined_state = agreement_state.join_state(agreement_state.named, bindparam("person", type_=Text()))
_is_named = agreement_state.named.c.id == bindparam("authorisation")


class _Token(NamedTuple):
    """Whether a token is revoked, and the state of its authorisation."""

    is_revoked: bool
    agreement: agreement_state.Row | None


class _TokenWithClaims(NamedTuple):
    """What `_Token` has, and the records of the person and the school."""

    is_revoked: bool
    agreement: agreement_state.Row | None
    person: claims.Person | None
    school: claims.School | None


class _ClientToken(NamedTuple):
    """Whether a token that a client got for itself is revoked; it has no authorisation."""

    is_revoked: bool


_TOKEN: Final = Statement(
    _Token, select(_is_revoked, *agreement_state.COLUMNS).select_from(_joined_state).where(_is_named)
)
_TOKEN_WITH_CLAIMS: Final = Statement(
    _TokenWithClaims,
    select(_is_revoked, *agreement_state.COLUMNS, *records.COLUMNS)
    .select_from(records.join_records(_joined_state))
    .where(_is_named),
)
_CLIENT_TOKEN: Final = Statement(_ClientToken, select(_is_revoked))


@dataclass(frozen=True, slots=True)
class Access:
    """A valid access token: its claims, the state of its authorisation, and the scopes that it still covers.

    One that a client got for itself has neither authorisation nor person.
    """

    payload: dict[str, Any]
    client: OAuthClient
    scopes: frozenset[str]
    state: AgreementState | None = None
    person_id: str | None = None
    person: claims.Person | None = None
    """The records of the person and the school are None unless `read` was called `with_claims`."""
    school: claims.School | None = None


def access_token(
    basis: Basis, state: AgreementState, client: OAuthClient, granted: frozenset[str], jkt: str | None
) -> str:
    """A signed access token for `granted`, bound to the DPoP key `jkt` where there is one."""
    payload = {
        **_common_claims(client, claims.subject(client, basis.person_id), granted, basis.resource, jkt),
        "auth_time": int(basis.auth_time.timestamp()), "acr": basis.acr, "amr": sorted(basis.amr),
        "lineage": basis.lineage, **claims.claims_for(state, granted, "access_token"),
    }  # fmt: skip
    if names := claims.requested_claims(basis.claims, "userinfo", state):
        payload["claims"] = names
    return ring.sign(payload, alg=ALG, typ=TYP)


def client_access_token(client: OAuthClient, granted: frozenset[str], resource: frozenset[str], jkt: str | None) -> str:
    """A signed access token that is about the client: its `sub` is the client id (RFC 9068 §5)."""
    payload = _common_claims(client, client.id, granted, resource, jkt) | {"lineage": crypto.new_id("lin")}
    return ring.sign(payload, alg=ALG, typ=TYP)


def _common_claims(
    client: OAuthClient, sub: str, granted: frozenset[str], resource: frozenset[str], jkt: str | None
) -> dict[str, Any]:
    now = clock.timestamp()
    payload: dict[str, Any] = {
        "iss": runtime.settings().server.issuer, "sub": sub, "aud": claims.audience(resource, granted), "iat": now,
        "exp": now + client.access_seconds, "jti": secrets.token_urlsafe(16), "client_id": client.id,
        "scope": scopes.format(granted),
    }  # fmt: skip
    if jkt is not None:
        payload["cnf"] = {"jkt": jkt}
    return payload


def read(token: str, *, with_claims: bool = False) -> Access | None:
    """The access token, if it is ours and good now: not expired, not revoked, its authorisation in force.

    `with_claims` reads the records of the person and the school in the same statement.
    """
    try:
        payload = ring.verify(token, typ=TYP, algs=(ALG,))
    except ring.TokenNotVerified:
        return None
    client = oauth_client.find(payload.get("client_id"))
    if payload.get("iss") != runtime.settings().server.issuer or client is None:
        return None
    token_scopes, names = scopes.known(payload["scope"].split()), {"jti": payload["jti"], "lineage": payload["lineage"]}
    if "authorisation" not in payload:
        is_good = payload["sub"] == client.id and not _is_client_token_revoked(**names)
        return Access(payload, client, token_scopes & client.registered.client_scopes) if is_good else None
    person_id = _person_id(payload["sub"], payload["authorisation"], client)
    statement = _TOKEN_WITH_CLAIMS if with_claims else _TOKEN
    row = statement.one(**names, authorisation=payload["authorisation"], person=person_id)
    if row is None or row.is_revoked:
        return None
    agreement_state.drop_outdated_client(row.agreement)
    state = agreement_state.to_state(row.agreement)
    if state is None or not state.is_in_force or state.client_id != client.id:
        return None
    access = Access(payload, client, state.allowed(token_scopes), state, person_id)
    return replace(access, person=row.person, school=row.school) if isinstance(row, _TokenWithClaims) else access


def _is_client_token_revoked(jti: str, lineage: str) -> bool:
    row = _CLIENT_TOKEN.one(jti=jti, lineage=lineage)
    return row is not None and row.is_revoked


def refusal_reason(token: str) -> tuple[str | None, str]:
    """The client of a token that `read` refused, and the reason; None as client if the token was not signed by us."""
    try:
        payload = ring.verify_hint(token, typ=TYP, algs=(ALG,))
    except ring.TokenNotVerified:
        return _id_token_reason(token)
    client_id, seconds_expired = str(payload.get("client_id")), clock.timestamp() - payload["exp"]
    if seconds_expired >= 0:
        return client_id, f"expired {seconds_expired} seconds ago"
    try:
        ring.verify(token, typ=TYP, algs=(ALG,))
    except ring.TokenNotVerified as error:
        return client_id, str(error)
    if oauth_client.find(client_id) is None:
        return client_id, "its client, or the partner, is disabled"
    if _is_client_token_revoked(payload["jti"], payload["lineage"]):
        return client_id, "was revoked"
    state = agreement_state.state(payload["authorisation"]) if "authorisation" in payload else None
    interruption = state.interruption if state is not None else None
    ended = "the authorisation that it was issued under is not in force"
    return client_id, ended if interruption is None else errors.INTERRUPTED[interruption]


def why_not_in_force(token: str, resource: str | None) -> Literal["paused", "withdrawn", "expired"] | None:
    """How the authorisation of a token that `read` refused stands, for the API at `resource` that the token is for.

    None if it is for another API, not ours, expired, revoked, or refused for another reason than these.
    """
    try:
        payload = ring.verify(token, typ=TYP, algs=(ALG,))
    except ring.TokenNotVerified:
        return None
    audience = payload["aud"]
    if resource is None or resource not in ([audience] if isinstance(audience, str) else audience):
        return None
    is_ours = payload.get("iss") == runtime.settings().server.issuer and "authorisation" in payload
    if not is_ours or oauth_client.find(payload["client_id"]) is None:
        return None
    if _is_client_token_revoked(payload["jti"], payload["lineage"]):
        return None
    state = agreement_state.state(payload["authorisation"])
    if state is None:
        return "withdrawn"
    return state.why_not_in_force if state.estab_state in ACTIVE_STATES else None


def _id_token_reason(token: str) -> tuple[str | None, str]:
    """The client of an ID Token that was sent as an access token, a common mistake; None if it is not an ID Token."""
    try:
        return claims.verify_id_token_hint(token)["aud"], "is an ID Token; the access token must be sent"
    except ring.TokenNotVerified:
        return None, "is not an access token of this issuer"


def introspection_claims(access: Access) -> dict[str, Any]:
    """The introspection response for a token: its claims, with scopes and school as they are now."""
    body = {name: value for name, value in access.payload.items() if name not in {"lineage", "claims"}}
    if access.state is not None:
        body |= claims.claims_for(access.state, access.scopes, "introspection")
    return body | {"scope": scopes.format(access.scopes), "token_type": "DPoP" if "cnf" in body else "Bearer"}


def is_for_us(access: Access) -> bool:
    """Whether its audience includes us (RFC 9068 §4)."""
    audience = access.payload["aud"]
    issuer = runtime.settings().server.issuer
    return audience == issuer if isinstance(audience, str) else issuer in audience


def revoke(token: str, client: OAuthClient) -> None:
    """Refuse this access token from now on, also when it is refused anyway while sharing is interrupted.

    Does nothing if it is not ours, expired or revoked. Raises `invalid_grant` if it is another client's.
    """
    try:
        payload = ring.verify(token, typ=TYP, algs=(ALG,))
    except ring.TokenNotVerified:
        return
    if payload.get("iss") != runtime.settings().server.issuer:
        return
    if payload["client_id"] != client.id:
        raise errors.invalid_grant(ANOTHER_CLIENTS)
    names = {"jti": payload["jti"], "lineage": payload["lineage"]}
    row: _Token | _ClientToken | None
    if "authorisation" in payload:
        row = _TOKEN.one(**names, authorisation=payload["authorisation"], person=None)
    else:
        row = _CLIENT_TOKEN.one(**names)
    if row is not None and row.is_revoked:
        return
    agreement = row.agreement if isinstance(row, _Token) else None
    _store_revocation(payload["jti"])
    log.record(
        events.TOKEN_REVOKED, by=client.id, client=client.id, estab=agreement.estab_id if agreement else None,
        subject=payload["jti"],
    )  # fmt: skip


def revoke_lineage(lineage: str) -> None:
    """Refuse everything that came from one code: its refresh tokens, and access tokens already issued."""
    _store_revocation(lineage)
    _END_FAMILIES.run(by_lineage=lineage, now=clock.now())


def _store_revocation(name: str) -> None:
    """Store the revocation until the last token that it concerns has expired."""
    tokens = runtime.settings().tokens
    longest_lifetime = timedelta(seconds=max(tokens.access, tokens.access_fapi2) + tokens.skew)
    inserts.insert_if_absent(Revoked, name=name, at=clock.now(), expires_at=clock.now() + longest_lifetime)


def _person_id(sub: str, authorisation_id: str, client: OAuthClient) -> str:
    """Whom a `sub` stands for. Pseudonyms are not stored: the few people of the school are tried in turn."""
    if client.registered.subject_type != "pairwise":
        return sub
    if (state := agreement_state.state(authorisation_id)) is None:
        return sub
    people = session().scalars(select(Membership.person_id).where(Membership.estab_id == state.estab_id))
    return next((person for person in people if claims.subject(client, person) == sub), sub)
