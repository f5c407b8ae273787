"""What every grant at the token endpoint shares: the client is authenticated already, and we issue the tokens."""

from typing import Any

from idp.foundation import scopes
from idp.oidc import claims, errors
from idp.oidc.basis import Basis
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import Request
from idp.oidc.tokens import access_tokens, families
from idp.sharing.agreement_state import AgreementState


class BaseGrant:
    """Mixed in before Authlib's grant. `request.basis` is the content of the code or refresh token."""

    request: Request
    GRANT_TYPE: str

    def authenticate_token_endpoint_client(self) -> OAuthClient:
        """The client that the token endpoint authenticated before it chose the grant."""
        return self.request.client

    def tokens_for(self, state: AgreementState, scope: frozenset[str]) -> dict[str, Any]:
        """The token response for at most `scope`, by what the authorisation allows now.

        In it `scope` names what is granted, and `withheld_scope` what the school agreed to but is withheld for now,
        because the school has not been verified or the person has left it.
        Authlib's token generators never see the request, so they are not used.
        """
        request, granted = self.request, state.allowed(scope)
        basis = request.basis._replace(resource=request.resource)
        response = token_response(
            request, access_tokens.access_token(basis, state, request.client, granted, request.dpop_jkt), granted
        )
        if withheld := state.agreed(scope) - granted:
            response["withheld_scope"] = scopes.format(withheld)
        return response

    def narrow_resources(self, granted: Basis) -> None:
        """Limit this access token to the requested resources, which must be among those granted (RFC 8707 §2.2).

        Without a request it is for those granted that are still available: an API may have been disabled since.
        """
        client, requested = self.request.client, self.request.sent.resources
        resource = claims.check_resources(requested, client) or claims.available_resources(granted.resource, client)
        if granted.resource and not (resource and resource <= granted.resource):
            raise errors.InvalidTarget
        self.request.resource = resource

    def save_token(self, token: dict[str, Any]) -> None:
        """Do nothing: access tokens are not stored, and refresh tokens were stored when they were created."""


class InitialGrant(BaseGrant):
    """Mixed in where a lineage of tokens begins: with a code, or with a device's code."""

    def generate_token(self, user: AgreementState, scope: frozenset[str], **_options: Any) -> dict[str, Any]:
        """The tokens, with a refresh token where `offline_access` was granted (protocol.md §2.2)."""
        request = self.request
        self.narrow_resources(request.basis)
        response = self.tokens_for(user, scope)
        if "offline_access" in user.allowed(scope) and request.client.check_grant_type("refresh_token"):
            response["refresh_token"] = families.begin(request.basis, request.client, request.dpop_jkt)
        return response


def token_response(request: Request, access_token: str, granted: frozenset[str]) -> dict[str, Any]:
    """What every token response has (RFC 6749 §5.1)."""
    return {
        "access_token": access_token,
        "token_type": "DPoP" if request.dpop_jkt else "Bearer",
        "expires_in": request.client.access_seconds,
        "scope": scopes.format(granted),
    }
