"""Local redirect targets, default headers, hosts, CSRF tokens, and who may call a route."""

import pytest
from hypothesis import given, strategies as st

from idp.foundation.web import security

LOCAL_PATHS = ["/", "/oauth/authorize?client_id=a&request_uri=urn%3Aietf", "/manage#sharing", "/a:b"]
FOREIGN_ADDRESSES = [
    None, "", "evil.test", "https://evil.test", "//evil.test", "/\\evil.test", "\\/evil.test", "/\t/evil.test",
    "https:evil.test", "javascript:alert(1)", "/\n/evil.test", " /ok", "/ok\x00", "///evil.test", "/\x7f", "/a\\b",
]  # fmt: skip


@pytest.mark.parametrize("path", LOCAL_PATHS)
def test_a_local_path_is_returned(path):
    assert security.local_path(path) == path


@pytest.mark.parametrize("path", FOREIGN_ADDRESSES)
def test_a_url_that_could_leave_our_host_becomes_the_home_page(path):
    assert security.local_path(path) == "/"


@given(st.text())
def test_for_any_text_the_result_begins_with_one_slash(path):
    local = security.local_path(path)

    assert local.startswith("/")
    assert not local.startswith(("//", "/\\"))


def test_every_page_has_the_default_headers(web):
    headers = web.get("/nowhere").headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


def test_every_response_has_a_new_nonce(web):
    assert (
        web.get("/nowhere").headers["Content-Security-Policy"] != web.get("/nowhere").headers["Content-Security-Policy"]
    )


@pytest.mark.parametrize("host", ["evil.test", "localhost:5000.evil.test", "localhost", "localhost:5001", ""])
def test_an_unknown_host_is_refused(web, host):
    assert web.get("/sign-in", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Original-URL", "Forwarded", "X-Forwarded-Prefix"])
def test_headers_that_claim_another_host_change_nothing(web, header):
    plain = web.get("/sign-in")
    hostile = web.get("/sign-in", headers={header: "host=evil.test"})

    assert hostile.status_code == plain.status_code
    assert b"evil.test" not in hostile.data


def test_health_checks_accept_any_host(web):
    assert web.get("/healthz", headers={"Host": "10.0.0.7"}).status_code == 200


def test_every_route_declares_who_may_call_it(app):
    undeclared = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static" and not hasattr(app.view_functions[rule.endpoint], "open_to")
    ]

    assert undeclared == []


@pytest.mark.parametrize(
    "path", ["/join/%00", "/register/%1f", "/oauth/register/a%00b", "/%0d%0aSet-Cookie:x", "/a%7f"]
)
def test_a_path_with_control_characters_is_not_found(web, path):
    assert web.get(path).status_code == 404


def test_a_post_without_a_csrf_token_changes_nothing_and_says_so(web):
    response = web.post("/sign-in", data={"username": "3124567", "password": "whatever it is"})

    assert response.status_code == 400
    assert "session" not in "".join(response.headers.getlist("Set-Cookie")).replace("form=", "")


def test_a_form_that_is_too_large_is_refused(web):
    assert web.post("/sign-in", data={"username": "x" * 2_000_000}).status_code == 413
