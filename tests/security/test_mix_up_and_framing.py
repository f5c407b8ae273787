"""security.md S45: `iss` in every response, errors and form_post too; no page of ours in a frame (RFC 9700 §4.4,
§4.16).
"""

import pytest

from tests.oidc.support import ISSUER, follow_redirects, page, redirect_parameters, sign_in_and_authorise


@pytest.mark.parametrize("overrides", [{"prompt": "none"}, {"scope": "x"}, {"response_type": None}])
def test_every_error_response_has_iss(web, world, overrides):
    assert redirect_parameters(web.get(world.partner.link(**overrides)))["iss"] == ISSUER
    response = web.get(world.partner.link(response_mode="form_post", **overrides))
    assert page(response).find("input", attrs={"name": "iss"})["value"] == ISSUER


def test_the_response_has_iss(web, world):
    assert sign_in_and_authorise(web, world.partner, world.username)["iss"] == ISSUER


def test_no_page_can_be_framed_or_sends_a_referrer(web, world):
    paths = [world.partner.link(redirect_uri="x"), "/oauth/logout", "/oauth/authorize",
             world.partner.link(response_mode="form_post", prompt="none")]  # fmt: skip
    for path in paths:
        response = web.get(path)
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"
    response = follow_redirects(web, web.get(world.partner.link()))
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
