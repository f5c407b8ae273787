"""The token endpoint: the client, then the grant type, then the grant itself (protocol.md §5)."""

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import UnauthorizedClientError, UnsupportedGrantTypeError
from flask import Request as FlaskRequest, Response

from idp.oidc import authentication, errors, server as protocol
from idp.oidc.incoming import Request
from idp.oidc.server import Server


def answer(asked: FlaskRequest) -> Response:
    """Tokens, or an OAuth error. Nothing raises past here, so what a replay revoked stays revoked."""
    server = protocol.current()
    try:
        request = server.from_client(asked)
    except OAuth2Error as error:
        return protocol.refused(error)
    try:
        server.authenticate_client(request)
        _check_grant_type(request, server)
    except OAuth2Error as error:
        return protocol.refused(error, tried_basic=authentication.tried_basic(request))
    response: Response = server.create_token_response(request)
    return response


def _check_grant_type(request: Request, server: Server) -> None:
    """Sent, one we have, and one the client is registered for."""
    if (asked := request.sent.get("grant_type")) is None:
        raise errors.invalid("grant_type", "missing")
    if asked not in server.grant_types:
        raise UnsupportedGrantTypeError(None)
    if not request.client.check_grant_type(asked):
        raise UnauthorizedClientError(description="grant_type: this client is not registered for it")
