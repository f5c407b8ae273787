"""Responses to internal errors and to too many requests: JSON for programs, a page for people."""

import pytest
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import TooManyRequests

from idp.oidc.endpoints import authorize, token


def function_raising(error):
    def fail(*_args):
        raise error

    return fail


def test_a_client_gets_temporarily_unavailable_when_the_database_is_unreachable(web, world, monkeypatch):
    monkeypatch.setattr(token, "respond", function_raising(OperationalError("SELECT 1", {}, Exception("gone"))))
    response = world.partner.post(web, "/oauth/token", {"grant_type": "refresh_token"})
    assert response.status_code == 503
    assert response.json["error"] == "temporarily_unavailable"
    assert response.headers["Retry-After"]
    assert response.headers["Cache-Control"] == "no-store"


def test_a_person_sees_a_page_when_the_database_is_unreachable(web, world, monkeypatch):
    monkeypatch.setattr(authorize, "respond", function_raising(OperationalError("SELECT 1", {}, Exception("gone"))))
    response = web.get(world.partner.link())
    assert response.status_code == 503
    assert response.mimetype == "text/html"


def test_too_many_requests_say_when_to_retry(web, world, monkeypatch):
    monkeypatch.setattr(token, "respond", function_raising(TooManyRequests()))
    response = world.partner.post(web, "/oauth/token", {"grant_type": "refresh_token"})
    assert (response.status_code, response.mimetype) == (429, "application/json")
    assert response.headers["Retry-After"] == "60"


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/oauth/token", "GET", "POST"), ("/oauth/par", "PUT", "POST"), ("/oauth/introspect", "GET", "POST"),
        ("/oauth/revoke", "DELETE", "POST"), ("/oauth/device_authorization", "GET", "POST"),
        ("/oauth/userinfo", "PUT", "GET"), ("/oauth/register", "GET", "POST"), ("/oauth/register/x", "PATCH", "PUT"),
        ("/oauth/jwks", "POST", "GET"), ("/.well-known/openid-configuration", "POST", "GET"),
    ],
)  # fmt: skip
def test_a_wrong_method_gets_json_with_the_allowed_ones(web, path, method, allowed):
    response = web.open(path, method=method)
    assert (response.status_code, response.mimetype) == (405, "application/json")
    assert allowed in response.headers["Allow"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json["error"] == "invalid_request"


def test_a_refusal_before_the_endpoint_is_json(web):
    for refused in (
        web.get("/oauth/userinfo", data={"access_token": "x"}),
        web.post("/oauth/token", data={"a": "b"}, headers={"Host": "elsewhere.example"}),
    ):
        assert (refused.status_code, refused.mimetype) == (400, "application/json")
        assert refused.json["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/sign-in", "PUT", 405), ("/oauth/authorize", "PUT", 405), ("/nowhere", "POST", 404)],
)
def test_a_wrong_method_or_path_shows_a_person_a_page(web, path, method, status):
    response = web.open(path, method=method)
    assert (response.status_code, response.mimetype) == (status, "text/html")


def test_a_response_without_a_body_has_no_content_type(web, world):
    response = world.partner.post(web, "/oauth/revoke", {"token": "unknown"})
    assert (response.status_code, response.data) == (200, b"")
    assert "Content-Type" not in response.headers
