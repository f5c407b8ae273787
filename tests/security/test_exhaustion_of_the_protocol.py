"""security.md S43: a megabyte of anything, ten thousand of anything, NUL, lone surrogates: 4xx before a hash or a
query.
"""

from io import BytesIO

import pytest

HUGE = "x" * 1_000_000


@pytest.mark.parametrize("name", ["scope", "state", "claims", "client_id", "redirect_uri", "request", "id_token_hint"])
def test_a_parameter_of_a_megabyte_is_refused(web, world, name):
    response = web.post("/oauth/authorize", data=world.partner.parameters(**{name: HUGE[:900_000]}))
    assert response.status_code in {303, 400, 413}
    if response.status_code == 303:
        assert "error=invalid_request" in response.location
        assert len(response.location) < 6000


def test_ten_thousand_scopes_or_fields_are_refused(web, world):
    scopes = " ".join(f"scope{number}" for number in range(10_000))
    assert web.post("/oauth/authorize", data=world.partner.parameters(scope=scopes)).status_code == 303
    fields = {f"field{number}": "x" for number in range(10_000)}
    assert web.post("/oauth/token", data=fields, headers=world.partner.basic).status_code == 413


@pytest.mark.parametrize("odd", ["%00", "%ED%A0%80", "%FF", "%0d%0aSet-Cookie:x", "%C2%85"])
@pytest.mark.parametrize("name", ["state", "client_id", "redirect_uri", "nonce", "login_hint", "extra"])
def test_nul_surrogates_and_line_ends_reach_no_header(web, world, name, odd):
    response = web.get(world.partner.link(**{name: None}) + f"&{name}=a{odd}b")
    assert response.status_code in {303, 400}
    assert not any(char in response.headers.get("Location", "") for char in "\r\n")
    assert not any(cookie.startswith("x") for cookie in response.headers.getlist("Set-Cookie"))


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
def test_a_large_form_is_not_read(web, world, path):
    response = web.post(path, data={"token": HUGE, "grant_type": HUGE}, headers=world.partner.basic)
    assert response.status_code == 413
    assert response.json["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/oauth/token", 65_536), ("/oauth/par", 65_536), ("/oauth/userinfo", 65_536), ("/oauth/logout", 1_048_576),
        ("/sign-in", 1_048_576),
    ],
)  # fmt: skip
def test_a_large_body_is_refused_though_its_length_is_not_announced(web, path, limit):
    """Werkzeug alone would cut it off at the limit, and read what is left."""
    assert post_in_chunks(web, path, b"client_id=a&x=".ljust(limit, b"x")).status_code != 413
    assert post_in_chunks(web, path, b"client_id=a&x=".ljust(limit + 1, b"x")).status_code == 413


def test_a_body_in_chunks_is_read_to_its_end(web, world):
    body = b"grant_type=refresh_token&refresh_token=x&scope=openid&scope=openid"
    response = post_in_chunks(web, "/oauth/token", body, headers=world.partner.basic)
    assert response.json["error_description"] == "scope: sent more than once"


def post_in_chunks(web, path, body, **options):
    """A form whose length is not announced, as Granian passes it on."""
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    return web.post(
        path, input_stream=BytesIO(body), content_type="application/x-www-form-urlencoded", environ_overrides=environ,
        **options,
    )  # fmt: skip
