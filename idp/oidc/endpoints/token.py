"""The token endpoint: the client, then the grant type, then the grant itself (protocol.md §5)."""

from http import HTTPStatus
from typing import cast

from authlib.oauth2.rfc6749 import UnauthorizedClientError
from flask import Request as FlaskRequest, Response, request as browser_request

from idp.oidc import authorization_server, errors
from idp.oidc.authorization import checks
from idp.oidc.authorization_server import Server
from idp.oidc.clients import dpop, milestones
from idp.oidc.incoming import Request


def respond(flask_request: FlaskRequest) -> Response:
    """Tokens, or an OAuth error.

    Errors are committed as well: the request may have used up a proof, an assertion or a code, or revoked a lineage.
    """
    return dpop.with_nonce(authorization_server.respond_to_client(flask_request, _issue))


def _issue(server: Server, request: Request) -> Response:
    """Check that the grant type is known and the client's, then the DPoP proof, if any; the rest is done by Authlib."""
    if (grant_type := request.sent.get("grant_type")) is None:
        raise errors.invalid("grant_type", "missing")
    if grant_type not in server.grant_types:
        raise errors.UnsupportedGrantType
    if not request.client.check_grant_type(grant_type):
        raise UnauthorizedClientError(description="grant_type: this client is not registered for it")
    checks.refuse_authorization_details(request.sent)
    request.dpop_jkt = dpop.proven_jkt(browser_request, request.client)
    if request.dpop_jkt is None and request.client.needs_dpop:
        raise dpop.InvalidProof("missing; this client has to prove a key with each request (RFC 9449)")
    response = cast("Response", server.create_token_response(request))
    if response.status_code == HTTPStatus.OK and grant_type != "client_credentials":
        milestones.note(request.client, "token")
    return response
