"""Initial access tokens: they let a partner register clients of its own, within an operator's limits (RFC 7591 §3).

The token decides, and never the client: the partner, the profile, the most scopes a client may have, whether PKCE is
required, how many clients may be registered, and until when.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from sqlalchemy import select, update

from idp.audit import events, log
from idp.foundation import clock, crypto, scopes
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.partners import registry
from idp.partners.manifest import Scopes
from idp.partners.metadata import parse
from idp.partners.models import InitialAccessToken, Partner


class UnknownToken(NotFound):
    """No initial access token has that id."""

    code, title = "unknown_initial_token", "There is no such initial access token"
    message = "There is no initial access token with that id. `idp clients initial-token list` shows them all."


class Limits(BaseModel):
    """What clients registered with a token may be; `most` is their number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    profile: Literal["oidc", "fapi2"] = "oidc"
    scopes: Scopes
    require_pkce: bool = True
    most: Annotated[int, Field(ge=1, le=100_000)] = 1

    @field_validator("scopes")
    @classmethod
    def _check_scopes(cls, value: Scopes) -> Scopes:
        if not value.required | value.optional | value.client:
            raise ValueError("needs one at least")
        if reserved := scopes.operators_only(value.required | value.optional | value.client):
            raise ValueError(f"cannot have {', '.join(sorted(reserved))}: only our staff register clients for that")
        return value

    @field_validator("require_pkce")
    @classmethod
    def _check_pkce(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("profile") == "fapi2":
            raise ValueError("cannot be switched off for the profile fapi2")
        return value


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of a registration, copied from the token's row so that they can be used after the transaction."""

    token_id: str
    partner_id: str
    partner_name: str
    profile: str
    required: frozenset[str]
    optional: frozenset[str]
    client: frozenset[str]
    require_pkce: bool

    @property
    def scopes(self) -> frozenset[str]:
        """All that a client registered under it may have."""
        return self.required | self.optional | self.client


def issue(partner: str, limits: Mapping[str, Any], *, lasts: timedelta, by: str) -> tuple[InitialAccessToken, str]:
    """Create a token for the partner of that name. Returns its row and the token, of which only a digest is stored.

    `limits` are the fields of `Limits`. Raises `UnknownPartner`, `InvalidClientMetadata`.
    """
    allowed, secret, now = parse(Limits, limits), crypto.new_secret(), clock.now()
    row = InitialAccessToken(
        id=crypto.new_id("iat"), digest=crypto.digest(secret), partner_id=registry.partner(partner).id,
        profile=allowed.profile, required_scopes=allowed.scopes.required, optional_scopes=allowed.scopes.optional,
        client_scopes=allowed.scopes.client, require_pkce=allowed.require_pkce, most=allowed.most, used=0,
        created_at=now, created_by=by, expires_at=now + lasts, revoked_at=None,
    )  # fmt: skip
    session().add(row)
    session().flush()
    log.record(
        events.INITIAL_TOKEN_ISSUED, by=by, subject=row.id, partner=row.partner_id, most=row.most, until=row.expires_at,
        scopes=row.required_scopes | row.optional_scopes | row.client_scopes,
    )  # fmt: skip
    return row, secret


def all_tokens() -> list[InitialAccessToken]:
    """Every token there is or was, newest first, for operators."""
    newest = InitialAccessToken.created_at.desc(), InitialAccessToken.id
    return list(session().scalars(select(InitialAccessToken).order_by(*newest)))


def revoke(token_id: str, *, by: str) -> InitialAccessToken:
    """Revoke the token: no more clients can be registered with it. Those that were stay, and can manage themselves.

    Raises `UnknownToken`.
    """
    row = session().get(InitialAccessToken, token_id)
    if row is None:
        raise UnknownToken(reason=token_id)
    unrevoked = InitialAccessToken.id == token_id, InitialAccessToken.revoked_at.is_(None)
    statement = update(InitialAccessToken).where(*unrevoked).values(revoked_at=clock.now())
    if session().execute(statement.returning(InitialAccessToken.id)).one_or_none() is not None:
        log.record(events.INITIAL_TOKEN_REVOKED, by=by, subject=token_id)
    return row


def find_usable(secret: str) -> Policy | None:
    """The policy of the token, if a client can be registered with it now; else None. `claim` checks this again."""
    row = session().scalar(select(InitialAccessToken).where(InitialAccessToken.digest == crypto.digest(secret)))
    if row is None or state(row) != "usable":
        return None
    return policy(row)


def claim(token_id: str) -> bool:
    """Use the token for one more client; False if it is used up, expired or revoked, or its partner disabled.

    One UPDATE, so that two clients registered at the same time cannot both use the last one.
    """
    enabled = select(Partner.id).where(Partner.disabled_at.is_(None))
    conditions = (
        InitialAccessToken.id == token_id, InitialAccessToken.used < InitialAccessToken.most,
        InitialAccessToken.revoked_at.is_(None), InitialAccessToken.expires_at > clock.now(),
        InitialAccessToken.partner_id.in_(enabled),
    )  # fmt: skip
    statement = update(InitialAccessToken).where(*conditions).values(used=InitialAccessToken.used + 1)
    result = session().execute(statement.returning(InitialAccessToken.id).execution_options(synchronize_session=False))
    return result.scalar_one_or_none() is not None


def policy(row: InitialAccessToken) -> Policy:
    """The policy of the token, which its clients must keep to also after it has expired."""
    return Policy(
        row.id, row.partner_id, row.partner.name, row.profile, row.required_scopes, row.optional_scopes,
        row.client_scopes, row.require_pkce,
    )  # fmt: skip


def state(row: InitialAccessToken) -> str:
    """`usable`, `revoked`, `expired`, `used up`, or `partner disabled`."""
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at <= clock.now():
        return "expired"
    if row.used >= row.most:
        return "used up"
    return "usable" if row.partner.disabled_at is None else "partner disabled"
