"""Userinfo: who the access token is about, as things stand now (OpenID Connect Core §5.3)."""

from typing import Any, Final

from authlib.oauth2 import OAuth2Error
from flask import Request as FlaskRequest, Response

from idp.foundation import database, runtime, scopes
from idp.keys import ring
from idp.oidc import claims, errors, incoming, records, server as protocol, tokens
from idp.oidc.extensions import dpop
from idp.oidc.server import FORM, LARGEST
from idp.oidc.tokens import Access

TOKEN: Final = frozenset({"access_token"})
"""What is read of a form (RFC 6750 §2.2)."""


class NoToken(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """Nothing was presented: challenges without an error say how (RFC 6750 §3.1, RFC 9449 §7.1)."""

    error = "invalid_token"
    status_code = 401


def answer(asked: FlaskRequest) -> Response:
    """The claims as JSON, or as a JWT where the client registered for that; or an error with its challenge."""
    database.one_by_one()  # noting a proof of possession is one statement, which stands by itself
    try:
        return dpop.with_nonce(_said(_read(*_presented(asked), asked)))
    except OAuth2Error as error:
        return dpop.with_nonce(_refused(error))


def _said(token: Access) -> Response:
    said = about(token)
    alg = token.client.registered.userinfo_signed_response_alg
    if alg is None:
        return protocol.answered(said)
    signed = said | {"iss": runtime.settings().server.issuer, "aud": token.client.id}
    return Response(ring.sign(signed, alg=alg, typ="JWT"), content_type="application/jwt")


def about(token: Access) -> dict[str, Any]:
    """All that the token's scopes, and the claims asked for by name, still cover."""
    assert token.state is not None
    assert token.person_id is not None
    person, school = records.person_in(token.row), records.school_in(token.row)
    named = claims.covered(token.said.get("claims", ()), token.state.allowed(frozenset(scopes.CLAIMS)))
    said = claims.about(token.state, token.scopes, "userinfo", person=person, school=school, named=named)
    if "organisation" in token.scopes:  # how the school stands, and so what of its agreement is withheld
        said["scope"] = scopes.format(token.scopes)
        if withheld := token.state.agreed(token.state.scopes) - token.state.allowed(token.state.scopes):
            said["withheld_scope"] = scopes.format(withheld)
    return {"sub": token.said["sub"], **said}


def _read(scheme: str, token: str, asked: FlaskRequest) -> Access:
    """The token, if it is good, for us, presented by who holds its key, and about a person who is still there."""
    access = tokens.read(token, tokens.WITH_CLAIMS)
    if access is None or not tokens.is_for_us(access):
        raise errors.InvalidToken
    bound_to = access.said.get("cnf", {}).get("jkt")
    if (scheme == "dpop") != (bound_to is not None):
        raise errors.InvalidToken  # a bound token as a bearer token, or the other way round (RFC 9449 §7.2)
    if bound_to is not None and dpop.key_of(asked, access.client, access_token=token) != bound_to:
        raise dpop.InvalidProof
    if "openid" not in access.scopes or access.state is None or access.state.person_left:
        raise errors.InsufficientScope
    return access


def _presented(asked: FlaskRequest) -> tuple[str, str]:
    """Scheme and token of the header or of the form; one of them, and never of the address (RFC 6750 §2)."""
    asked.max_content_length = LARGEST
    if "access_token" in asked.args:
        raise errors.invalid("access_token", "belongs into the header, not into the address")
    header = asked.headers.get("Authorization")
    sent = incoming.parameters(asked.form.items(multi=True), TOKEN) if asked.mimetype == FORM else None
    if sent and (fault := sent.fault()):
        raise errors.invalid(*fault)
    in_form = sent.get("access_token") if sent else None
    if header is None:
        if in_form is None:
            raise NoToken
        return "bearer", in_form
    if in_form is not None:
        raise errors.invalid("access_token", "was sent twice")
    scheme, _, token = header.partition(" ")
    if scheme.lower() not in {"bearer", "dpop"} or not token.strip():
        raise NoToken
    return scheme.lower(), token.strip()


def _refused(error: OAuth2Error) -> Response:
    """The error with its challenge; a proof that is wrong is a matter of the token here (RFC 9449 §7.1)."""
    if isinstance(error, dpop.InvalidProof | dpop.NonceNeeded):
        error.status_code = 401
    response = protocol.refused(error)
    if error.status_code in {401, 403}:
        for challenge in _challenges(error):
            response.headers.add("WWW-Authenticate", challenge)
    return response


def _challenges(error: OAuth2Error) -> list[str]:
    """How to come again; each scheme has a parameter at least (RFC 6750 §3)."""
    algs, said = f'algs="{" ".join(dpop.ALGS)}"', f'error="{error.error}"'
    if isinstance(error, NoToken):
        return ['Bearer realm="userinfo"', f"DPoP {algs}"]
    if isinstance(error, dpop.InvalidProof | dpop.NonceNeeded):
        return [f"DPoP {said}, {algs}"]
    return [f'Bearer {said}, scope="openid"' if isinstance(error, errors.InsufficientScope) else f"Bearer {said}"]
