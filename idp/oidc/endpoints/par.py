"""Pushed authorization requests (RFC 9126): the same checks as at authorize, before any browser is involved."""

from flask import Request as FlaskRequest, Response, request as browser_request

from idp.foundation import runtime
from idp.oidc import authorization_server, errors
from idp.oidc.authorization import pending_requests
from idp.oidc.authorization_server import Server
from idp.oidc.clients import dpop
from idp.oidc.incoming import PAR, Request


def respond(flask_request: FlaskRequest) -> Response:
    """201 with a `request_uri`, or an OAuth error."""
    return dpop.with_nonce(authorization_server.respond_to_client(flask_request, _push, PAR))


def _push(server: Server, request: Request) -> Response:
    if "request_uri" in request.sent:
        raise errors.invalid("request_uri", "must not be pushed")
    if request.sent.get("client_id") not in {None, request.client.id}:
        raise errors.invalid("client_id", "must be that of the client that authenticated")
    request.sent.values.setdefault("client_id", request.client.id)
    request.dpop_jkt = dpop.proven_jkt(browser_request, request.client)
    try:
        server.get_authorization_grant(request).validate_authorization_request()
    except errors.NotToBeRedirected as error:
        raise errors.invalid(error.parameter, error.detail) from error
    checked = request.checked
    urn = pending_requests.store(checked.sent, checked.client, pushed=True, shown=False, dpop_jkt=checked.dpop_jkt)
    body = {"request_uri": urn, "expires_in": runtime.settings().tokens.pushed_request}
    return authorization_server.json_response(body, 201)
