"""Userinfo: the current claims about the person of the access token (OpenID Connect Core §5.3)."""

from typing import Any, Final

import structlog
from authlib.oauth2 import OAuth2Error
from flask import Request as FlaskRequest, Response

from idp.foundation import runtime, scopes
from idp.keys import ring
from idp.oidc import claims, errors, incoming, server as protocol
from idp.oidc.clients import dpop, failures
from idp.oidc.errors import Scheme
from idp.oidc.server import FORM_TYPE, MAX_BODY_BYTES
from idp.oidc.tokens import access_tokens
from idp.oidc.tokens.access_tokens import Access

TOKEN: Final = frozenset({"access_token"})
"""The only parameter that is read from a form (RFC 6750 §2.2)."""

SCHEMES: Final[dict[str, Scheme]] = {"bearer": "Bearer", "dpop": "DPoP"}

log = structlog.get_logger(__name__)


class NoToken(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """No token was presented: the challenges then have no error code (RFC 6750 §3.1, RFC 9449 §7.1)."""

    error = "invalid_token"
    status_code = 401


def answer(flask_request: FlaskRequest) -> Response:
    """The claims as JSON, or as a JWT where the client registered for that; or an error with its challenge."""
    try:
        return dpop.with_nonce(_success(_read(*_presented(flask_request), flask_request)))
    except OAuth2Error as error:
        failures.note_error(error)
        name, reason = failures.reason(error)
        log.info("token refused", code=error.error, name=name, reason=reason)
        return dpop.with_nonce(_refused(error))


def _success(token: Access) -> Response:
    body = about(token)
    alg = token.client.registered.userinfo_signed_response_alg
    if alg is None:
        return protocol.json_response(body)
    signed = body | {"iss": runtime.settings().server.issuer, "aud": token.client.id}
    return Response(ring.sign(signed, alg=alg, typ="JWT"), content_type="application/jwt")


def about(token: Access) -> dict[str, Any]:
    """The claims that the token's scopes, and the claims requested by name, cover now."""
    assert token.state is not None
    assert token.person_id is not None
    named = claims.covered(token.payload.get("claims", ()), token.state.allowed(frozenset(scopes.CLAIMS)))
    body = claims.about(token.state, token.scopes, "userinfo", person=token.person, school=token.school, named=named)
    if "organisation" in token.scopes:  # how the school stands, and so what of its agreement is withheld
        body["scope"] = scopes.format(token.scopes)
        if withheld := token.state.agreed(token.state.scopes) - token.state.allowed(token.state.scopes):
            body["withheld_scope"] = scopes.format(withheld)
    return {"sub": token.payload["sub"], **body}


def _read(scheme: Scheme, token: str, flask_request: FlaskRequest) -> Access:
    """The token, if it is valid, has us as audience, was sent with proof of its key, and its person still exists."""
    access = access_tokens.read(token, with_claims=True)
    if access is None:
        client_id, fact = access_tokens.refusal_reason(token)
        failures.set_client(client_id)
        raise errors.InvalidToken(fact, scheme)
    failures.set_client(access.client.id)
    bound_to = access.payload.get("cnf", {}).get("jkt")
    _check_scheme(scheme, bound_to)
    if not access_tokens.is_for_us(access):
        issuer = runtime.settings().server.issuer
        raise errors.InvalidToken(f"aud is {errors.shown(access.payload['aud'])}; accepted is {issuer}", scheme)
    if bound_to is not None:
        _check_proof(dpop.key_of(flask_request, access.client, access_token=token), bound_to)
    if access.state is None:
        raise errors.InsufficientScope("was issued to the client itself, so there is no person", scheme)
    if "openid" not in access.scopes:
        raise errors.InsufficientScope("does not cover the scope openid", scheme)
    return access


def _check_scheme(scheme: Scheme, bound_to: str | None) -> None:
    """Refuse a DPoP-bound token sent as a bearer token, and the reverse (RFC 9449 §7.2)."""
    if scheme == "Bearer" and bound_to is not None:
        raise errors.InvalidToken("is bound to a key, so it must be sent with the scheme DPoP and a proof", "DPoP")
    if scheme == "DPoP" and bound_to is None:
        raise errors.InvalidToken("is bound to no key, so it must be sent with the scheme Bearer", "Bearer")


def _check_proof(proven: str | None, bound_to: str) -> None:
    if proven is None:
        raise dpop.InvalidProof("missing; the access token is bound to a key, so a proof must come with it")
    if proven != bound_to:
        raise dpop.InvalidProof("made by another key than the access token is bound to")


def _presented(flask_request: FlaskRequest) -> tuple[Scheme, str]:
    """Scheme and token, from the header or the form; exactly one of them, and never from the query (RFC 6750 §2)."""
    flask_request.max_content_length = MAX_BODY_BYTES
    if "access_token" in flask_request.args:
        raise errors.invalid("access_token", "must be sent in the Authorization header, not in the query string")
    header = flask_request.headers.get("Authorization")
    sent = (
        incoming.parameters(flask_request.form.items(multi=True), TOKEN)
        if flask_request.mimetype == FORM_TYPE
        else None
    )
    if sent and (fault := sent.fault()):
        raise errors.invalid(*fault)
    in_form = sent.get("access_token") if sent else None
    if header is None:
        if in_form is None:
            raise NoToken
        return "Bearer", in_form
    if in_form is not None:
        raise errors.invalid("access_token", "must be sent once, in the Authorization header or in the form body")
    name, _, token = header.partition(" ")
    scheme = SCHEMES.get(name.lower())
    if scheme is None or not token.strip():
        raise NoToken
    return scheme, token.strip()


def _refused(error: OAuth2Error) -> Response:
    """The error with its challenge. Here a wrong proof is an error of the token (RFC 9449 §7.1)."""
    if isinstance(error, dpop.InvalidProof | dpop.NonceNeeded):
        error.status_code = 401
    response = protocol.error_response(error)
    if error.status_code in {401, 403}:
        for challenge in _challenges(error):
            response.headers.add("WWW-Authenticate", challenge)
    return response


def _challenges(error: OAuth2Error) -> list[str]:
    """The `WWW-Authenticate` challenges; each scheme needs a parameter (RFC 6750 §3)."""
    algs = f'algs="{" ".join(dpop.ALGS)}"'
    if isinstance(error, NoToken):
        return ['Bearer realm="userinfo"', f"DPoP {algs}"]
    parameters = [f'error="{error.error}"', f'error_description="{error.description}"']
    if isinstance(error, errors.InsufficientScope):
        parameters.append('scope="openid"')
    scheme: Scheme = getattr(error, "scheme", "DPoP")  # else it is about a proof
    return [f"{scheme} {', '.join([*parameters, algs] if scheme == 'DPoP' else parameters)}"]
