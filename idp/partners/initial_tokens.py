"""Initial access tokens: they let a partner register clients of its own, as far as an operator said (RFC 7591 §3).

What may be registered is the token's business and never the client's: whose it is, under which profile, with
which scopes at most, whether PKCE is required, how many clients, and until when.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from sqlalchemy import select, update

from idp.audit import events, log
from idp.foundation import clock, crypto
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
    """What an operator allows."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    profile: Literal["oidc", "fapi2"] = "oidc"
    scopes: Scopes
    require_pkce: bool = True
    most: Annotated[int, Field(ge=1, le=100_000)] = 1

    @field_validator("scopes")
    @classmethod
    def _has_one(cls, value: Scopes) -> Scopes:
        if not value.required | value.optional | value.client:
            raise ValueError("needs one at least")
        return value

    @field_validator("require_pkce")
    @classmethod
    def _pkce_where_it_must_be(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("profile") == "fapi2":
            raise ValueError("cannot be switched off for the profile fapi2")
        return value


@dataclass(frozen=True, slots=True)
class Policy:
    """What a registration has to keep to; read once, so that it outlives the transaction it was read in."""

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
    """Make a token for the partner of that name and return it, once. `limits` are the fields of `Limits`.

    Raises `UnknownPartner`, `InvalidClientMetadata`.
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
    """Let nothing more be registered with it. What was registered stays, and may go on managing itself.

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
    """The policy of a token that something can be registered with now. `claim` decides: this only looks."""
    row = session().scalar(select(InitialAccessToken).where(InitialAccessToken.digest == crypto.digest(secret)))
    if row is None or state(row) != "usable":
        return None
    return policy(row)


def claim(token_id: str) -> bool:
    """Use the token for one more client: one UPDATE, so that no two are registered where one was left.

    False too where it was revoked, or its partner disabled, since `presented` looked.
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
    """What clients registered with the token have to keep to, also after it has expired."""
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
