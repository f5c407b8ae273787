"""The metadata document, at two paths, and the published keys.

The document is made from what is registered: an endpoint is advertised if its route exists, a grant if the server has
it, a method if it is registered (protocol.md §5).
"""

import hashlib
from typing import Any, Final

from flask import Response, current_app, json, request

from idp.foundation import runtime, scopes
from idp.foundation.fastpath import response_cache
from idp.foundation.runtime import PerApplication
from idp.keys import jwts, key, ring
from idp.oidc import authorization_server, claims
from idp.oidc.authorization import checks, responses
from idp.oidc.clients import dpop
from idp.signin import session

CACHE_SECONDS: Final = 300
"""How long the document and the keys may be cached by any client."""

ENDPOINTS: Final = {
    "authorization_endpoint": "oidc.authorization", "token_endpoint": "oidc.token",
    "userinfo_endpoint": "oidc.userinfo", "jwks_uri": "oidc.jwks", "revocation_endpoint": "oidc.revoke",
    "introspection_endpoint": "oidc.introspect", "end_session_endpoint": "oidc.logout",
    "pushed_authorization_request_endpoint": "oidc.push", "registration_endpoint": "oidc.register",
    "device_authorization_endpoint": "oidc.authorize_device",
}  # fmt: skip
"""The registered name of each endpoint, and our route behind it."""
AUTHENTICATED: Final = ("token", "revocation", "introspection")
"""Endpoints at which clients authenticate."""


def document() -> Response:
    """The metadata (OpenID Connect Discovery 1.0 §3, RFC 8414 §2)."""
    return _public(*_DOCUMENT.get())


def _document() -> tuple[bytes, str]:
    body = json.dumps(metadata(), indent=1).encode()
    return body, hashlib.sha256(body).hexdigest()[:32]


_DOCUMENT: Final = PerApplication(_document)
"""The document and its entity tag, made once."""


def keys() -> Response:
    """The published keys."""
    return _public(*ring.jwks())


def metadata() -> dict[str, Any]:
    """The metadata; tests compare each value with the server's behaviour."""
    server = authorization_server.current()
    endpoints = _endpoints()
    methods = [method for method in server.client_auth_methods if method != "none"]
    client_authentication = {
        f"{name}_endpoint_{member}_supported": values
        for name in AUTHENTICATED
        if f"{name}_endpoint" in endpoints
        for member, values in (
            ("auth_methods", methods if name == "introspection" else [*methods, "none"]),
            ("auth_signing_alg_values", [*jwts.ASYMMETRIC, *jwts.SYMMETRIC]),
        )
    }
    return {
        "issuer": runtime.settings().server.issuer,
        **endpoints,
        **client_authentication,
        "service_documentation": runtime.url("/api"),
        "scopes_supported": [name for name, scope in scopes.catalogue().items() if scope.kind != "client"],
        "response_types_supported": ["code"],
        "response_modes_supported": list(responses.MODES),
        "grant_types_supported": list(server.grant_types),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": list(reversed(key.ALGS)),
        "userinfo_signing_alg_values_supported": list(reversed(key.ALGS)),
        "acr_values_supported": [session.SINGLE, session.MULTI],
        "prompt_values_supported": list(checks.PROMPTS),
        "display_values_supported": ["page"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*claims.PROTOCOL_CLAIMS, *scopes.SCOPE_OF],
        "claims_parameter_supported": True,
        "request_parameter_supported": True,
        "request_object_signing_alg_values_supported": list(jwts.ASYMMETRIC),
        "require_signed_request_object": False,
        "authorization_signing_alg_values_supported": list(reversed(key.ALGS)),
        "introspection_signing_alg_values_supported": list(reversed(key.ALGS)),
        "dpop_signing_alg_values_supported": list(dpop.ALGS),
        "request_uri_parameter_supported": False,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "require_pushed_authorization_requests": False,
        "ui_locales_supported": ["en-GB"],
    }


def _endpoints() -> dict[str, str]:
    """The URL of every endpoint whose route exists."""
    routes = {rule.endpoint: rule.rule for rule in current_app.url_map.iter_rules()}
    return {name: runtime.url(routes[route]) for name, route in ENDPOINTS.items() if route in routes}


def _public(body: bytes, etag: str) -> Response:
    """A response that any cache may store and any origin may read."""
    response = Response(body, mimetype="application/json")
    response.set_etag(etag.strip('"'))
    response.headers["Cache-Control"] = f"public, max-age={CACHE_SECONDS}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response_cache.store(request.path, response, seconds=runtime.settings().keys.reread)
    response.make_conditional(request)
    return response
