"""Authlib's client with requests: OAuth 2.0 and PKCE; the ID Token by its claims class."""

from urllib.parse import urlencode

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

ORIGIN = "https://authlib.example"
CALLBACK, AWAY = f"{ORIGIN}/callback", f"{ORIGIN}/bye"
SCOPE = "openid profile email offline_access"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_sign_in_refresh_and_logout(scene, visitor, method):
    registered = scene.register(CALLBACK, post_logout_redirect_uris=[AWAY], token_endpoint_auth_method=method)
    about, person = registered.metadata, visitor(ORIGIN)
    client = OAuth2Session(
        registered.client_id, registered.secret, scope=SCOPE, redirect_uri=CALLBACK, code_challenge_method="S256",
        token_endpoint_auth_method=method, revocation_endpoint_auth_method=method,
        token_endpoint=about["token_endpoint"],
    )  # fmt: skip

    url, state = client.create_authorization_url(about["authorization_endpoint"], code_verifier="v" * 48, nonce="n")
    response = person.goes_to(url)
    answer = f"{response.address}?{urlencode(response.query)}"
    token = client.fetch_token(authorization_response=answer, state=state, code_verifier="v" * 48)
    claims = claims_of(token, registered)
    assert client.get(about["userinfo_endpoint"]).json() == {"sub": claims["sub"]} | person_of(client, about)

    client.token["expires_at"] = 1  # as if the ten minutes were over: it refreshes by itself
    assert client.get(about["userinfo_endpoint"]).status_code == 200
    assert client.token["access_token"] != token["access_token"]

    client.revoke_token(about["revocation_endpoint"], token["refresh_token"])
    assert client.get(about["userinfo_endpoint"]).status_code == 401

    out = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": AWAY, "state": "bye"}
    assert person.opens(f"{about['end_session_endpoint']}?{urlencode(out)}").query == [("state", "bye")]
    silently, _ = client.create_authorization_url(
        about["authorization_endpoint"], code_verifier="v" * 48, prompt="none"
    )
    assert ("error", "login_required") in person.opens(silently).query


def claims_of(token, registered):
    """Decoded and validated (OpenID Connect Core §3.1.3.7)."""
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


def person_of(client, about):
    userinfo = client.get(about["userinfo_endpoint"]).json()
    assert userinfo["email_verified"] is True
    return userinfo
