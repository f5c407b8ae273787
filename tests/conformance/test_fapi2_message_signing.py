"""FAPI 2.0 Message Signing Final with OpenID Connect: all of the Security Profile's plan, with every request signed
(RFC 9101) and every authorization response too (JARM), and the modules about signed requests.

The modules themselves are those of the Security Profile's plans: here the client pushes a request object instead of
parameters, and `RelyingParty.authorization_response` verifies each response, errors too, by the rules of JARM.
"""

import pytest
from joserfc.jwk import RSAKey

from tests.conformance import conditions
from tests.conformance.test_fapi2_openid import *  # noqa: F403  the same modules, under this plan's name

PLAN = "FAPI 2.0 Message Signing Final, OpenID Connect"
MODULE = "fapi2-security-profile-final-{}"

SIGNING, JAR, JARM = "FAPI 2.0 Message Signing", "RFC 9101", "JARM"
ALGS = {"PS256", "ES256", "EdDSA"}
HOUR = 3600

spec = pytest.mark.spec


@pytest.fixture
def common_parameters():
    return {"response_mode": "jwt"}


@pytest.fixture(name="client")
def signing_client(a_fapi_client, common_parameters):
    return a_fapi_client("conf-signing-1", scope="openid", signs_requests=True, common_parameters=common_parameters)


@pytest.fixture(name="other")
def signing_other(a_fapi_client, common_parameters, prepared):
    """The second client, with keys of its own and a redirect URI that has a query."""
    uri = f"{prepared.suite}/callback?dummy1=lorem&dummy2=ipsum"
    return a_fapi_client(
        "conf-signing-2", scope="openid", redirect_uri=uri, signs_requests=True, common_parameters=common_parameters
    )


def test_the_modules_sign(client, other):
    """The modules of the other plans, with these clients."""
    assert [(fapi_client.id, fapi_client.signs_requests) for fapi_client in (client, other)] == [
        ("conf-signing-1", True),
        ("conf-signing-2", True),
    ]


@spec(
    SIGNING,
    "5.4.1",
    requirement="Discovery has the algorithms by which responses and requests can be signed",
    module="discovery-end-point-verification",
)
def test_discovery_of_signing(provider):
    metadata = provider.metadata
    assert {"jwt", "query.jwt", "form_post.jwt"} <= set(metadata["response_modes_supported"])
    for algs in ("request_object_signing", "authorization_signing", "introspection_signing"):
        assert set(metadata[f"{algs}_alg_values_supported"]) & ALGS, algs
    assert "authorization_encryption_alg_values_supported" not in metadata
    assert metadata["request_parameter_supported"] is True
    # The metadata is for all clients; those of this plan registered that they sign.
    assert metadata["require_signed_request_object"] is False
    assert metadata["require_pushed_authorization_requests"] is False


@spec(
    JARM,
    "2.3",
    requirement="A signed response in the query or by form; an unsigned one if none is requested",
)
@pytest.mark.parametrize("mode", ["plain", "query", "form_post", "query.jwt", "form_post.jwt"])
def test_happy_flow_by_mode(client, other, browser, mode):
    for fapi_client in (client, other):
        fapi_client.common_parameters = {} if mode == "plain" else {"response_mode": mode}
        fapi_client.sign_in(browser)


# Request objects


@spec(SIGNING, "5.3.1", requirement="A request object may have several audiences, of which one is our issuer")
def test_ensure_request_object_with_multiple_aud_succeeds(client, browser):
    text = client.request_object(aud=["https://elsewhere.example", client.provider.issuer])
    client.complete_sign_in(browser.visit(client.link(push(client, text))))


def push(client, text):
    response = client.push_request_object(text)
    assert response.status_code == 201, response.text
    return response.json()["request_uri"]


@spec(SIGNING, "5.3.1", requirement="A request object by a clock that is eight seconds ahead is accepted")
def test_ensure_request_object_with_nbf_8_seconds_in_the_future_is_accepted(client, browser):
    ahead = conditions.now() + 8
    text = client.request_object(nbf=ahead, iat=ahead)
    client.complete_sign_in(browser.visit(client.link(push(client, text))))


def assert_request_object_refused(client, text):
    conditions.refusal(client.push_request_object(text), 400, "invalid_request_object")


@spec(SIGNING, "5.3.1", requirement="A request object without exp is refused")
def test_ensure_request_object_without_exp_fails(client):
    assert_request_object_refused(client, client.request_object(exp=None))


@spec(SIGNING, "5.3.1", requirement="A request object without nbf is refused")
def test_ensure_request_object_without_nbf_fails(client):
    assert_request_object_refused(client, client.request_object(nbf=None))


@spec(SIGNING, "5.3.1", requirement="A request object that has expired is refused")
def test_ensure_expired_request_object_fails(client):
    assert_request_object_refused(client, client.request_object(exp=conditions.now() - 300, nbf=conditions.now() - 600))


@spec(SIGNING, "5.3.1", requirement="A request object for another audience is refused")
def test_ensure_request_object_with_bad_aud_fails(client):
    assert_request_object_refused(client, client.request_object(aud="https://elsewhere.example"))
    assert_request_object_refused(client, client.request_object(aud=None))


@spec(SIGNING, "5.3.1", requirement="A request object whose exp is more than an hour ahead is refused")
def test_ensure_request_object_with_exp_over_60_fails(client):
    assert_request_object_refused(client, client.request_object(exp=conditions.now() + HOUR + 600))


@spec(SIGNING, "5.3.1", requirement="A request object whose nbf is more than an hour ago is refused")
def test_ensure_request_object_with_nbf_over_60_fails(client):
    assert_request_object_refused(client, client.request_object(nbf=conditions.now() - HOUR - 600))


@spec(
    "FAPI 2.0 Security Profile",
    "5.4.1",
    requirement="A request object signed by RS256 is refused",
    module="ensure-signed-request-object-with-RS256-fails",
)
def test_ensure_signed_request_object_with_rs256_fails(client):
    plain = {name: value for name, value in client.signer.as_dict(private=True).items() if name != "alg"}
    assert_request_object_refused(client, client.request_object(alg="RS256", key=RSAKey.import_key(plain)))


@spec(JAR, "5.1", requirement="A request object of alg none is refused")
def test_ensure_request_object_signature_algorithm_is_not_none(client):
    payload = client.request_object().split(".")[1]
    assert_request_object_refused(client, f"{conditions.segment({'alg': 'none'})}.{payload}.")


@spec(JAR, "6.2", requirement="A request object whose signature is wrong is refused")
def test_ensure_request_object_with_invalid_signature_fails(client):
    head, payload, signature = client.request_object().split(".")
    assert_request_object_refused(client, f"{head}.{payload}.{signature[:-8]}{signature[-8:][::-1].swapcase()}")


@spec(JAR, "6.2", requirement="A request object signed by another client's key is refused")
def test_ensure_matching_key_in_authorization_request(client, other):
    assert_request_object_refused(client, client.request_object(key=other.signer))


@spec(SIGNING, "5.3.2", requirement="A client that must sign its requests cannot push unsigned parameters")
def test_ensure_unsigned_request_at_par_endpoint_fails(client):
    client.signs_requests = False
    conditions.refusal(client.push(), 400, "invalid_request")


# Signed introspection, which has no module in the suite


@pytest.mark.parametrize("token_name", ["access_token", "refresh_token", "unknown"])
@spec(
    "RFC 9701",
    "5",
    requirement="Introspection returns a JWT for the client where it requests one",
    module="(none) signed-introspection",
)
def test_signed_introspection(client, browser, provider, token_name):
    tokens = client.sign_in(browser, scope="openid offline_access").tokens
    form = {"token": tokens.get(token_name, "unknown")}
    plain = client.post("introspection", form)
    signed = client.post("introspection", form, accept="application/token-introspection+jwt")
    assert (signed.status_code, plain.status_code) == (200, 200)
    assert signed.headers["Content-Type"] == "application/token-introspection+jwt"
    conditions.is_json(plain)
    state = conditions.introspection(
        signed.text, provider.keys, alg="ES256", issuer=provider.issuer, client_id=client.id
    )
    assert state == plain.json()
    assert state["active"] == (token_name != "unknown")
