"""security.md S38: no page may be read from another origin; token and userinfo only from the origins of public clients
(CVE-2026-37977).
"""

import time

import pytest

from idp.oidc.endpoints import cors
from idp.partners import registry
from idp.partners.models import Client
from tests.oidc.support import sign_in_and_authorise

APP = "https://app.example"


@pytest.fixture
def app_client(world, app):
    cors._ORIGINS.for_app(app).read_at = float("-inf")
    return world.new_partner(token_endpoint_auth_method="none", redirect_uris=[APP + "/callback"])


def preflight(web, path, origin):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "dpop"}
    return web.options(path, headers=headers)


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/par", "/oauth/userinfo", "/oauth/revoke"])
def test_a_public_client_may_call_us_from_its_origin(web, app_client, path):
    response = preflight(web, path, APP)
    assert response.headers["Access-Control-Allow-Origin"] == APP
    assert "DPoP" in response.headers["Access-Control-Allow-Headers"]
    response = web.post(path, data={}, headers={"Origin": APP})
    assert response.headers["Access-Control-Allow-Origin"] == APP
    assert "WWW-Authenticate" in response.headers["Access-Control-Expose-Headers"]
    assert "Origin" in response.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://app.example", "https://assembly.example"])
def test_no_other_origin_may_call_us(web, app_client, origin):
    for path in ("/oauth/token", "/oauth/userinfo"):
        assert "Access-Control-Allow-Origin" not in preflight(web, path, origin).headers
        assert "Access-Control-Allow-Origin" not in web.post(path, headers={"Origin": origin}).headers


@pytest.mark.parametrize(
    "path", ["/oauth/authorize", "/oauth/consent", "/oauth/logout", "/oauth/introspect", "/sign-in"]
)
def test_no_page_and_no_other_endpoint_allows_other_origins(web, app_client, path):
    assert "Access-Control-Allow-Origin" not in web.get(path, headers={"Origin": APP}).headers
    assert "Access-Control-Allow-Origin" not in preflight(web, path, APP).headers


@pytest.mark.parametrize(
    "path", ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/oauth/jwks"]
)
def test_keys_and_metadata_may_be_read_from_anywhere_with_any_header(web, path):
    """Libraries send headers for which a browser sends a preflight request."""
    headers = {"Origin": "https://any.example", "Access-Control-Request-Method": "GET",
               "Access-Control-Request-Headers": "x-client-sku,cache-control"}  # fmt: skip
    response = web.options(path, headers=headers)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Allow-Headers"] == "*"
    assert response.headers["Access-Control-Allow-Methods"] == "GET"
    for _ in range(2):  # the second is answered from the cache
        assert web.get(path, headers={"Origin": "https://any.example"}).headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("registered", "origin"),
    [
        ("https://app.example:443/cb", "https://app.example"),
        ("https://app.example:8443/cb", "https://app.example:8443"),
        ("http://127.0.0.1/cb", "http://127.0.0.1"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152"),
        ("http://127.0.0.1:8000/cb", "http://127.0.0.1:49152"),
        ("http://127.0.0.1:80/cb", "http://127.0.0.1"),
        ("http://[::1]/cb", "http://[::1]:49152"),
        ("http://[::1]:8000/cb", "http://[::1]"),
    ],
)
def test_the_origin_is_as_a_browser_writes_it(web, world, app_client, registered, origin):
    world.new_partner(token_endpoint_auth_method="none", redirect_uris=[registered])
    assert preflight(web, "/oauth/token", origin).headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(
    "origin", ["https://app.example:8443", "http://127.0.0.1:0", "http://127.0.0.1:x", "http://[::1]"]
)
def test_another_port_of_the_host_is_another_origin(web, world, app_client, origin):
    world.new_partner(token_endpoint_auth_method="none", redirect_uris=["http://127.0.0.1/cb"])
    assert "Access-Control-Allow-Origin" not in preflight(web, "/oauth/token", origin).headers


def test_a_disabled_or_confidential_client_has_no_origin(web, world, app_client):
    """Its requests are refused in any case, and its pages may not read the reason."""
    world.new_partner(redirect_uris=["https://secret.example/callback"])
    world.change(Client, app_client.id, enabled=False)
    for origin in (APP, "https://secret.example"):
        assert "Access-Control-Allow-Origin" not in preflight(web, "/oauth/token", origin).headers


def test_a_client_of_a_disabled_partner_has_no_origin(web, world, app_client):
    with world.transaction():
        registry.switch_partner(registry.find(app_client.id).partner_name, on=False)
    assert "Access-Control-Allow-Origin" not in preflight(web, "/oauth/token", APP).headers


def test_changes_by_operators_take_effect_after_a_second(web, world, app_client, monkeypatch):
    """The change is made in another process, so it does not empty this one's cache."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert preflight(web, "/oauth/token", APP).headers["Access-Control-Allow-Origin"] == APP
    world.change(Client, app_client.id, enabled=False)
    world.new_partner(token_endpoint_auth_method="none", redirect_uris=["https://new.example/callback"])
    now += 1
    assert "Access-Control-Allow-Origin" not in preflight(web, "/oauth/token", APP).headers
    assert preflight(web, "/oauth/token", "https://new.example").headers["Access-Control-Allow-Origin"]


def test_a_browser_app_signs_in_from_its_own_origin(web, world, app_client):
    code = sign_in_and_authorise(web, app_client, world.username)["code"]
    form = {"client_id": app_client.id, "grant_type": "authorization_code", "code": code,
            "redirect_uri": app_client.redirect_uri, "code_verifier": app_client.verifier}  # fmt: skip
    response = web.post("/oauth/token", data=form, headers={"Origin": APP})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == APP
