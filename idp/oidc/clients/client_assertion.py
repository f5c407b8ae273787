"""Clients that authenticate by a signed JWT: `private_key_jwt` and `client_secret_jwt` (RFC 7523, OpenID Connect §9).

Authlib accepts any audience in a list, any lifetime, and a differing `client_id` (protocol.md §4.2, 11).
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from joserfc.jwk import OctKey

from idp.foundation import clock, crypto, descriptions, inserts, runtime
from idp.keys import jwts
from idp.keys.jwts import InvalidJwt, Presented
from idp.oidc import errors
from idp.oidc.clients import client_keys, failures
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import Request
from idp.oidc.models import UsedJti
from idp.partners import registry

FindClient = Callable[[str | None], OAuthClient | None]

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The only `client_assertion_type` that we accept (RFC 7523 §2.2)."""
JWT_TYPE: Final = "client-authentication+jwt"
"""The `typ` of an assertion that has a type of its own."""
MAX_LIFETIME_SECONDS: Final = 600
"""The longest time from now until `exp`."""


def authenticate(find: FindClient, request: Request) -> OAuthClient | None:
    """The client that signed the assertion; None if the signature is invalid, for a reason that only the logs have.

    Raises `ProvenClientRefused` if the signature is valid and something else is wrong.
    """
    try:
        return _verified_client(find, request)
    except InvalidJwt as error:
        failures.set_reason("client_assertion", str(error))
        return None


def subject(assertion: str) -> str | None:
    """The client id in an assertion, not verified; None if there is none."""
    try:
        sub = jwts.parse(assertion).claims.get("sub")
    except InvalidJwt:
        return None
    return sub if isinstance(sub, str) else None


def method(request: Request) -> str:
    """The authentication method of the assertion, by its algorithm alone."""
    try:
        alg = jwts.parse(request.sent.get("client_assertion") or "").alg
    except InvalidJwt:
        alg = ""
    return "client_secret_jwt" if alg in jwts.SYMMETRIC else "private_key_jwt"


def algorithms(client: OAuthClient) -> tuple[str, ...]:
    """The algorithms this client may sign with: the registered one, or all of its profile and method."""
    if client.signs_with_secret:
        return jwts.SYMMETRIC
    allowed = jwts.STRICT_ALGS if client.is_fapi2 else jwts.ASYMMETRIC
    registered = client.registered.token_endpoint_auth_signing_alg
    return allowed if registered is None else tuple(alg for alg in allowed if jwts.is_same_algorithm(alg, registered))


def _verified_client(find: FindClient, request: Request) -> OAuthClient:
    if request.sent.get("client_assertion_type") != TYPE:
        raise InvalidJwt(f"client_assertion_type must be {TYPE}")
    presented = jwts.parse(request.sent.get("client_assertion") or "")
    claims = presented.claims
    sub = claims.get("sub")
    client = find(sub) if isinstance(sub, str) else None
    if client is None or claims.get("iss") != sub or request.sent.get("client_id") not in {None, sub}:
        raise InvalidJwt("iss and sub, and client_id if it is sent, must be the client_id of one registered client")
    _verify_signature(presented, client)
    try:
        jwts.check_type(presented, JWT_TYPE)
        jwts.check_times(claims, skew=client.skew, leeway=client.leeway, max_lifetime=MAX_LIFETIME_SECONDS)
        _check_audience(claims.get("aud"), client, request)
        _store_jti(claims, client)
    except InvalidJwt as error:
        raise errors.ProvenClientRefused(str(error)) from None
    return client


def _verify_signature(presented: Presented, client: OAuthClient) -> None:
    if client.signs_with_secret:
        keys = [OctKey.import_key(key) for key in registry.hmac_keys(client.registered)]
        jwts.verify(presented, keys, algorithms(client))
    else:
        client_keys.verify(presented, client, algorithms(client))


def _check_audience(aud: object, client: OAuthClient, request: Request) -> None:
    """Accept under `fapi2` the issuer alone, as a string; otherwise also the endpoint, alone or in a list."""
    issuer = runtime.settings().server.issuer
    if client.is_fapi2:
        if aud != issuer:
            raise InvalidJwt(f"aud is {descriptions.format_value(aud)}; accepted is {issuer} alone, as a string")
        return
    accepted = [issuer, *sorted({runtime.url("/oauth/token"), runtime.url(request.path)})]
    if not any(audience in accepted for audience in (aud if isinstance(aud, list) else [aud])):
        raise InvalidJwt(f"aud is {descriptions.format_value(aud)}; accepted is {' or '.join(accepted)}")


def _store_jti(claims: dict[str, Any], client: OAuthClient) -> None:
    """Accept each `jti` once (RFC 7523 §3)."""
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise InvalidJwt("jti must be a string, and not empty")
    expires_at = clock.now() + timedelta(seconds=MAX_LIFETIME_SECONDS + client.skew + client.leeway)
    if not inserts.insert_if_absent(
        UsedJti, digest=crypto.hmac_sha256(b"assertion", client.id, jti), expires_at=expires_at
    ):
        raise InvalidJwt("the jti was used before: each request needs a new assertion")
