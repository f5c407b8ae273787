"""Refresh tokens: one row per family, whether its token is rotated or not (protocol.md §2.2).

A token that rotates is `<family secret>.<proof of its number>`. Its successor can be computed again, so a client that
lost the response gets the same one for a short while; any other use of an old token is detected as reuse. Concurrent
requests never fork a family: the number is raised by one UPDATE, and a second request gets the same successor.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Table, bindparam, insert, select, update

from idp.audit import events, log
from idp.foundation import clock, crypto, runtime, scopes
from idp.foundation.database import Instant, connection
from idp.foundation.fastpath.statements import Statement, WriteStatement
from idp.oidc import claims, errors
from idp.oidc.basis import Basis
from idp.oidc.clients import failures
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.models import RefreshFamily
from idp.oidc.tokens import access_tokens
from idp.sharing import agreement_state
from idp.sharing.agreement_state import AgreementState

LAST_USED_PRECISION: Final = timedelta(days=1)
"""How far `last_used_at` may lag, so that most refreshes of tokens that do not rotate only read."""
UNKNOWN: Final = "refresh_token: unknown"
"""Also the error for a token of another client."""

_table = cast("Table", RefreshFamily.__table__)


class Family(NamedTuple):
    """A family, what its tokens stand for, and the state of its authorisation."""

    id: str
    rotates: bool
    sequence: int
    rotated_at: datetime | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    basis: Basis
    agreement: agreement_state.Row | None


@dataclass(frozen=True, slots=True)
class PresentedRefreshToken:
    """A refresh token that may be used: its family, and whether it is the newest of the family."""

    family: Family
    state: AgreementState | None
    """The state of the authorisation it was issued under."""
    is_newest: bool


def begin(basis: Basis, client: OAuthClient, jkt: str | None) -> str:
    """Start a family and return its first token."""
    settings, now, secret = runtime.settings().tokens, clock.now(), crypto.new_secret()
    is_unbound = client.registered.is_public and jkt is None
    lifetime = settings.refresh_absolute_public if is_unbound else settings.refresh_absolute
    values = {
        **basis._asdict(),
        "id": crypto.new_id("fam"), "digest": crypto.digest(secret),
        "rotates": is_unbound or client.rotates_refresh_tokens, "dpop_jkt": jkt, "sequence": 0,
        "rotated_at": None, "created_at": now, "last_used_at": now,
        "expires_at": now + timedelta(seconds=lifetime), "revoked_at": None,
    }  # fmt: skip
    _INSERT.run(**values)
    return _token(secret, values["id"], 0) if values["rotates"] else secret


def present(token: str, client: OAuthClient, jkt: str | None) -> PresentedRefreshToken:
    """The family of `token`, if the client may use it now. Raises `invalid_grant`, and revokes the family on reuse."""
    secret, _, proof = token.partition(".")
    family = _load_family(secret)
    if family is None:
        raise errors.invalid_grant(UNKNOWN)
    if family.basis.client_id != client.id:
        log.record(events.CLIENT_REFUSED, by=client.id, client=client.id, subject=family.id, reason="refresh token")
        failures.set_reason("refresh_token", "was issued to another client")
        raise errors.invalid_grant(UNKNOWN)
    if (reason := _closed_reason(family)) is not None:
        raise errors.invalid_grant(f"refresh_token: {reason}")
    if family.basis.dpop_jkt is not None and jkt is None:
        raise errors.invalid_grant("refresh_token: is bound to a DPoP key, and no proof was sent")
    if family.basis.dpop_jkt is not None and client.registered.is_public and jkt != family.basis.dpop_jkt:
        raise errors.invalid_grant("refresh_token: is bound to another DPoP key than was proven")
    if not family.rotates:
        if proof:
            raise errors.invalid_grant(UNKNOWN)
        return PresentedRefreshToken(family, agreement_state.to_state(family.agreement), is_newest=True)
    if crypto.constant_time_compare(proof, _proof(family.id, family.sequence)):
        return PresentedRefreshToken(family, agreement_state.to_state(family.agreement), is_newest=True)
    if _in_grace(family) and crypto.constant_time_compare(proof, _proof(family.id, family.sequence - 1)):
        return PresentedRefreshToken(family, agreement_state.to_state(family.agreement), is_newest=False)
    _revoke_reused(family, client)
    raise errors.invalid_grant("refresh_token: was used before, so all that came from it is revoked")


def use(token: str, presented: PresentedRefreshToken) -> str | None:
    """Use the token; returns its successor if the family rotates. Raises `invalid_grant` if it was used meanwhile."""
    family, secret = presented.family, token.partition(".")[0]
    if not family.rotates:
        if clock.now() - family.last_used_at >= LAST_USED_PRECISION:
            _SET_LAST_USED.run(by_id=family.id, now=clock.now(), until=_expiry_after_use(family))
        return None
    if not presented.is_newest:
        return _token(secret, family.id, family.sequence)
    if _ROTATE.run(by_id=family.id, by_sequence=family.sequence, next=family.sequence + 1, now=clock.now()) == 1:
        return _token(secret, family.id, family.sequence + 1)
    latest = _load_family(secret)
    if latest is None or latest.revoked_at is not None:
        raise errors.invalid_grant("refresh_token: was revoked")
    if latest.sequence != family.sequence + 1 or not _in_grace(latest):
        raise errors.invalid_grant("refresh_token: was used before")
    return _token(secret, family.id, latest.sequence)


def find(token: str) -> Family | None:
    """The family, whatever its state: for revocation and introspection."""
    return _load_family(token.partition(".")[0])


def introspect(token: str, client: OAuthClient) -> dict[str, Any] | None:
    """The introspection response for a refresh token; None if it could not be used. It never counts as reuse."""
    secret, _, proof = token.partition(".")
    family = _load_family(secret)
    if family is None or _closed_reason(family):
        return None
    if family.rotates and not crypto.constant_time_compare(proof, _proof(family.id, family.sequence)):
        return None
    state = agreement_state.to_state(family.agreement)
    if state is None or not (granted := state.allowed(family.basis.scopes)):
        return None
    return {
        "active": True, "iss": runtime.settings().server.issuer, "sub": claims.subject(client, family.basis.person_id),
        "client_id": client.id, "scope": scopes.format(granted),
        "iat": int(family.created_at.timestamp()), "exp": int(family.expires_at.timestamp()),
        **claims.claims_for(state, granted, "introspection"),
    }  # fmt: skip


def revoke(family: Family, client: OAuthClient) -> None:
    """End the family, and all access tokens of its lineage with it (RFC 7009 §2.1)."""
    access_tokens.revoke_lineage(family.basis.lineage)
    log.record(events.TOKEN_REVOKED, by=client.id, client=client.id, estab=family.basis.estab_id, subject=family.id)


def revoke_for_key(estab_id: str, client_id: str, jkt: str, lineage: str) -> bool:
    """Revoke all tokens that a client has for an estab, by its internal id, under the DPoP key `jkt`.

    Revoke all of `lineage` too, which may have no refresh token. Returns whether tokens under other keys remain.
    """
    unrevoked = _table.c.estab_id == estab_id, _table.c.client_id == client_id, _table.c.revoked_at.is_(None)
    statement = select(_table.c.lineage).where(*unrevoked, _table.c.dpop_jkt == jkt)
    for name in {lineage, *connection().scalars(statement)}:
        access_tokens.revoke_lineage(name)
    others = select(_table.c.id).where(*unrevoked, _table.c.expires_at > clock.now()).limit(1)
    return connection().scalar(others) is not None


def _revoke_reused(family: Family, client: OAuthClient) -> None:
    access_tokens.revoke_lineage(family.basis.lineage)
    log.record(events.REFRESH_REUSED, by=client.id, client=client.id, estab=family.basis.estab_id, subject=family.id)


def _closed_reason(family: Family) -> str | None:
    """Why the family cannot be used: revoked, expired, or idle for too long; otherwise None."""
    idle, now = timedelta(seconds=runtime.settings().tokens.refresh_idle), clock.now()
    if family.revoked_at is not None:
        return "was revoked"
    if family.expires_at <= now:
        return f"expired at {family.expires_at:%Y-%m-%d %H:%M} UTC"
    return f"expired, because it was not used for {idle.days} days" if family.last_used_at + idle <= now else None


def _expiry_after_use(family: Family) -> datetime:
    """When a token that is used now expires; each use extends that of an endpoint, which runs without a person."""
    if not scopes.filter_by_kind("endpoint", family.basis.scopes):
        return family.expires_at
    return max(family.expires_at, clock.now() + timedelta(seconds=runtime.settings().tokens.refresh_absolute))


def _in_grace(family: Family) -> bool:
    """Whether the previous token may still be used, by a client that lost the response.

    The time is the same for public clients: apps retry after half a minute without a response, and after ten seconds
    they would be signed out. A thief who uses the previous token in that time gets the token that the app has;
    as soon as either uses the successor, the previous token counts as reuse and ends the family.
    """
    grace = timedelta(seconds=runtime.settings().tokens.refresh_grace)
    return family.rotated_at is not None and clock.now() - family.rotated_at <= grace


def _token(secret: str, family_id: str, number: int) -> str:
    return f"{secret}.{_proof(family_id, number)}"


def _proof(family_id: str, number: int) -> str:
    return crypto.base64url(crypto.hmac_sha256(runtime.settings().secrets.tokens, "refresh", family_id, str(number)))


def _load_family(secret: str) -> Family | None:
    family = _SELECT.one(by_digest=crypto.digest(secret))
    agreement_state.drop_outdated_client(family.agreement if family else None)
    return family


_INSERT: Final = WriteStatement(insert(_table))
_SELECT: Final = Statement(
    Family,
    select(
        _table.c.id, _table.c.rotates, _table.c.sequence, _table.c.rotated_at, _table.c.created_at,
        _table.c.last_used_at, _table.c.expires_at, _table.c.revoked_at,
        *(_table.c[name] for name in Basis._fields), *agreement_state.COLUMNS,
    )
    .select_from(
        agreement_state.join_state(
            _table.outerjoin(agreement_state.named, agreement_state.named.c.id == _table.c.authorisation_id),
            _table.c.person_id,
        )
    )
    .where(_table.c.digest == bindparam("by_digest")),
)  # fmt: skip
"""A family by the digest of its secret part, with the state of its authorisation."""
_SET_LAST_USED: Final = WriteStatement(
    update(_table)
    .where(_table.c.id == bindparam("by_id"))
    .values(last_used_at=bindparam("now", type_=Instant()), expires_at=bindparam("until", type_=Instant()))
)
_ROTATE: Final = WriteStatement(
    update(_table)
    .where(
        _table.c.id == bindparam("by_id"), _table.c.sequence == bindparam("by_sequence"),
        _table.c.revoked_at.is_(None),
    )
    .values(
        sequence=bindparam("next"), rotated_at=bindparam("now", type_=Instant()),
        last_used_at=bindparam("now", type_=Instant()),
    )
)  # fmt: skip
