"""What every grant at the token endpoint shares: the client is authenticated already, and we issue the tokens."""

from typing import Any

from idp.foundation import scopes
from idp.oidc import tokens
from idp.oidc.client import OAuthClient
from idp.oidc.incoming import Request
from idp.sharing.live import State


class OurGrant:
    """Mixed in before Authlib's grant. `request.basis` is what the code or refresh token stands for."""

    request: Request
    GRANT_TYPE: str

    def authenticate_token_endpoint_client(self) -> OAuthClient:
        """The client that `token` has authenticated before it chose the grant."""
        return self.request.client

    def generate_token(self, user: State, scope: frozenset[str], **_asked: Any) -> dict[str, Any]:
        """The token response, as things stand (`user`), for at most `scope`; `scope` in it says what was given.

        Authlib's token generators never see the request, so they are not used.
        """
        request = self.request
        given = user.allowed(scope)
        return {
            "access_token": tokens.access(request.basis, user, request.client, given, request.dpop_jkt),
            "token_type": "DPoP" if request.dpop_jkt else "Bearer",
            "expires_in": request.client.access_seconds,
            "scope": scopes.format(given),
        }

    def save_token(self, token: dict[str, Any]) -> None:
        """Nothing: access tokens are not stored, and refresh tokens were when they were made."""
