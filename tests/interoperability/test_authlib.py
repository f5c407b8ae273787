"""Authlib's client with requests: OAuth 2.0 and PKCE; the ID Token by its claims class."""

from urllib.parse import urlencode

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

ORIGIN = "https://authlib.example"
CALLBACK, POST_LOGOUT_URI = f"{ORIGIN}/callback", f"{ORIGIN}/bye"
SCOPE = "openid profile email offline_access"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_signs_in_refreshes_revokes_and_logs_out(provider, visitor, method):
    registered = provider.register(
        CALLBACK, post_logout_redirect_uris=[POST_LOGOUT_URI], token_endpoint_auth_method=method
    )
    metadata, person = registered.metadata, visitor(ORIGIN)
    client = OAuth2Session(
        registered.client_id, registered.secret, scope=SCOPE, redirect_uri=CALLBACK, code_challenge_method="S256",
        token_endpoint_auth_method=method, revocation_endpoint_auth_method=method,
        token_endpoint=metadata["token_endpoint"],
    )  # fmt: skip

    url, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier="v" * 48, nonce="n")
    response = person.visit(url)
    callback_url = f"{response.url}?{urlencode(response.query)}"
    token = client.fetch_token(authorization_response=callback_url, state=state, code_verifier="v" * 48)
    claims = claims_of(token, registered)
    assert client.get(metadata["userinfo_endpoint"]).json() == {"sub": claims["sub"]} | userinfo_of(client, metadata)

    client.token["expires_at"] = 1  # as if the ten minutes were over: it refreshes by itself
    assert client.get(metadata["userinfo_endpoint"]).status_code == 200
    assert client.token["access_token"] != token["access_token"]

    client.revoke_token(metadata["revocation_endpoint"], token["refresh_token"])
    assert client.get(metadata["userinfo_endpoint"]).status_code == 401

    logout_request = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": POST_LOGOUT_URI, "state": "bye"}
    assert person.open(f"{metadata['end_session_endpoint']}?{urlencode(logout_request)}").query == [("state", "bye")]
    silent_url, _ = client.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier="v" * 48, prompt="none"
    )
    assert ("error", "login_required") in person.open(silent_url).query


def claims_of(token, registered):
    """The claims of the ID Token, decoded and validated (OpenID Connect Core §3.1.3.7)."""
    keys = KeySet.import_key_set(requests.get(registered.metadata["jwks_uri"], timeout=20).json())
    decoded = jwt.decode(
        token["id_token"], keys, algorithms=registered.metadata["id_token_signing_alg_values_supported"]
    )
    claims = CodeIDToken(
        decoded.claims, decoded.header, params={"nonce": "n", "access_token": token["access_token"]},
        options={"iss": {"value": registered.metadata["issuer"]}, "aud": {"value": registered.client_id}},
    )  # fmt: skip
    claims.validate()
    return claims


def userinfo_of(client, metadata):
    userinfo = client.get(metadata["userinfo_endpoint"]).json()
    assert userinfo["email_verified"] is True
    return userinfo
