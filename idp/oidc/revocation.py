"""Revocation (RFC 7009): a refresh token takes its family and their access tokens along, an access token goes alone."""

from authlib.oauth2 import OAuth2Error
from flask import Request as FlaskRequest, Response

from idp.oidc import authentication, errors, families, server as protocol, tokens
from idp.oidc.incoming import Request
from idp.oidc.server import NOT_STORED


def answer(asked: FlaskRequest) -> Response:
    """200, also for a token that is unknown or dead: the client has what it wanted. `token_type_hint` is not needed."""
    server, tried_basic = protocol.current(), False
    try:
        request = server.from_client(asked)
        tried_basic = authentication.tried_basic(request)
        server.authenticate_client(request)
        _revoke(request)
    except OAuth2Error as error:
        return protocol.refused(error, tried_basic=tried_basic)
    return Response(status=200, headers=NOT_STORED)


def _revoke(request: Request) -> None:
    """Whichever it is; another client's is `invalid_grant` (RFC 7009 §2.1)."""
    if (token := request.sent.get("token")) is None:
        raise errors.invalid("token", "missing")
    if (family := families.find(token)) is not None:
        if family.client_id != request.client.id:
            raise errors.invalid_grant("token: was issued to another client")
        families.revoke(family, request.client)
    elif (access := tokens.read(token)) is not None:
        if access.client.id != request.client.id:
            raise errors.invalid_grant("token: was issued to another client")
        tokens.revoke(access)
