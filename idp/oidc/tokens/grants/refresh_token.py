"""The refresh token: new access for as long as the school's authorisation stands (RFC 6749 §6)."""

from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749.grants import RefreshTokenGrant

from idp.foundation import scopes
from idp.oidc import errors
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.tokens import families
from idp.oidc.tokens.families import PresentedRefreshToken
from idp.oidc.tokens.grants.common import BaseGrant
from idp.sharing.agreement_state import AgreementState


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token that may be used, and the state of its authorisation; Authlib treats it as the token."""

    presented: PresentedRefreshToken
    state: AgreementState

    def check_client(self, client: OAuthClient) -> bool:
        """True: `families.present` has checked the client."""
        return True


class RefreshGrant(BaseGrant, RefreshTokenGrant):  # type: ignore[misc]  # Authlib has no types
    """RFC 6749 §6 as Authlib does it, on our families."""

    def validate_token_request(self) -> None:
        """Check the refresh token and what is asked for; `issue_token` uses it."""
        if "refresh_token" not in self.request.sent:
            raise errors.invalid("refresh_token", "missing")
        super().validate_token_request()

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        """The token, if this client may use it and its authorisation stands; raises `invalid_grant` saying why not.

        While sharing is interrupted, nothing is used up.
        """
        presented = families.present(refresh_token, self.request.client, self.request.dpop_jkt)
        state = presented.state
        if state is not None and (interruption := state.interruption) is not None:
            raise errors.SharingInterrupted(interruption)
        if state is None or not state.allowed(presented.family.basis.scopes):
            raise errors.invalid_grant("refresh_token: the authorisation it belongs to is not in force")
        self.request.basis = presented.family.basis
        return Refresh(presented, state)

    def _validate_token_scope(self, token: Refresh) -> None:
        """At most what the code was for (RFC 6749 §6), and no resource beyond it (RFC 8707 §2.2).

        Client libraries repeat the scopes they first asked for, so one that the school left out is not an error here:
        it is left out again, as `scope` in the response shows.
        """
        original = token.presented.family.basis.scopes
        try:
            requested = scopes.parse(self.request.sent.get("scope"))
        except scopes.UnknownScope as error:
            raise errors.unknown_scope(error) from None
        if others := requested - original:
            raise errors.invalid_scope("the refresh token was not issued for", others)
        self.request.scopes = requested or original
        self.narrow_resources(token.presented.family.basis)

    def authenticate_user(self, refresh_token: Refresh) -> AgreementState:
        """The state of the authorisation, which was read with the token."""
        return refresh_token.state

    def issue_token(self, user: AgreementState, refresh_token: Refresh) -> dict[str, Any]:
        """New tokens; a refresh token among them only where the family rotates."""
        token = self.request.sent.get("refresh_token") or ""
        successor = families.use(token, refresh_token.presented)
        response = self.tokens_for(user, self.request.scopes)
        if successor is not None:
            response["refresh_token"] = successor
        return response

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        """Do nothing: a family is rotated, not replaced."""
