"""Userinfo: the current claims about the person of the access token (OpenID Connect Core §5.3)."""

from typing import Any

import structlog
from authlib.oauth2 import OAuth2Error
from flask import Request as FlaskRequest, Response

from idp.foundation import runtime, scopes
from idp.keys import ring
from idp.oidc import authorization_server, claims, errors
from idp.oidc.clients import dpop, failures, milestones
from idp.oidc.endpoints import presented_token
from idp.oidc.tokens.access_tokens import Access

log = structlog.get_logger(__name__)


def respond(flask_request: FlaskRequest) -> Response:
    """The claims as JSON, or as a JWT where the client registered for that; or an error with its challenge."""
    try:
        return dpop.with_nonce(_success(_read(flask_request)))
    except OAuth2Error as error:
        failures.note_error(error)
        name, reason = failures.reason(error)
        log.info("token refused", code=error.error, name=name, reason=reason)
        return dpop.with_nonce(_refused(error))


def _success(token: Access) -> Response:
    milestones.note(token.client, "data")
    body = userinfo_claims(token)
    alg = token.client.registered.userinfo_signed_response_alg
    if alg is None:
        return authorization_server.json_response(body)
    signed = body | {"iss": runtime.settings().server.issuer, "aud": token.client.id}
    return Response(ring.sign(signed, alg=alg, typ="JWT"), content_type="application/jwt")


def userinfo_claims(token: Access) -> dict[str, Any]:
    """The claims that the token's scopes, and the claims requested by name, cover now."""
    assert token.state is not None
    assert token.person_id is not None
    requested = claims.covered_claims(token.payload.get("claims", ()), token.state.allowed(frozenset(scopes.CLAIMS)))
    body = claims.claims_for(
        token.state, token.scopes, "userinfo", person=token.person, school=token.school, named=requested
    )
    if "organisation" in token.scopes:  # its claim has the school's state, which decides what is withheld
        body["scope"] = scopes.format(token.scopes)
        if withheld := token.state.agreed(token.state.scopes) - token.state.allowed(token.state.scopes):
            body["withheld_scope"] = scopes.format(withheld)
    return {"sub": token.payload["sub"], **body}


def _read(flask_request: FlaskRequest) -> Access:
    """The token, if it is valid and about a person."""
    access, scheme = presented_token.read(flask_request, in_form=True, with_claims=True)
    if access.state is None:
        raise errors.InsufficientScope("was issued to the client itself, so there is no person", scheme)
    if "openid" not in access.scopes:
        raise errors.InsufficientScope("does not cover the scope openid", scheme)
    return access


def _refused(error: OAuth2Error) -> Response:
    """The error with its challenges."""
    error.status_code = presented_token.status_of(error)
    response = authorization_server.error_response(error)
    for challenge in presented_token.challenges(error, realm="userinfo", scope="openid"):
        response.headers.add("WWW-Authenticate", challenge)
    return response
