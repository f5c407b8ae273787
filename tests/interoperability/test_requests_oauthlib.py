"""requests-oauthlib: OAuth 2.0 with PKCE; it refreshes tokens without being called for it, and ignores ID Tokens."""

from typing import Any
from urllib.parse import urlencode

from requests_oauthlib import OAuth2Session

ORIGIN = "https://oauthlib.example"
CALLBACK = f"{ORIGIN}/callback"
SCOPE = ["openid", "profile", "email", "offline_access"]


def test_requests_oauthlib_signs_in_refreshes_and_logs_out(provider, visitor):
    registered = provider.register(CALLBACK, token_endpoint_auth_method="client_secret_post")
    metadata, person = registered.metadata, visitor(ORIGIN)
    refreshed: list[dict[str, Any]] = []
    client = OAuth2Session(
        registered.client_id, redirect_uri=CALLBACK, scope=SCOPE, pkce="S256",
        auto_refresh_url=metadata["token_endpoint"],
        auto_refresh_kwargs={"client_id": registered.client_id, "client_secret": registered.secret},
        token_updater=refreshed.append,
    )  # fmt: skip

    url, _ = client.authorization_url(metadata["authorization_endpoint"])
    response = person.visit(url)
    token = client.fetch_token(
        metadata["token_endpoint"], authorization_response=f"{response.url}?{urlencode(response.query)}",
        client_secret=registered.secret, include_client_id=True,
    )  # fmt: skip
    assert client.get(metadata["userinfo_endpoint"]).json()["name"] == provider.name

    client.token = {**token, "expires_at": 1}  # as if the ten minutes were over
    assert client.get(metadata["userinfo_endpoint"]).status_code == 200
    [new_token] = refreshed
    assert new_token["access_token"] != token["access_token"]
    assert new_token["refresh_token"] == token["refresh_token"], (
        "the refresh token is still valid, and the client stores it"
    )

    person.open(f"{metadata['end_session_endpoint']}?{urlencode({'id_token_hint': new_token['id_token']})}")
    assert person.page.has("signed-out")
    silent_url, _ = client.authorization_url(metadata["authorization_endpoint"], prompt="none")
    assert ("error", "login_required") in person.open(silent_url).query


def test_requests_oauthlib_authenticates_by_basic_by_default(provider, visitor):
    registered = provider.register(CALLBACK)
    client = OAuth2Session(registered.client_id, redirect_uri=CALLBACK, scope=SCOPE, pkce="S256")
    response = visitor(ORIGIN).visit(client.authorization_url(registered.metadata["authorization_endpoint"])[0])
    token = client.fetch_token(
        registered.metadata["token_endpoint"], authorization_response=f"{response.url}?{urlencode(response.query)}",
        client_secret=registered.secret,
    )  # fmt: skip
    endpoint, auth = registered.metadata["token_endpoint"], (registered.client_id, registered.secret)
    assert client.refresh_token(endpoint, auth=auth)["access_token"] != token["access_token"]
