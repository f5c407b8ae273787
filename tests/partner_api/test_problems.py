"""Every error of the API is a problem document (RFC 9457): what is wrong, and the URL of its explanation."""

from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from idp.partner_api import problems
from idp.partners import failure_log
from idp.sharing import client_schools
from tests.html import parse
from tests.oidc.support import obtain_tokens

SCHOOLS = "/api/schools"


@pytest.fixture(scope="module")
def anchors(session_app):
    """The anchors of the page that explains problems."""
    page = parse(session_app.test_client().get("/api", base_url="http://localhost:5000").text)
    return {element["id"] for element in page.find_all(id=True)}


@pytest.fixture
def check_problem(anchors):
    """`check_problem(response, code)` asserts a problem document that is explained; returns its detail."""

    def check(response, code):
        problem = response.json
        assert response.content_type == "application/problem+json"
        assert (problem["code"], problem["status"]) == (code, response.status_code)
        assert problem["type"] == f"http://localhost:5000/api#{code}"
        assert code in anchors
        assert problem["title"]
        assert problem["detail"]
        assert problem["request_id"] == response.headers["X-Request-ID"]
        return problem["detail"]

    return check


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=0", "limit: must be 1 or more"),
        ("limit=201", "limit: must be 200 or less"),
        ("limit=many", "limit: must be an integer"),
        ("limit=99999999999999999999", "limit: "),
        ("status=open", "status: must be one of active, expired, paused, withdrawn, not open"),
        ("verification=yes", "verification: must be one of closed, rejected, suspended, unverified, verified, not yes"),
        ("changed_since=yesterday", "changed_since: must be a date and time of RFC 3339, such as 2026-03-01T09:30:00Z"),
        ("changed_since=2026-03-01T00:00:00", "changed_since: must have a time zone, as 2026-03-01T09:30:00Z has"),
        ("changed_since=0001-01-01T00:00:00%2B14:00", "changed_since: is too early or too late"),
        ("changed_since=9999-12-31T23:59:59-14:00", "changed_since: is too early or too late"),
        ("cursor=%C3%A9", "cursor: must match ^[a-z0-9_]{1,60}$"),
        (f"cursor={'a' * 61}", "cursor: must match ^[a-z0-9_]{1,60}$"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(program, check_problem, query, detail):
    assert (
        check_problem(program.get(f"{SCHOOLS}?{query}", status=400), "invalid_request")
        .replace("`", "")
        .startswith(detail)
    )


def test_an_invalid_parameter_is_in_the_clients_log_but_an_unknown_school_is_not(program, transaction):
    program.get(f"{SCHOOLS}?status=open", status=400)
    program.get(f"{SCHOOLS}/9999999", status=404)
    with transaction():
        logged = [
            (event.endpoint, event.error, event.parameter, event.fact)
            for event in failure_log.newest(program.partner.id)
        ]
    assert logged == [
        ("GET /api/schools", "invalid_request", "status", "must be one of active, expired, paused, withdrawn, not open")
    ]


def test_a_parameter_that_is_missing_is_named(program, check_problem, transaction):
    detail = check_problem(program.get("/api/register/schools", status=400), "invalid_request")
    assert detail == "q: is missing from the query"
    with transaction():
        [event] = failure_log.newest(program.partner.id)
    assert (event.parameter, event.fact) == ("q", "is missing from the query")


def test_a_parameter_that_we_do_not_know_is_ignored(program):
    program.get(f"{SCHOOLS}?nonsense=1&limit=5&limit=6")


def test_a_request_without_a_token_gets_challenges_for_bearer_and_dpop(new_program, check_problem):
    refused = new_program().get(SCHOOLS, status=401)
    check_problem(refused, "invalid_token")
    assert refused.headers.get_all("WWW-Authenticate")[0] == 'Bearer realm="api"'
    assert refused.headers.get_all("WWW-Authenticate")[1].startswith("DPoP algs=")


def test_a_token_without_the_scope_is_refused_with_the_name_of_the_scope(program, check_problem, transaction):
    refused = program.request_token("invitations").get(SCHOOLS, status=403)
    assert "does not cover the scope schools.list" in check_problem(refused, "insufficient_scope")
    assert 'scope="schools.list"' in refused.headers["WWW-Authenticate"]


def test_no_scope_is_named_if_none_would_help(web, world, check_problem):
    """RFC 6750 §3: a `scope` in a challenge has at least one scope."""
    tokens = obtain_tokens(web, world.partner, world.username)
    refused = web.get("/api/register/schools?q=oak", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    check_problem(refused, "insufficient_scope")
    assert "scope=" not in refused.headers["WWW-Authenticate"].replace('error="insufficient_scope"', "")


@pytest.mark.parametrize(
    "token", ["nonsense", "a.b.c", "", "\N{LATIN SMALL LETTER E WITH ACUTE}".encode().decode("latin-1")]
)
def test_a_token_that_we_did_not_issue_is_refused(program, check_problem, token):
    program.token = token
    check_problem(program.get(SCHOOLS, status=401), "invalid_token")


def test_an_expired_or_revoked_token_is_refused_with_the_reason(program, check_problem, clock):
    program.partner.post(program.web, "/oauth/revoke", {"token": program.token})
    assert "was revoked" in check_problem(program.get(SCHOOLS, status=401), "invalid_token")
    program.request_token()
    clock.move(timedelta(days=1))
    assert "expired" in check_problem(program.get(SCHOOLS, status=401), "invalid_token")


def test_a_token_in_the_query_is_refused(program, check_problem):
    refused = program.web.get(f"{SCHOOLS}?access_token={program.token}")
    assert refused.status_code == 400
    detail = check_problem(refused, "invalid_request")
    challenge = f'Bearer error="invalid_request", error_description="{detail}"'
    assert refused.headers.getlist("WWW-Authenticate") == [challenge]
    program.token = ""
    check_problem(program.get(SCHOOLS, status=401), "invalid_token")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", SCHOOLS, 405, "method_not_allowed"),
        ("DELETE", "/api/schools/3124567", 405, "method_not_allowed"),
        ("PUT", "/api/openapi.json", 405, "method_not_allowed"),
        ("GET", "/api/nonsense", 404, "not_found"),
        ("POST", "/api/nonsense/more", 404, "not_found"),
        ("GET", "/api/schools/", 404, "not_found"),
        ("GET", "/api/schools/a/b", 404, "not_found"),
        ("GET", "/api/schools/31%0024", 404, "not_found"),
    ],
)
def test_unknown_paths_and_methods_are_refused_with_a_problem_document(
    program, check_problem, method, path, status, code
):
    refused = program.web.open(path, method=method, headers={"Authorization": f"Bearer {program.token}"})
    assert refused.status_code == status
    check_problem(refused, code)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (SCHOOLS, {"GET", "HEAD", "OPTIONS"}),
        ("/api/schools/3124567", {"GET", "HEAD", "OPTIONS"}),
        ("/api/openapi.json", {"GET", "HEAD", "OPTIONS"}),
        ("/api/invitations", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("/api/invitations/x/resend", {"POST", "OPTIONS"}),
        ("/api/endpoint", {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}),
    ],
)
def test_the_methods_of_a_path_are_named_and_no_others(program, path, methods):
    """RFC 9110 §10.2.1 and §15.5.6, for OPTIONS and for a method that the path does not have."""
    described, refused = program.web.options(path), program.web.patch(path)
    assert (described.status_code, refused.status_code) == (200, 405)
    for response in (described, refused):
        assert set(response.headers["Allow"].split(", ")) == methods
    nothing = program.web.options("/api/nonsense")
    assert (nothing.status_code, nothing.json["code"]) == (404, "not_found")


def test_an_unreachable_database_is_reported_as_temporary(program, check_problem, monkeypatch):
    def away(*_args, **_kwargs):
        raise OperationalError("SELECT 1", None, Exception("gone"))

    monkeypatch.setattr(client_schools, "page", away)
    refused = program.get(SCHOOLS, status=503)
    check_problem(refused, "busy")
    assert refused.headers["Retry-After"] == "10"


def test_an_unexpected_error_is_reported_without_its_message(program, check_problem, monkeypatch):
    def broken(*_args, **_kwargs):
        raise ValueError("secret")

    monkeypatch.setattr(client_schools, "page", broken)
    refused = program.get(SCHOOLS, status=500)
    check_problem(refused, "server_error")
    assert "secret" not in refused.text


def test_every_kind_of_problem_is_explained(anchors):
    assert set(problems.KINDS) <= anchors
