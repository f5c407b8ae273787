"""Signed authorization requests, by value (RFC 9101): only the signed parameters count.

Authlib leaves `iss` and `aud` unchecked and lets `none` pass (protocol.md §4.2, 12).
"""

from typing import Any, Final

from authlib.oidc.core.errors import InvalidRequestObjectError

from idp.foundation import clock, descriptions, runtime
from idp.keys import jwts
from idp.keys.jwts import InvalidJwt
from idp.oidc import incoming
from idp.oidc.clients import client_keys
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import Parameters

MAX_LENGTH: Final = incoming.MAX_LENGTHS["request"]
"""Characters of a request object."""
TYPE: Final = "oauth-authz-req+jwt"
"""The `typ` of a request object that has one of its own (RFC 9101 §9.4.1)."""
MAX_WINDOW_SECONDS: Final = 3600
"""For `fapi2`: how old `nbf` may be, and how long after `nbf` `exp` may be (FAPI 2.0 Message Signing §5.3.1)."""
JSON_PARAMETERS: Final[dict[str, type]] = {"claims": dict, "authorization_details": list}
"""Parameters whose value is JSON: in a request object they may have this type instead of being a string."""


def parameters_of(request_object: str, client: OAuthClient, client_id: str | None) -> Parameters:
    """The parameters in a request object of `client`. Raises `InvalidRequestObjectError`."""
    try:
        return _read(request_object, client, client_id)
    except InvalidJwt as error:
        raise InvalidRequestObjectError(description=descriptions.sanitise(f"request: {error}")) from None


def algorithms(client: OAuthClient) -> tuple[str, ...]:
    """The algorithms accepted for a request object: the one the client registered, or all of its profile."""
    allowed = jwts.STRICT_ALGS if client.is_fapi2 else jwts.ASYMMETRIC
    registered = client.registered.request_object_signing_alg
    return allowed if registered is None else tuple(alg for alg in allowed if jwts.is_same_algorithm(alg, registered))


def _read(request_object: str, client: OAuthClient, client_id: str | None) -> Parameters:
    presented = jwts.parse(request_object, max_length=MAX_LENGTH)
    claims = presented.claims
    client_keys.verify(presented, client, algorithms(client))
    jwts.check_type(presented, TYPE)
    jwts.check_times(claims, skew=client.skew, leeway=client.leeway)
    audience = claims.get("aud")
    issuer = runtime.settings().server.issuer
    if claims.get("iss") != client.id:
        raise InvalidJwt(f"iss is {descriptions.format_value(claims.get('iss'))}; it must be the client_id")
    if issuer not in (audience if isinstance(audience, list) else [audience]):
        raise InvalidJwt(f"aud is {descriptions.format_value(audience)}; accepted is {issuer}")
    if claims.get("client_id") != client.id or client_id not in {None, client.id}:
        raise InvalidJwt("client_id must be the client's, in the request object and also beside it if sent there")
    if claims.get("sub") == client.id:  # or it would be a valid client assertion as well (RFC 9101 §10.8)
        raise InvalidJwt("sub must not be the client_id")
    if "request" in claims or "request_uri" in claims:
        raise InvalidJwt("must not contain request or request_uri")
    if client.is_fapi2:
        _check_window(claims)
    return _parameters(claims)


def _check_window(claims: dict[str, Any]) -> None:
    now = clock.now().timestamp()
    if (
        not {"exp", "nbf"} <= claims.keys()
        or now - claims["nbf"] > MAX_WINDOW_SECONDS
        or claims["exp"] - claims["nbf"] > MAX_WINDOW_SECONDS
    ):
        raise InvalidJwt(
            "exp and nbf are required: nbf at most "
            f"{MAX_WINDOW_SECONDS} seconds ago, exp at most {MAX_WINDOW_SECONDS} seconds after nbf"
        )


def _parameters(claims: dict[str, Any]) -> Parameters:
    """The claims that are parameters, as strings: an integer `max_age` and JSON values are converted."""
    selected = {name: value for name, value in claims.items() if name in incoming.AUTHORIZATION}
    return incoming.parameters(
        (name, _to_string(name, element)) for name, value in selected.items() for element in _values(name, value)
    )


def _values(name: str, value: Any) -> list[Any]:
    return value if name in incoming.REPEATABLE and isinstance(value, list) else [value]


def _to_string(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if name == "max_age" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, JSON_PARAMETERS.get(name, ())):
        return incoming.as_json(value)
    raise InvalidJwt(f"{descriptions.format_value(name)} must be a string")
