"""Introspection (RFC 7662): a token's client, and the API that it is for, check whether it is valid now.

A caller that requests a JWT by `Accept` gets the same response signed (RFC 9701), as evidence for others or for later.
"""

from typing import Any, Final

from flask import Request as FlaskRequest, Response, request as caller

from idp.foundation import clock, runtime, scopes
from idp.keys import ring
from idp.oidc import authorization_server, errors
from idp.oidc.authorization_server import Server
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import Request
from idp.oidc.tokens import access_tokens, families
from idp.oidc.tokens.access_tokens import Access

JSON: Final = "application/json"
JWT: Final = "application/token-introspection+jwt"
INACTIVE = {"active": False}
"""The response for a token that is expired, unknown or for another API (security.md S24)."""


def respond(flask_request: FlaskRequest) -> Response:
    """The state of the token, as JSON or as a JWT. `token_type_hint` is not needed."""
    return authorization_server.respond_to_client(flask_request, _introspect)


def _introspect(_server: Server, request: Request) -> Response:
    if request.client.registered.is_public:
        raise errors.invalid_client()  # the caller has to authenticate (RFC 7662 §2.1)
    if (token := request.sent.get("token")) is None:
        raise errors.invalid("token", "missing")
    body = visible_claims(token, request.client)
    return _signed(body, request.client) if _wants_jwt(caller) else authorization_server.json_response(body)


def _wants_jwt(flask_request: FlaskRequest) -> bool:
    """Whether `Accept` prefers the JWT (RFC 9701 §4); `*/*` gets JSON."""
    if JWT not in flask_request.headers.get("Accept", "").lower():
        return False
    return flask_request.accept_mimetypes.best_match([JSON, JWT]) == JWT


def _signed(body: dict[str, Any], caller: OAuthClient) -> Response:
    """The response as a JWT (RFC 9701 §5) for the calling client, whose id is in `aud`.

    The token's claims are in a claim of their own, so that the JWT is never taken for the token. Of a token that is not
    valid it has `active` alone, also where JSON has the reason: other members must not be included.
    """
    body = body if body["active"] else INACTIVE
    issuer = runtime.settings().server.issuer
    claims = {"iss": issuer, "aud": caller.id, "iat": clock.timestamp(), "token_introspection": body}
    token = ring.sign(claims, alg=caller.introspection_response_alg, typ="token-introspection+jwt")
    return Response(token.encode("ascii"), content_type=JWT)


def visible_claims(token: str, caller: OAuthClient) -> dict[str, Any]:
    """What the client `caller` may see of `token`: an API sees only the scopes that it serves.

    An API also gets the reason why a genuine, unexpired token for it is not valid: because the school has
    paused or stopped sharing, or its authorisation has ended. The API passes it on to the partner, who also
    gets an event.
    """
    if (access := access_tokens.read(token)) is not None:
        if access.client.id == caller.id:
            return {"active": True, **access_tokens.introspection_claims(access)}
        if caller.registered.resource in _audience(access):
            served = scopes.format(access.scopes & caller.registered.resource_scopes)
            return {"active": True, **access_tokens.introspection_claims(access), "scope": served}
        return INACTIVE
    if (status := access_tokens.why_not_in_force(token, caller.registered.resource)) is not None:
        return INACTIVE | {"authorisation_status": status}
    if (family := families.find(token)) is not None and family.basis.client_id == caller.id:
        return families.introspect(token, caller) or INACTIVE
    return INACTIVE


def _audience(access: Access) -> list[str]:
    audience = access.payload["aud"]
    return [audience] if isinstance(audience, str) else audience
