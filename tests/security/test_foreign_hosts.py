"""Rule 2: a request for any host but ours is refused with an error page, never with a 500."""

import pytest

from tests.fuzz.responses import check, recorded_log

HOSTS = (
    "", ".", "..", "0", "a b", "evil.example", "localhost", "localhost:5000.", "localhost:5001", "localhost:5000:1",
    "[x", "[::1]:5000", "localhost:99999999", "é.example", "\xff", "localhost:5000@evil.example", "localhost:5000/..",
    "_", "-", "localhost:5000,evil.example", "x" * 5000, "%00", "<zq9>", ":5000", "127.0.0.1:5000",
    "localhost..:5000",
)  # fmt: skip


PATHS = ("/", "/sign-in", "/oauth/token", "/oauth/jwks", "/nowhere", "/schools/search.json", "/brand.css")


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_not_ours_is_refused(web, host):
    with recorded_log() as log:
        for method in ("GET", "POST", "OPTIONS", "PUT"):
            for path in PATHS:
                response = web.open(path, method=method, headers={"Host": host})
                check(response)
                assert response.status_code == 400, (method, path, response.status_code)
    log.check([])


@pytest.mark.parametrize("host", ["LOCALHOST:5000", "Localhost:5000", "localhost.:5000", "LocalHost.:5000"])
def test_names_are_compared_without_case_and_trailing_dot(web, host):
    response = web.get("/sign-in", headers={"Host": host})
    assert response.status_code == 200
    assert host not in response.text


@pytest.mark.parametrize("host", HOSTS)
def test_health_checks_accept_any_host_that_can_be_parsed(web, host):
    assert web.get("/healthz", headers={"Host": host}).status_code == 200
