"""FAPI 2.0 Security Profile Final, client credentials (protocol.md §3.8, the modules marked C): token, then resource.

The modules about wrong assertions and proofs are those of the other plan, unchanged.
"""

import pytest
from joserfc.jwk import RSAKey

from tests.conformance import conditions
from tests.conformance.test_fapi2_plain_oauth import (
    ALGS,
    ASSERTION,
    DPOP,
    FAPI,
    assert_wrong_proofs_refused,
    assertion_by_rs256,
    token_url,
)

PLAN = "FAPI 2.0 Security Profile Final, client credentials"
MODULE = "fapi2-security-profile-final-{}"

spec = pytest.mark.spec


@pytest.fixture
def client(a_fapi_client, xporter):
    return a_fapi_client("conf-ccg-1", scope="schools.list", resource=xporter)


@pytest.fixture
def other(a_fapi_client, xporter):
    return a_fapi_client("conf-ccg-2", scope="schools.list", resource=xporter)


def request_token(client, **options):
    """A token for the client itself."""
    options = {"scope": client.scope} | options
    proven = {name: options.pop(name) for name in ("assertion", "proof") if name in options}
    return client.post("token", {"grant_type": "client_credentials", **options}, **proven)


def used_token(client, **options):
    """The token, once it has been used."""
    token_response = conditions.tokens(request_token(client, **options), "DPoP")
    assert set(token_response) == {"access_token", "token_type", "expires_in", "scope"}
    assert client.is_token_accepted(token_response["access_token"])
    return token_response["access_token"]


@spec(FAPI, "5.3.2.1", requirement="Discovery has the metadata that the profile requires")
def test_discovery_end_point_verification(provider):
    metadata = provider.metadata
    assert "client_credentials" in metadata["grant_types_supported"]
    assert "private_key_jwt" in metadata["token_endpoint_auth_methods_supported"]
    for algs in ("token_endpoint_auth_signing", "dpop_signing"):
        assert set(metadata[f"{algs}_alg_values_supported"]) & ALGS, algs


@spec("RFC 6749", "4.4", requirement="Two clients get tokens of their own, bound to their keys, and no refresh token")
def test_happy_flow(client, other):
    own_token, other_client_token = used_token(client), used_token(other)
    assert client.call_resource(other_client_token).status_code == 401
    for accepted in ("application/json; charset=utf-8", "*/*"):
        assert client.is_token_accepted(own_token, Accept=accepted)
    state = client.post("introspection", {"token": own_token}).json()
    assert (state["active"], state["cnf"], state["sub"]) == (
        True,
        {"jkt": client.jkt},
        client.id,
    )


@spec(DPOP, "7.1", requirement="The scheme DPoP is accepted in upper and lower case")
def test_access_token_type_header_case_sensitivity(client):
    assert client.is_token_accepted(used_token(client), scheme="dPOP")


@spec(DPOP, "4.2", requirement="A proof may have nbf and exp")
def test_check_dpop_proof_nbf_exp(client):
    now = conditions.now()
    used_token(client, proof=client.proof("POST", token_url(client), nbf=now - 10, exp=now + 300))


@spec(DPOP, "4.3", requirement="A proof that is ten seconds old is accepted")
def test_ensure_dpopproof_with_iat_10seconds_before_succeeds(client):
    used_token(client, proof=client.proof("POST", token_url(client), iat=conditions.now() - 10))


@spec(DPOP, "4.3", requirement="A proof by a clock that is ten seconds ahead is accepted")
def test_ensure_dpopproof_with_iat_10seconds_after_succeeds(client):
    used_token(client, proof=client.proof("POST", token_url(client), iat=conditions.now() + 10))


@spec(DPOP, "4.3", requirement="A proof that is wrong in any way is refused; one with additional claims is accepted")
def test_dpop_negative_tests(client):
    client.key = RSAKey.generate_key(2048)
    assert_wrong_proofs_refused(client, used_token(client))


@spec(FAPI, "5.3.2.1", requirement="Without a proof no tokens are issued")
def test_ensure_holder_of_key_required(client):
    conditions.refusal(request_token(client, proof=""), 400, "invalid_dpop_proof")


@spec(ASSERTION, "3", requirement="An assertion with another client's id, signed by one's own key, is refused")
def test_ensure_client_id_in_token_endpoint(client, other):
    forged = client.assertion(iss=other.id, sub=other.id)
    conditions.refusal(request_token(client, client_id=other.id, assertion=forged), 401, "invalid_client")


@spec(
    FAPI,
    "5.4.1",
    requirement="An assertion signed by RS256 is refused",
    module="ensure-signed-client-assertion-with-RS256-fails",
)
def test_ensure_signed_client_assertion_with_rs256_fails(client):
    conditions.refusal(request_token(client, assertion=assertion_by_rs256(client)), 401, "invalid_client")


@spec(FAPI, "5.3.2.1", requirement="Without an assertion no tokens are issued")
def test_ensure_client_assertion_in_token_endpoint(client):
    conditions.refusal(request_token(client, assertion=""), 401, "invalid_client")


@spec(ASSERTION, "3", requirement="An assertion that expired five minutes ago is refused")
def test_ensure_client_assertion_with_exp_is_5_minutes_in_past_fails(client):
    old = client.assertion(exp=conditions.now() - 300)
    conditions.refusal(request_token(client, assertion=old), 401, "invalid_client")


@spec(FAPI, "5.3.2.1", requirement="An assertion for another audience is refused")
def test_ensure_client_assertion_with_wrong_aud_fails(client):
    elsewhere = client.assertion(aud="https://elsewhere.example/as")
    conditions.refusal(request_token(client, assertion=elsewhere), 401, "invalid_client")


@spec(ASSERTION, "3", requirement="An assertion without sub is refused")
def test_ensure_client_assertion_with_no_sub_fails(client):
    conditions.refusal(request_token(client, assertion=client.assertion(sub=None)), 401, "invalid_client")
