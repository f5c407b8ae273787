"""Client credentials: a client acts for itself, with scopes that no school has to agree to (RFC 6749 §4.4)."""

from typing import Any

from authlib.oauth2.rfc6749 import UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant

from idp.foundation import scopes
from idp.oidc import claims, errors
from idp.oidc.tokens import access_tokens
from idp.oidc.tokens.grants.common import BaseGrant, token_response


class ClientCredentials(BaseGrant, ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    """RFC 6749 §4.4 as Authlib does it; nothing is stored."""

    def validate_requested_scope(self) -> None:
        """Client-only scopes of this client; all of them where none are named (RFC 6749 §3.3)."""
        client = self.request.client.registered
        if client.is_public:
            raise UnauthorizedClientError(description="grant_type: client_credentials is for clients that authenticate")
        try:
            requested = scopes.parse(self.request.sent.get("scope")) or client.client_scopes
        except scopes.UnknownScope as error:
            raise errors.unknown_scope(error) from None
        if others := requested - client.client_scopes:
            raise errors.invalid_scope("this client is not registered to have for itself", others)
        if not requested:
            raise errors.invalid_scope("this client is not registered to have any for itself")
        self.request.scopes = requested
        self.request.resource = claims.check_resources(self.request.sent.resources, self.request.client)

    def generate_token(self, **_options: Any) -> dict[str, Any]:
        """An access token about the client itself, and no refresh token."""
        request = self.request
        return token_response(
            request,
            access_tokens.client_access_token(request.client, request.scopes, request.resource, request.dpop_jkt),
            request.scopes,
        )
