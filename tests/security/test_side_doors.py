"""S41: a grant, response type or method the client lacks; `password`, `token`; paths nobody listed (CVE-2026-9792)."""

import pytest

from tests.oidc.support import authorised, sent


@pytest.mark.parametrize("response_type", ["token", "id_token", "code token", "none", "code code", "CODE"])
def test_no_other_response_type(web, world, response_type):
    got = sent(web.get(world.partner.link(response_type=response_type)))
    assert got["error"] in {"unsupported_response_type", "invalid_request"}


@pytest.mark.parametrize("grant", ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"])
def test_no_other_grant(web, world, grant):
    form = {"grant_type": grant, "username": world.username, "password": "x", "assertion": "x"}
    assert world.partner.posts(web, "/oauth/token", form).json["error"] == "unsupported_grant_type"


def test_a_grant_the_client_lacks(web, world):
    partner = world.another(grant_types=frozenset({"authorization_code"}))
    got = authorised(web, partner, world.username)
    assert "refresh_token" not in partner.redeems(web, got["code"]).json
    assert partner.refreshes(web, "x").json["error"] == "unauthorized_client"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "GET"])
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/par"])
def test_no_other_method(web, path, method):
    assert web.open(path, method=method).status_code == 405
