"""Revocation (RFC 7009): of a refresh token, with its family and all their access tokens; or of one access token."""

from flask import Request as FlaskRequest, Response

from idp.oidc import authorization_server, errors
from idp.oidc.authorization_server import Server
from idp.oidc.incoming import Request
from idp.oidc.tokens import access_tokens, families


def respond(flask_request: FlaskRequest) -> Response:
    """200, also for a token that is unknown or no longer valid (RFC 7009 §2.2). `token_type_hint` is not needed."""
    return authorization_server.respond_to_client(flask_request, _revoke)


def _revoke(_server: Server, request: Request) -> Response:
    """Revoke a token of either kind. Raises `invalid_grant` for a token of another client (RFC 7009 §2.1)."""
    if (token := request.sent.get("token")) is None:
        raise errors.invalid("token", "missing")
    if (family := families.find(token)) is not None:
        if family.basis.client_id != request.client.id:
            raise errors.invalid_grant(access_tokens.ANOTHER_CLIENTS)
        families.revoke(family, request.client)
    else:
        access_tokens.revoke(token, request.client)
    return authorization_server.empty_response(200)
