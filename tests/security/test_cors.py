"""S38: no page may be read from elsewhere; token and userinfo only from where public clients live (CVE-2026-37977)."""

import pytest

from idp.foundation import runtime
from tests.oidc.support import authorised

APP = "https://app.example"


@pytest.fixture
def app_client(world, app):
    with world.work():
        runtime.kept("idp.oidc.origins", dict).clear()
    return world.another(token_endpoint_auth_method="none", redirect_uris=[APP + "/callback"])


def preflight(web, path, origin):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "dpop"}
    return web.options(path, headers=headers)


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/par", "/oauth/userinfo", "/oauth/revoke"])
def test_an_app_without_a_secret_may_call_us_from_where_it_lives(web, app_client, path):
    response = preflight(web, path, APP)
    assert response.headers["Access-Control-Allow-Origin"] == APP
    assert "DPoP" in response.headers["Access-Control-Allow-Headers"]
    answer = web.post(path, data={}, headers={"Origin": APP})
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://app.example", "https://assembly.example"])
def test_nobody_else_may(web, app_client, origin):
    for path in ("/oauth/token", "/oauth/userinfo"):
        assert "Access-Control-Allow-Origin" not in preflight(web, path, origin).headers
        assert "Access-Control-Allow-Origin" not in web.post(path, headers={"Origin": origin}).headers


@pytest.mark.parametrize(
    "path", ["/oauth/authorize", "/oauth/consent", "/oauth/logout", "/oauth/introspect", "/sign-in"]
)
def test_no_page_and_no_other_endpoint(web, app_client, path):
    assert "Access-Control-Allow-Origin" not in web.get(path, headers={"Origin": APP}).headers
    assert "Access-Control-Allow-Origin" not in preflight(web, path, APP).headers


def test_the_whole_way_of_such_an_app(web, world, app_client):
    code = authorised(web, app_client, world.username)["code"]
    form = {"client_id": app_client.id, "grant_type": "authorization_code", "code": code,
            "redirect_uri": app_client.redirect_uri, "code_verifier": app_client.verifier}  # fmt: skip
    response = web.post("/oauth/token", data=form, headers={"Origin": APP})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == APP
