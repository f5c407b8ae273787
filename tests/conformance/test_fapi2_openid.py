"""FAPI 2.0 Security Profile Final with OpenID Connect (protocol.md §3.8): all of the plain OAuth plan, and the modules
that need an ID Token.
"""

import json
import secrets

import pytest

from tests.conformance.test_fapi2_plain_oauth import *  # noqa: F403  the same modules, under this plan's name

PLAN = "FAPI 2.0 Security Profile Final, OpenID Connect"
MODULE = "fapi2-security-profile-final-{}"

CORE = "OpenID Connect Core 1.0"
spec = pytest.mark.spec


@pytest.fixture(name="names")
def with_clients_of_its_own():
    return "conf-fapi-1", "conf-fapi-2"


@pytest.fixture(name="scope")
def with_openid():
    return "openid"


@pytest.fixture(name="resource")
def with_userinfo():
    return None


@spec(CORE, "3.1.2.1", requirement="The code flow needs no nonce, and adds none")
def test_ensure_authorization_request_without_nonce_success(client, browser):
    assert "nonce" not in client.sign_in(browser, nonce=None).claims


@spec(CORE, "3.1.2.1", requirement="A nonce of 64 characters is returned unchanged")
def test_ensure_authorization_request_with_64_char_nonce_success(client, browser):
    client.sign_in(browser, nonce=secrets.token_hex(32))


@spec("RFC 6749", "3.3", requirement="The order of scopes does not matter")
def test_ensure_other_scope_order_succeeds(client, browser):
    assert "email" in client.sign_in(browser, scope="email openid").userinfo


@spec(CORE, "5.5", requirement="Every advertised claim can be requested by name, in the ID Token and at userinfo")
def test_test_claims_parameter_identity_claims(client, browser, provider):
    assert provider.metadata["claims_parameter_supported"] is True
    school_claims = {"organisation", "role", "estab_id", "estab_status"}  # the client is not registered for that scope
    logout_claims = {"sid"}  # and receives no logout tokens
    advertised = set(provider.metadata["claims_supported"]) - school_claims - logout_claims
    request = {name: {"essential": False} for name in sorted(advertised)}
    signed_in = client.sign_in(browser, claims=json.dumps({"id_token": request, "userinfo": request}))
    assert advertised <= set(signed_in.claims)
    of_the_person = advertised - {"iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "sid"}
    assert of_the_person <= set(signed_in.userinfo)


@spec("RFC 9101", "6.3", requirement="If a nonce is inside and outside a pushed request, the one inside is used")
def test_ensure_different_nonce_inside_and_outside_request_object(client, browser):
    client.complete_sign_in(browser.visit(client.link(client.pushed_request_uri(), nonce=secrets.token_hex(8))))


@spec(CORE, "3.1.2.1", requirement="A nonce of 384 characters is returned unchanged")
def test_ensure_authorization_request_with_long_nonce(client, browser):
    client.sign_in(browser, nonce=secrets.token_hex(192))
