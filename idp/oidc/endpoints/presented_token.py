"""An access token presented to one of our own APIs (RFC 6750 §2, RFC 9449 §7): userinfo, and those for partners."""

from typing import Final, NamedTuple

from authlib.oauth2 import OAuth2Error
from flask import Request as FlaskRequest

from idp.foundation import descriptions, runtime
from idp.oidc import errors, incoming
from idp.oidc.authorization_server import FORM_TYPE, MAX_BODY_BYTES
from idp.oidc.clients import dpop, failures
from idp.oidc.errors import Scheme
from idp.oidc.tokens import access_tokens
from idp.oidc.tokens.access_tokens import Access

FORM_PARAMETERS: Final = frozenset({"access_token"})
"""The only parameter that is read from a form (RFC 6750 §2.2)."""

SCHEMES: Final[dict[str, Scheme]] = {"bearer": "Bearer", "dpop": "DPoP"}


class MissingToken(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """No token was presented: the challenges then have no error code (RFC 6750 §3.1, RFC 9449 §7.1)."""

    error = "invalid_token"
    description = "access_token: missing"
    status_code = 401


class PresentedToken(NamedTuple):
    """A valid token, and the scheme by which it was sent."""

    access: Access
    scheme: Scheme


def read(flask_request: FlaskRequest, *, in_form: bool = False, with_claims: bool = False) -> PresentedToken:
    """The token of a request, if it is valid, for us, and presented with proof of its key.

    `in_form`: it may also be sent in a form; `with_claims` is as for `access_tokens.read`. Raises `OAuth2Error`s, to
    which `challenges` belong; the reason is noted for the client's log.
    """
    scheme, token = _presented(flask_request, in_form=in_form)
    access = access_tokens.read(token, with_claims=with_claims)
    if access is None:
        client_id, reason = access_tokens.refusal_reason(token)
        failures.set_client(client_id)
        raise errors.InvalidToken(reason, scheme)
    failures.set_client(access.client.id)
    bound_to = access.payload.get("cnf", {}).get("jkt")
    _check_scheme(scheme, bound_to)
    if not access_tokens.is_for_us(access):
        issuer = runtime.settings().server.issuer
        raise errors.InvalidToken(
            f"aud is {descriptions.format_value(access.payload['aud'])}; accepted is {issuer}", scheme
        )
    if bound_to is not None:
        _check_proof(dpop.proven_jkt(flask_request, access.client, access_token=token), bound_to)
    return PresentedToken(access, scheme)


def status_of(error: OAuth2Error) -> int:
    """The status of the error; a wrong proof counts as a wrong token here (RFC 9449 §7.1)."""
    is_about_proof = isinstance(error, dpop.InvalidProof | dpop.NonceRequired)
    return 401 if is_about_proof else int(error.status_code)


def challenges(error: OAuth2Error, *, realm: str, scope: str) -> list[str]:
    """The `WWW-Authenticate` headers: how to authenticate; each scheme has at least one parameter (RFC 6750 §3).

    `scope` is what the API needs, named where the token has too little; empty if no scope would help. A token that was
    sent in a wrong way is challenged as well. Empty for other errors than these and those about a token.
    """
    status = status_of(error)
    if status not in {400, 401, 403}:
        return []
    algs = f'algs="{" ".join(dpop.ALGS)}"'
    if isinstance(error, MissingToken):
        return [f'Bearer realm="{realm}"', f"DPoP {algs}"]
    parameters = [f'error="{error.error}"', f'error_description="{error.description}"']
    if isinstance(error, errors.InsufficientScope) and scope:
        parameters.append(f'scope="{scope}"')
    scheme: Scheme = getattr(error, "scheme", "Bearer" if status == 400 else "DPoP")  # with 401 it is about a proof
    return [f"{scheme} {', '.join([*parameters, algs] if scheme == 'DPoP' else parameters)}"]


def _check_scheme(scheme: Scheme, bound_to: str | None) -> None:
    """Refuse a DPoP-bound token sent as a bearer token, and the reverse (RFC 9449 §7.2)."""
    if scheme == "Bearer" and bound_to is not None:
        raise errors.InvalidToken("is bound to a key, so it must be sent with the scheme DPoP and a proof", "DPoP")
    if scheme == "DPoP" and bound_to is None:
        raise errors.InvalidToken("is bound to no key, so it must be sent with the scheme Bearer", "Bearer")


def _check_proof(proven_jkt: str | None, bound_to: str) -> None:
    if proven_jkt is None:
        raise dpop.InvalidProof("missing; the access token is bound to a key, so a proof must come with it")
    if proven_jkt != bound_to:
        raise dpop.InvalidProof("made by another key than the access token is bound to")


def _presented(flask_request: FlaskRequest, *, in_form: bool) -> tuple[Scheme, str]:
    """Scheme and token, from the header or, if allowed, the form; one of them, never from the query (RFC 6750 §2)."""
    flask_request.max_content_length = MAX_BODY_BYTES
    if "access_token" in flask_request.args:
        raise errors.invalid("access_token", "must be sent in the Authorization header, not in the query string")
    header = flask_request.headers.get("Authorization")
    is_form = in_form and flask_request.mimetype == FORM_TYPE
    sent = incoming.parameters(flask_request.form.items(multi=True), FORM_PARAMETERS) if is_form else None
    if sent and (fault := sent.fault()):
        raise errors.invalid(*fault)
    token_in_form = sent.get("access_token") if sent else None
    if header is None:
        if token_in_form is None:
            raise MissingToken
        return "Bearer", token_in_form
    if token_in_form is not None:
        raise errors.invalid("access_token", "must be sent once, in the Authorization header or in the form body")
    name, _, token = header.partition(" ")
    scheme = SCHEMES.get(name.lower())
    if scheme is None or not token.strip():
        raise MissingToken
    return scheme, token.strip()
