"""security.md S8: each parameter twice, or in query and body, on each endpoint (CVE-2026-9689): only `resource` may
repeat.
"""

import pytest

from idp.oidc.incoming import AUTHORIZATION, KNOWN_PARAMETERS
from tests.oidc.support import ISSUER, redirect_parameters, sign_in_and_authorise

SHOWN_ON_A_PAGE = {"client_id", "redirect_uri", "request_uri"}


@pytest.mark.parametrize("name", sorted(AUTHORIZATION - {"resource"}))
def test_a_repeated_parameter_is_refused_at_authorize(web, world, name):
    response = web.get(world.partner.link(**{name: None}) + f"&{name}=a&{name}=b")
    if name in SHOWN_ON_A_PAGE:
        assert response.status_code == 400
    else:
        assert redirect_parameters(response)["error"] == "invalid_request"
        assert redirect_parameters(response)["error_description"] == f"{name}: sent more than once"


@pytest.mark.parametrize("name", ["state", "scope", "nonce"])
def test_a_parameter_in_query_and_body_is_refused_at_authorize(web, world, name):
    response = web.post(f"/oauth/authorize?{name}=other", data=world.partner.parameters())
    assert redirect_parameters(response)["error"] == "invalid_request"


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/par"])
@pytest.mark.parametrize("name", sorted(KNOWN_PARAMETERS - {"resource"}))
def test_a_repeated_parameter_is_refused_on_the_back_channel(web, world, path, name):
    response = web.post(
        path, data=f"{name}=a&{name}=b", headers=world.partner.basic, content_type="application/x-www-form-urlencoded"
    )
    assert (response.status_code, response.json["error"]) == (400, "invalid_request")
    assert name in response.json["error_description"]


def test_resource_may_repeat(web, world):
    params = sign_in_and_authorise(web, world.partner, world.username, resource=ISSUER)
    response = web.get(world.partner.link(resource=ISSUER) + f"&resource={ISSUER}")
    assert "code" in redirect_parameters(response)
    assert params["code"]
