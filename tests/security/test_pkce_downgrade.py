"""security.md S12: a challenge without verifier, a verifier without challenge, plain, no method, empty
(CVE-2023-48228).
"""

import pytest

from tests.oidc.support import redirect_parameters, sign_in_and_authorise


def test_a_code_with_a_challenge_needs_its_verifier(web, world):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    response = world.partner.redeem(web, code, code_verifier=None)
    assert (response.status_code, response.json["error"]) == (400, "invalid_grant")


def test_an_empty_verifier_is_refused(web, world):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    assert world.partner.redeem(web, code, code_verifier="").json["error"] == "invalid_grant"


def test_a_verifier_without_a_challenge_is_refused_as_a_downgrade(web, world):
    partner = world.new_partner(require_pkce=False)
    params = sign_in_and_authorise(web, partner, world.username, code_challenge=None, code_challenge_method=None)
    assert partner.redeem(web, params["code"]).json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "overrides",
    [{"code_challenge_method": "plain"}, {"code_challenge_method": None}, {"code_challenge_method": "s256"},
     {"code_challenge": ""}, {"code_challenge": None}],
)  # fmt: skip
@pytest.mark.parametrize("optional", [False, True])
def test_only_an_explicit_s256_is_accepted(web, world, overrides, optional):
    partner = world.new_partner(require_pkce=not optional)
    assert redirect_parameters(web.get(partner.link(**overrides)))["error"] == "invalid_request"


def test_pkce_is_required_of_public_clients_even_if_it_was_switched_off(web, world):
    partner = world.new_partner(token_endpoint_auth_method="none", require_pkce=False)
    link = partner.link(code_challenge=None, code_challenge_method=None)
    assert redirect_parameters(web.get(link))["error"] == "invalid_request"
