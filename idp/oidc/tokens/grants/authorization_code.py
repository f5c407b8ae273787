"""The authorization code: given at authorize, redeemed once at the token endpoint (RFC 6749 §4.1)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast

from authlib.oauth2.rfc6749 import AccessDeniedError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from sqlalchemy import Table, bindparam, insert, or_, select, update

from idp.audit import events, log
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import Instant
from idp.foundation.fastpath.statements import Statement, WriteStatement
from idp.oidc import errors
from idp.oidc.authorization import pending_requests, responses
from idp.oidc.basis import Basis
from idp.oidc.clients import failures
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import CheckedRequest
from idp.oidc.models import Code
from idp.oidc.tokens import access_tokens
from idp.oidc.tokens.grants.common import InitialGrant
from idp.partners import milestones, trial_secrets
from idp.sharing import agreement_state
from idp.sharing.agreement_state import AgreementState
from idp.signin import session_clients
from idp.signin.session import SignedIn

_table = cast("Table", Code.__table__)


class RedeemedCode(NamedTuple):
    """A code that has just been redeemed, with the methods that Authlib calls."""

    basis: Basis
    redirect_uri: str
    nonce: str | None
    code_challenge: str | None

    def get_redirect_uri(self) -> str:
        """The redirect URI to which the code was sent."""
        return self.redirect_uri

    def get_scope(self) -> frozenset[str]:
        """All requested scopes; those that are granted are determined when the tokens are issued."""
        return self.basis.scopes


class _NotRedeemed(NamedTuple):
    """The row of a code that could not be redeemed; its columns show why."""

    client_id: str
    lineage: str
    used_at: datetime | None
    expires_at: datetime
    estab_id: str


_REDEEM: Final = Statement(
    RedeemedCode,
    update(_table)
    .where(
        _table.c.digest == bindparam("by_digest"),
        _table.c.client_id == bindparam("by_client"),
        or_(_table.c.dpop_jkt.is_(None), _table.c.dpop_jkt == bindparam("by_jkt")),
        _table.c.used_at.is_(None),
        _table.c.expires_at > bindparam("now", type_=Instant()),
    )
    .values(used_at=bindparam("now", type_=Instant()))
    .returning(
        *(_table.c[name] for name in Basis._fields), _table.c.redirect_uri, _table.c.nonce, _table.c.code_challenge
    ),
)
_NOT_REDEEMED: Final = Statement(
    _NotRedeemed,
    select(*(_table.c[name] for name in _NotRedeemed._fields)).where(_table.c.digest == bindparam("by_digest")),
)
_ISSUE: Final = WriteStatement(insert(_table))
UNKNOWN_CODE: Final = "code: unknown"
"""Also the error for a code of another client."""


@dataclass(frozen=True, slots=True)
class Approval:
    """The person who is signed in, and the school's agreement that covers the request."""

    signed_in: SignedIn
    authorisation: AgreementState


class CodeGrant(InitialGrant, AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib has no types
    """RFC 6749 §4.1 as Authlib does it, on our rows."""

    def create_authorization_response(self, redirect_uri: str, grant_user: Approval | None) -> responses.ResponseParts:
        """Respond with a code, or with `access_denied` if it was not approved, and use the request up."""
        request = self.request.checked
        pending_requests.spend(request)
        if grant_user is None:
            raise AccessDeniedError(description="the person or the school refused")
        return responses.send(request.reply_to, [("code", issue(request, grant_user))])

    def validate_token_request(self) -> None:
        """Redeem the code (RFC 6749 §4.1.3)."""
        if "code" not in self.request.sent:
            raise errors.invalid("code", "missing")
        super().validate_token_request()

    def query_authorization_code(self, code: str, client: OAuthClient) -> RedeemedCode:
        """Spend the code; a second use is refused and revokes what the first was given.

        One UPDATE decides. It names the client and the DPoP key, so that neither another client nor a wrong
        proof can spend a code; a wrong redirect URI or verifier is found afterwards, and has spent it.
        """
        redeemed = redeem(code, client, self.request.dpop_jkt)
        if self.request.sent.get("redirect_uri") != redeemed.redirect_uri:
            raise errors.invalid_grant("redirect_uri: must be that of the authorization request")
        self.request.basis, self.request.nonce = redeemed.basis, redeemed.nonce
        return redeemed

    def authenticate_user(self, authorization_code: RedeemedCode) -> AgreementState:
        """The state of the authorisation. Raises `invalid_grant` if no tokens may be issued under it now."""
        state = agreement_state.state(self.request.basis.authorisation_id, self.request.basis.person_id)
        if state is None or not state.is_in_force:
            raise errors.invalid_grant("code: the authorisation it belongs to is not in force")
        return state

    def delete_authorization_code(self, authorization_code: RedeemedCode) -> None:
        """Do nothing: the code is used up already, and its row is kept so that a replay is detected."""


def issue(request: CheckedRequest, approval: Approval) -> str:
    """Issue a code.

    It is for all requested scopes, also those that the school left out. What is granted is determined each time tokens
    are issued, so an area that the school adds or removes on its pages takes effect with the next refresh.
    """
    signed_in, authorisation, now, code = approval.signed_in, approval.authorisation, clock.now(), crypto.new_secret()
    _ISSUE.run(
        digest=crypto.digest(code), client_id=request.client.id, person_id=signed_in.id,
        estab_id=authorisation.estab_id,
        authorisation_id=authorisation.id, lineage=crypto.new_id("lin"), redirect_uri=request.reply_to.redirect_uri,
        scopes=request.scopes,
        resource=request.resource, nonce=request.nonce, code_challenge=request.code_challenge,
        dpop_jkt=request.dpop_jkt, claims=request.claims, auth_time=signed_in.auth_time, acr=signed_in.acr,
        amr=signed_in.amr, sid=signed_in.sid, created_at=now,
        expires_at=now + timedelta(seconds=request.client.code_seconds), used_at=None,
    )  # fmt: skip
    if request.reply_to.redirect_uri != runtime.url(trial_secrets.CALLBACK):
        milestones.note(request.client.registered, "sign-in")
    if "openid" in request.scopes & authorisation.scopes:
        session_clients.add(signed_in.sid, request.client.id)
    return code


def redeem(code: str, client: OAuthClient, jkt: str | None) -> RedeemedCode:
    """Redeem `code` for `client`.

    Raises `invalid_grant` with the reason, after revoking what a replayed code was given.
    """
    digest, now = crypto.digest(code), clock.now()
    if (redeemed := _REDEEM.one(by_digest=digest, by_client=client.id, by_jkt=jkt, now=now)) is not None:
        return redeemed
    row = _NOT_REDEEMED.one(by_digest=digest)
    if row is None:
        raise errors.invalid_grant(UNKNOWN_CODE)
    if row.client_id != client.id:
        log.record(events.CLIENT_REFUSED, by=client.id, client=client.id, subject=row.lineage, reason="code")
        failures.set_reason("code", "was issued to another client")
        raise errors.invalid_grant(UNKNOWN_CODE)
    if row.used_at is not None:
        access_tokens.revoke_lineage(row.lineage)
        log.record(events.CODE_REPLAYED, by=client.id, client=client.id, estab=row.estab_id, subject=row.lineage)
        raise errors.invalid_grant("code: was used before, so all that came from it is revoked")
    if row.expires_at <= now:
        ago = int((now - row.expires_at).total_seconds())
        raise errors.invalid_grant(f"code: expired {ago} seconds ago; it is good for {client.code_seconds} seconds")
    raise errors.invalid_grant("code: is bound to a DPoP key that the request did not prove")
