"""security.md S6: every error branch with a bad client or URI is a page, never a redirect (CVE-2026-44681,
CVE-2026-41479).
"""

import pytest

from idp.partners.models import Client
from tests.oidc.support import follow_redirects, query_of

INVALID_CLIENTS_AND_URIS = [
    {"client_id": "unknown"}, {"client_id": None}, {"redirect_uri": "https://evil.example/"}, {"redirect_uri": None},
    {"redirect_uri": "//evil.example"}, {"redirect_uri": "https://assembly.example/callback/../x"},
    {"client_id": "unknown", "redirect_uri": "https://evil.example/"},
]  # fmt: skip
OTHER_ERRORS = [
    {}, {"prompt": "none"}, {"prompt": "none login"}, {"response_type": "token"}, {"response_type": None},
    {"scope": "nonsense"}, {"scope": None}, {"code_challenge": None}, {"request": "x.y.z"}, {"max_age": "x"},
    {"request_uri": "https://evil.example/request"}, {"id_token_hint": "x"}, {"claims": "{"},
    {"response_mode": "form_post"}, {"response_mode": "fragment"}, {"response_mode": "jwt"},
    {"response_mode": "form_post.jwt"}, {"state": "x" * 5000},
]  # fmt: skip


@pytest.mark.parametrize("invalid", INVALID_CLIENTS_AND_URIS)
@pytest.mark.parametrize("other_error", OTHER_ERRORS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_invalid_client_or_redirect_uri_shows_an_error_page(web, world, invalid, other_error, method):
    if method == "GET":
        response = web.get(world.partner.link(**other_error, **invalid))
    else:
        response = web.post("/oauth/authorize", data=world.partner.parameters(**other_error, **invalid))
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert "evil.example" not in response.text
    assert 'id="response"' not in response.text


def test_a_client_that_was_disabled_meanwhile_shows_an_error_page(web, world):
    world.change(Client, world.partner.id, enabled=False)
    assert web.get(world.partner.link()).status_code == 400


def test_a_redirect_uri_that_was_unregistered_meanwhile_shows_an_error_page(web, world):
    pending = query_of(follow_redirects(web, web.get(world.partner.link())).request.url)["next"]
    world.change(Client, world.partner.id, redirect_uris=["https://assembly.example/new"])
    response = web.get(pending + "&cancel=1")
    assert response.status_code == 400
    assert "Location" not in response.headers
