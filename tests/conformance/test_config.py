"""Config OP (protocol.md §3.1): the discovery document and the keys."""

import re
from urllib.parse import urlsplit

import pytest

from tests.conformance import conditions

PLAN = "Config OP"
MODULE = "oidcc-{}"

REQUIRED_METADATA = {
    "issuer": str, "authorization_endpoint": str, "token_endpoint": str, "userinfo_endpoint": str, "jwks_uri": str,
    "registration_endpoint": str, "end_session_endpoint": str, "scopes_supported": list, "claims_supported": list,
    "response_types_supported": list, "response_modes_supported": list, "grant_types_supported": list,
    "subject_types_supported": list, "acr_values_supported": list, "code_challenge_methods_supported": list,
    "id_token_signing_alg_values_supported": list, "userinfo_signing_alg_values_supported": list,
    "request_object_signing_alg_values_supported": list, "token_endpoint_auth_methods_supported": list,
    "token_endpoint_auth_signing_alg_values_supported": list, "display_values_supported": list,
    "claim_types_supported": list, "ui_locales_supported": list, "claims_parameter_supported": bool,
    "request_parameter_supported": bool, "request_uri_parameter_supported": bool,
}  # fmt: skip
"""The members of OpenID Connect Discovery 1.0 §3 that we publish, and their types."""

REGISTERED = {
    *REQUIRED_METADATA, "service_documentation", "op_policy_uri", "op_tos_uri", "claims_locales_supported",
    "require_request_uri_registration", "id_token_encryption_alg_values_supported",
    "id_token_encryption_enc_values_supported", "userinfo_encryption_alg_values_supported",
    "userinfo_encryption_enc_values_supported", "request_object_encryption_alg_values_supported",
    "request_object_encryption_enc_values_supported", "revocation_endpoint", "introspection_endpoint",
    "revocation_endpoint_auth_methods_supported", "revocation_endpoint_auth_signing_alg_values_supported",
    "introspection_endpoint_auth_methods_supported", "introspection_endpoint_auth_signing_alg_values_supported",
    "device_authorization_endpoint", "pushed_authorization_request_endpoint", "require_pushed_authorization_requests",
    "require_signed_request_object", "authorization_signing_alg_values_supported",
    "introspection_signing_alg_values_supported", "authorization_response_iss_parameter_supported",
    "dpop_signing_alg_values_supported", "prompt_values_supported", "backchannel_logout_supported",
    "backchannel_logout_session_supported", "frontchannel_logout_supported", "frontchannel_logout_session_supported",
    "check_session_iframe", "signed_metadata", "mtls_endpoint_aliases", "protected_resources",
    "tls_client_certificate_bound_access_tokens", "authorization_details_types_supported",
}  # fmt: skip
"""The names in IANA's registry of OAuth Authorization Server Metadata that apply to a server like ours."""

SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""RFC 6749 §3.3."""
LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
"""BCP 47: language, script, region, in the casing that it recommends."""


@pytest.mark.spec(
    "OpenID Connect Discovery 1.0", "3", requirement="The metadata is valid and complete, at the issuer's own URL"
)
def test_discovery_endpoint_verification(provider):
    response = provider.get("/.well-known/openid-configuration")
    assert response.status_code == 200
    conditions.is_json(response)
    metadata = response.json()
    assert response.url == metadata["issuer"] + "/.well-known/openid-configuration"
    issuer = urlsplit(metadata["issuer"])
    assert (issuer.scheme, issuer.query, issuer.fragment) == ("https", "", "")

    assert {name: type(metadata[name]) for name in REQUIRED_METADATA} == REQUIRED_METADATA
    assert set(metadata) <= REGISTERED
    assert all(values for values in metadata.values() if isinstance(values, list))
    for name, url in metadata.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert urlsplit(url).scheme == "https", name
            assert not urlsplit(url).fragment, name

    conditions.keys(provider.http.get(metadata["jwks_uri"], timeout=20).json())
    assert metadata["response_types_supported"] == ["code"]
    assert set(metadata["subject_types_supported"]) <= {"public", "pairwise"}
    assert "RS256" in metadata["id_token_signing_alg_values_supported"]
    assert "RS256" in metadata["request_object_signing_alg_values_supported"]
    assert "authorization_code" in metadata["grant_types_supported"]
    assert "openid" in metadata["scopes_supported"]
    assert all(SCOPE.fullmatch(scope) for scope in metadata["scopes_supported"])
    assert all(LOCALE.fullmatch(locale) for locale in metadata["ui_locales_supported"])
    assert {"sub", "iss", "auth_time", "acr"} <= set(metadata["claims_supported"])
