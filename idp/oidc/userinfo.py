"""Userinfo: who the access token is about, as things stand now (OpenID Connect Core §5.3)."""

from typing import Any

from authlib.oauth2 import OAuth2Error
from flask import Request as FlaskRequest, Response, json

from idp.foundation import runtime
from idp.keys import ring
from idp.oidc import claims, errors, incoming, records, server as protocol, tokens
from idp.oidc.server import FORM, LARGEST, NOT_STORED
from idp.oidc.tokens import Access


class NoToken(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """Nothing was presented: a bare challenge says how (RFC 6750 §3.1)."""

    error = "invalid_token"
    status_code = 401


def answer(asked: FlaskRequest) -> Response:
    """The claims as JSON, or as a JWT where the client registered for that; or an error with its challenge."""
    try:
        token = _read(_presented(asked))
    except OAuth2Error as error:
        return _refused(error)
    said = about(token)
    alg = token.client.registered.userinfo_signed_response_alg
    if alg is None:
        return Response(json.dumps(said), mimetype="application/json", headers=NOT_STORED)
    signed = said | {"iss": runtime.settings().server.issuer, "aud": token.client.id}
    return Response(ring.sign(signed, alg=alg, typ="JWT"), content_type="application/jwt", headers=NOT_STORED)


def about(token: Access) -> dict[str, Any]:
    """All that the token's scopes, and the claims asked for by name, still cover."""
    assert token.state is not None
    assert token.person_id is not None
    person = records.person(token.person_id)
    school = records.school(token.state.school_id) if "organisation" in token.scopes else None
    named = claims.covered(token.said.get("claims", ()), token.state.allowed(frozenset(claims.CLAIMS)))
    said = claims.about(token.state, token.scopes, "userinfo", person=person, school=school, named=named)
    return {"sub": token.said["sub"], **said}


def _read(token: str) -> Access:
    """The token, if it is good, for us, and about a person who is still there."""
    access = tokens.read(token)
    if access is None or not tokens.is_for_us(access) or "cnf" in access.said:
        raise errors.InvalidToken
    if "openid" not in access.scopes or access.state is None or access.state.person_left:
        raise errors.InsufficientScope
    return access


def _presented(asked: FlaskRequest) -> str:
    """The access token of the header or of the form; one of them, and never of the address (RFC 6750 §2)."""
    asked.max_content_length = LARGEST
    if "access_token" in asked.args:
        raise errors.invalid("access_token", "belongs into the header, not into the address")
    header = asked.headers.get("Authorization")
    sent = incoming.parameters(asked.form.items(multi=True)) if asked.mimetype == FORM else None
    if sent and (fault := sent.fault()):
        raise errors.invalid(*fault)
    in_form = sent.get("access_token") if sent else None
    if header is None:
        if in_form is None:
            raise NoToken
        return in_form
    if in_form is not None:
        raise errors.invalid("access_token", "was sent twice")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NoToken
    return token.strip()


def _refused(error: OAuth2Error) -> Response:
    response = protocol.refused(error)
    if error.status_code in {401, 403}:
        said = [] if isinstance(error, NoToken) else [f'error="{error.error}"']
        if isinstance(error, errors.InsufficientScope):
            said.append('scope="openid"')
        response.headers["WWW-Authenticate"] = " ".join(["Bearer", ", ".join(said)]).strip()
    return response
