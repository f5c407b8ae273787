"""FAPI 2.0 Security Profile Final, as plain OAuth (protocol.md §3.8): `private_key_jwt`, DPoP, unsigned requests.

Run a second time, with OpenID Connect and the modules that need it, by `test_fapi2_openid.py`. The resource that the
clients call is XporterOnDemand here, and userinfo there.
"""

import secrets

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.conformance import conditions
from tests.conformance.relying_party import RelyingParty

PLAN = "FAPI 2.0 Security Profile Final, plain OAuth"
MODULE = "fapi2-security-profile-final-{}"

FAPI = "FAPI 2.0 Security Profile"
DPOP, PAR, PKCE, JAR = "RFC 9449", "RFC 9126", "RFC 7636", "RFC 9101"
ASSERTION = "RFC 7523"
ALGS = {"PS256", "ES256", "EdDSA", "Ed25519"}

spec = pytest.mark.spec


@pytest.fixture
def scope():
    """The scope that the plan requests."""
    return "school"


@pytest.fixture
def names():
    """The plan's two clients."""
    return "conf-plain-1", "conf-plain-2"


@pytest.fixture
def resource(xporter):
    """The resource that the plan calls."""
    return xporter


@pytest.fixture
def client(a_fapi_client, names, scope, resource):
    return a_fapi_client(names[0], scope=scope, resource=resource)


@pytest.fixture
def other(a_fapi_client, names, scope, resource, prepared):
    """The second client, with keys of its own and a redirect URI that has a query."""
    uri = f"{prepared.suite}/callback?dummy1=lorem&dummy2=ipsum"
    return a_fapi_client(names[1], scope=scope, resource=resource, redirect_uri=uri)


@pytest.fixture
def code(client, browser):
    """A code of the first client, not redeemed yet."""
    return client.get_code(browser.visit(client.authorization_url()))


def token_url(client):
    return client.provider.metadata["token_endpoint"]


def par_url(client):
    return client.provider.metadata["pushed_authorization_request_endpoint"]


@spec(FAPI, "5.3.2.1", requirement="Discovery has the metadata that the profile requires")
def test_discovery_end_point_verification(provider):
    metadata = provider.metadata
    assert "private_key_jwt" in metadata["token_endpoint_auth_methods_supported"]
    for algs in ("userinfo_signing", "id_token_signing", "token_endpoint_auth_signing", "dpop_signing"):
        assert set(metadata[f"{algs}_alg_values_supported"]) & ALGS, algs
    assert set(metadata["dpop_signing_alg_values_supported"]) <= ALGS
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["pushed_authorization_request_endpoint"].startswith("https://")
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert {"authorization_code", "client_credentials", "refresh_token"} <= set(metadata["grant_types_supported"])


@spec(FAPI, "5.3", requirement="Two clients get tokens, each bound to its client's key")
def test_happy_flow(client, other, a_browser):
    first = client.sign_in(a_browser())
    second = other.sign_in(a_browser(), state=secrets.token_hex(64), dpop_jkt=other.jkt)
    response = client.call_resource(first.access_token)
    assert response.headers["Date"]
    for accepted in ("application/json; charset=utf-8", "application/json;q=0.5, */*", "*/*"):
        assert client.is_token_accepted(first.access_token, Accept=accepted)
    in_query = client.provider.http.get(client.resource_url, params={"access_token": first.access_token}, timeout=20)
    assert in_query.status_code == 400
    assert client.call_resource(second.access_token).status_code == 401


@spec("RFC 6749", "4.1.2.1", requirement="Cancelling at the sign-in page is reported as access_denied")
def test_user_rejects_authentication(client, browser):
    assert browser.open(client.authorization_url()) is None
    assert browser.page.has("sign-in")
    client.assert_refused(browser.press("cancel"), "access_denied")


@spec("RFC 6749", "4.1.1", requirement="Without a state none is returned")
def test_ensure_authorization_request_without_state_success(client, browser):
    client.sign_in(browser, state=None)


@spec(DPOP, "7.1", requirement="The scheme DPoP is accepted in upper and lower case")
def test_access_token_type_header_case_sensitivity(client, browser):
    signed_in = client.sign_in(browser)
    assert client.is_token_accepted(signed_in.access_token, scheme="dPOP")


@spec(DPOP, "4.2", requirement="A proof may have nbf and exp")
def test_check_dpop_proof_nbf_exp(client, browser):
    signed_in = client.sign_in(browser)
    now = conditions.now()
    proof = client.proof("GET", client.resource_url, token=signed_in.access_token, nbf=now - 10, exp=now + 300)
    assert client.is_token_accepted(signed_in.access_token, proof=proof)


def sign_in_with_proofs_made_at(client, browser, iat, *, code=None):
    """PAR, token and resource with proofs made at `iat`."""
    at_par = client.proof("POST", par_url(client), iat=iat)
    code = client.get_code(browser.visit(client.authorization_url(proof=at_par)))
    response = client.redeem(code, proof=client.proof("POST", token_url(client), iat=iat))
    token = conditions.tokens(response, "DPoP")["access_token"]
    at_resource = client.proof("GET", client.resource_url, token=token, iat=iat)
    assert client.is_token_accepted(token, proof=at_resource)


@spec(DPOP, "4.3", requirement="A proof that is ten seconds old is accepted")
def test_ensure_dpopproof_with_iat_10seconds_before_succeeds(client, browser):
    sign_in_with_proofs_made_at(client, browser, conditions.now() - 10)


@spec(DPOP, "4.3", requirement="A proof by a clock that is ten seconds ahead is accepted")
def test_ensure_dpopproof_with_iat_10seconds_after_succeeds(client, browser):
    sign_in_with_proofs_made_at(client, browser, conditions.now() + 10)


@spec(DPOP, "10.1", requirement="A dpop_jkt that is not the proof's key is refused when pushed")
def test_ensure_mismatched_dpop_jkt_fails(client):
    proof = client.proof("POST", par_url(client))
    response = client.push(dpop_jkt=ECKey.generate_key("P-256").thumbprint(), proof=proof)
    conditions.refusal(response, 400, "invalid_dpop_proof")


def assert_bound_to_another_key(client, code):
    """Redeeming with another key than the one that the code is bound to is refused."""
    another = client.proof("POST", token_url(client), key=ECKey.generate_key("P-256"))
    conditions.refusal(client.redeem(code, proof=another), 400, "invalid_grant")


@spec(DPOP, "10.1", requirement="A code is bound to the key that was proven when its request was pushed")
def test_ensure_token_endpoint_fails_with_mismatched_dpop_proof_jkt(client, browser):
    response = client.authorization_url(proof=client.proof("POST", par_url(client)))
    assert_bound_to_another_key(client, client.get_code(browser.visit(response)))


@spec(DPOP, "10", requirement="A code is bound to the key that dpop_jkt names")
def test_ensure_token_endpoint_fails_with_mismatched_dpop_jkt(client, browser):
    assert_bound_to_another_key(client, client.get_code(browser.visit(client.authorization_url(dpop_jkt=client.jkt))))


@spec(DPOP, "10.1", requirement="A code whose request was pushed with a proof is redeemed with the same key")
def test_ensure_dpopproof_at_par_endpoint_binding_success(client, browser):
    client.complete_sign_in(browser.visit(client.authorization_url(proof=client.proof("POST", par_url(client)))))


@spec(DPOP, "10", requirement="A code whose request was pushed with dpop_jkt and a proof is redeemed with the same key")
def test_ensure_dpop_auth_code_binding_success(client, browser):
    proof = client.proof("POST", par_url(client))
    client.complete_sign_in(browser.visit(client.authorization_url(dpop_jkt=client.jkt, proof=proof)))


@spec(DPOP, "4.3", requirement="A proof that is wrong in any way is refused; one with additional claims is accepted")
def test_dpop_negative_tests(client, browser):
    client.key = RSAKey.generate_key(2048)
    assert_wrong_proofs_refused(client, client.sign_in(browser).access_token)


def assert_wrong_proofs_refused(client, token):
    """Each wrong proof is refused at the resource, which accepts the token before and after; its key could sign by
    RS256 as well.
    """
    url = client.resource_url

    def proof(**overrides):
        return client.proof(overrides.pop("method", "GET"), overrides.pop("url", url), token=token, **overrides)

    used_proof, now, other_key = proof(), conditions.now(), ECKey.generate_key("P-256")
    head, payload, signature = proof().split(".")
    valid_header = {"typ": "dpop+jwt", "jwk": client.key.as_dict(private=False)}
    wrong = {
        "no proof": "", "two in one header": f"{proof()}, {proof()}", "no JWT": "not-a-jwt",
        "no typ": proof(header={"typ": None}), "no jwk": proof(header={"jwk": None}),
        "no alg": f"{conditions.segment(valid_header)}.{payload}.{signature}",
        **{f"no {claim}": proof(**{claim: None}) for claim in ("jti", "htm", "htu", "iat", "ath")},
        "another typ": proof(header={"typ": "JWT"}), "RS256": proof(alg="RS256"),
        "none": f"{conditions.segment({**valid_header, 'alg': 'none'})}.{payload}.",
        "an invalid signature": f"{head}.{payload}.{signature[:-8]}{signature[-8:][::-1].swapcase()}",
        "a private key": proof(header={"jwk": client.key.as_dict(private=True)}),
        "another method": proof(method="PUT"), "another URL": proof(url=f"{client.provider.issuer}/elsewhere"),
        "another token": proof(ath="x" * 43), "another key": proof(key=other_key),
        "an hour ahead": proof(iat=now + 3600), "an hour ago": proof(iat=now - 3600),
    }  # fmt: skip
    for case, value in wrong.items():
        assert client.call_resource(token, proof=value).status_code == 401, case
    assert client.call_resource_with_proofs(token, proof(), proof()) == 401, "two headers"
    assert not client.is_token_accepted(token, scheme="Bearer", proof="")
    assert not client.is_token_accepted(token, scheme="Bearer")

    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    accepted = {
        "unchanged": used_proof, "with query and fragment": proof(url=f"{url}?a=b#c"),
        "with more claims": proof(more="claims", header={"kid": "mine"}),
        "in capitals": proof(url=f"{scheme.upper()}://{host.upper()}{slash}{path}"),
    }  # fmt: skip
    for case, value in accepted.items():
        assert client.is_token_accepted(token, proof=value), case
    assert client.call_resource(token, proof=used_proof).status_code == 401, "a proof that was used before"


@spec(JAR, "6.3", requirement="If a state is inside and outside a pushed request, the one inside is used")
def test_ensure_different_state_inside_and_outside_request_object(client, browser):
    client.complete_sign_in(browser.visit(client.link(client.pushed_request_uri(), state=secrets.token_hex(8))))


@spec(FAPI, "5.3.2.2", requirement="A state of a thousand characters is returned unchanged")
def test_ensure_authorization_request_with_long_state(client, browser):
    client.sign_in(browser, state=secrets.token_hex(500))


@spec(JAR, "6.3", requirement="A state that was not pushed does not come back")
def test_state_only_outside_request_object_not_used(client, browser):
    client.complete_sign_in(browser.visit(client.link(client.pushed_request_uri(state=None), state="outside")))


@spec(FAPI, "5.3.2.2", requirement="A pushed request must have a redirect_uri, even though one is registered")
def test_ensure_request_object_without_redirect_uri_fails(client):
    conditions.refusal(client.push(redirect_uri=None), 400, "invalid_request")


@spec(FAPI, "5.3.2.2", requirement="A redirect_uri outside a pushed request does not replace the one missing in it")
def test_ensure_redirect_uri_in_authorization_request(client, browser):
    conditions.refusal(client.push(redirect_uri=None), 400, "invalid_request")
    urn = client.pushed_request_uri()
    client.complete_sign_in(browser.visit(client.link(urn, redirect_uri="https://evil.example/")))


@spec(FAPI, "5.3.2.2", requirement="A redirect URI that is not registered is refused when pushed")
def test_plain_fapi_tolerate_unregistered_redirect_uri(client):
    response = client.push(redirect_uri=f"{client.redirect_uri}/{secrets.token_hex(5)}")
    conditions.refusal(response, 400, "invalid_request")


@spec(FAPI, "5.3.2.1", requirement="Without a proof no tokens are issued")
def test_ensure_holder_of_key_required(client, code):
    conditions.refusal(client.redeem(code, proof=""), 400, "invalid_dpop_proof")


@spec(FAPI, "5.3.2.2", requirement="A request that was not pushed is refused at the redirect URI")
def test_ensure_unsigned_authorization_request_without_using_par_fails(client, browser):
    client.assert_refused(browser.visit(RelyingParty.authorization_url(client)), "invalid_request")


@spec(FAPI, "5.3.2.2", requirement="The hybrid flow is refused when pushed")
def test_ensure_response_type_code_idtoken_fails(client):
    conditions.refusal(client.push(response_type="code id_token"), 400, "unsupported_response_type")


@spec(FAPI, "5.3.2.2", requirement="The implicit flow is refused when pushed")
def test_ensure_response_type_token_fails(client):
    conditions.refusal(client.push(response_type="token"), 400, "unsupported_response_type")


@spec(ASSERTION, "3", requirement="An assertion with another client's id, signed by one's own key, is refused")
def test_ensure_client_id_in_token_endpoint(client, other, code):
    forged = client.assertion(iss=other.id, sub=other.id)
    conditions.refusal(client.redeem(code, client_id=other.id, assertion=forged), 401, "invalid_client")


@spec("RFC 6749", "4.1.3", requirement="Another client cannot redeem a code, and its attempt does not use the code up")
def test_ensure_authorization_code_is_bound_to_client(client, other, code):
    conditions.refusal(
        other.redeem(code, redirect_uri=client.redirect_uri, code_verifier=client.verifier), 400, "invalid_grant"
    )
    conditions.tokens(client.redeem(code), "DPoP")


@spec("RFC 6749", "4.1.2", requirement="A code used a second time is refused, and its tokens are revoked")
def test_attempt_reuse_authorization_code_after_one_second(client, browser, wait):
    signed_in = client.sign_in(browser)
    wait(1)
    conditions.refusal(client.redeem(signed_in.code), 400, "invalid_grant")
    assert not client.is_token_accepted(signed_in.access_token)


@spec(FAPI, "5.3.2.2", requirement="A code is valid for a minute at most")
def test_ensure_token_endpoint_fails_with_expired_auth_code(client, code, wait):
    wait(62)
    conditions.refusal(client.redeem(code), 400, "invalid_grant")


@spec(
    FAPI,
    "5.4.1",
    requirement="An assertion signed by RS256 is refused",
    module="ensure-signed-client-assertion-with-RS256-fails",
)
def test_ensure_signed_client_assertion_with_rs256_fails(client, code):
    assert client.signer.as_dict(private=False)["alg"] == "PS256"
    conditions.refusal(client.redeem(code, assertion=assertion_by_rs256(client)), 401, "invalid_client")


def assertion_by_rs256(client):
    """The registered key, used with the older padding."""
    plain = {name: value for name, value in client.signer.as_dict(private=True).items() if name != "alg"}
    return client.assertion(alg="RS256", key=RSAKey.import_key(plain))


@spec(FAPI, "5.3.2.1", requirement="Without an assertion no tokens are issued")
def test_ensure_client_assertion_in_token_endpoint(client, code):
    conditions.refusal(client.redeem(code, assertion=""), 401, "invalid_client")


@spec(ASSERTION, "3", requirement="An assertion that expired five minutes ago is refused")
def test_ensure_client_assertion_with_exp_is_5_minutes_in_past_fails(client, code):
    old = client.assertion(exp=conditions.now() - 300)
    conditions.refusal(client.redeem(code, assertion=old), 401, "invalid_client")


@spec(FAPI, "5.3.2.1", requirement="An assertion for another audience is refused")
def test_ensure_client_assertion_with_wrong_aud_fails(client, code):
    elsewhere = client.assertion(aud="https://elsewhere.example/as")
    conditions.refusal(client.redeem(code, assertion=elsewhere), 401, "invalid_client")


@spec(ASSERTION, "3", requirement="An assertion without sub is refused")
def test_ensure_client_assertion_with_no_sub_fails(client, code):
    conditions.refusal(client.redeem(code, assertion=client.assertion(sub=None)), 401, "invalid_client")


@spec(FAPI, "5.3.2.1", requirement="A refresh token works with a new key, for its authenticated client with a proof")
def test_refresh_token(client, other, browser, wait):
    signed_in = client.sign_in(browser, scope=f"{client.scope} offline_access", prompt="consent")
    token = signed_in.tokens["refresh_token"]
    wait(1)
    client.key = ECKey.generate_key("P-256")
    tokens = conditions.tokens(client.refresh(token, scope=f"{client.scope} offline_access"), "DPoP")
    assert client.is_token_accepted(tokens["access_token"])
    assert "refresh_token" not in tokens, "it is not rotated"
    assert ("id_token" in tokens) == ("id_token" in signed_in.tokens)
    if "id_token" in tokens:
        claims = client.id_token_claims(tokens)
        same = {"iss", "sub", "aud", "auth_time"}
        assert {name: claims[name] for name in same} == {name: signed_in.claims[name] for name in same}
    wait(30)
    conditions.tokens(client.refresh(token), "DPoP")

    conditions.refusal(client.refresh(token, assertion=""), 401, "invalid_client")
    unproven = client.refresh(token, proof="")
    conditions.refusal(unproven, 400, unproven.json()["error"])
    assert unproven.json()["error"] in {"invalid_request", "invalid_grant", "invalid_dpop_proof"}
    other_token = other.sign_in(browser, scope=f"{other.scope} offline_access", prompt="consent").tokens[
        "refresh_token"
    ]
    conditions.refusal(client.refresh(other_token), 400, "invalid_grant")
    conditions.tokens(other.refresh(other_token), "DPoP")


@spec(PAR, "7.3", requirement="A pushed request that was opened can be opened again, until it is completed")
def test_par_ensure_reused_request_uri_prior_to_auth_completion_succeeds(client, browser):
    link = client.authorization_url()
    browser.open(link)
    assert browser.page.has("sign-in")
    client.complete_sign_in(browser.visit(link))


def assert_error_page(browser, link):
    assert browser.open(link) is None
    assert browser.page.status == 400
    assert "request_uri" in browser.page.text
    return True


@spec(
    PAR,
    "7.3",
    requirement="A pushed request that was completed gets an error page",
    module="par-attempt-reuse-request_uri",
)
def test_par_attempt_reuse_request_uri(client, browser):
    link = client.authorization_url()
    client.complete_sign_in(browser.visit(link))
    assert assert_error_page(browser, link)


@spec(
    PAR,
    "4",
    requirement="A pushed request that has expired gets an error page",
    module="par-attempt-to-use-expired-request_uri",
)
def test_par_attempt_to_use_expired_request_uri(client, browser, wait):
    response = client.push()
    wait(response.json()["expires_in"] + 1)
    assert assert_error_page(browser, client.link(response.json()["request_uri"]))


@spec(
    PAR,
    "4",
    requirement="Another client's pushed request gets an error page",
    module="par-attempt-to-use-request_uri-for-different-client",
)
def test_par_attempt_to_use_request_uri_for_different_client(client, other, browser):
    assert assert_error_page(browser, other.link(client.pushed_request_uri()))


@spec(
    PAR,
    "2.1",
    requirement="A request_uri cannot be pushed",
    module="par-authorization-request-containing-request_uri-form-param",
)
def test_par_authorization_request_containing_request_uri_form_param(client):
    conditions.refusal(client.push(request_uri=client.pushed_request_uri()), 400, "invalid_request")


@spec(PAR, "2.3", requirement="A method other than POST is refused")
def test_par_attempt_invalid_http_method(client, provider):
    response = provider.http.put(par_url(client), data=client.request(), timeout=20)
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


@spec(PKCE, "4.4.1", requirement="A request without a code challenge is refused when pushed")
def test_par_ensure_pkce_required(client):
    response = client.push(code_challenge=None, code_challenge_method=None)
    conditions.refusal(response, 400, "invalid_request")


@spec(FAPI, "5.3.2.2", requirement="PKCE's plain method is refused when pushed")
def test_par_plain_pkce_rejected(client):
    response = client.push(code_challenge=client.verifier, code_challenge_method="plain")
    conditions.refusal(response, 400, "invalid_request")


@spec(PKCE, "4.6", requirement="Without the verifier no tokens are issued")
def test_ensure_pkce_code_verifier_required(client, code):
    conditions.refusal(client.redeem(code, code_verifier=None), 400, "invalid_grant")


@spec(PKCE, "4.6", requirement="With a wrong verifier no tokens are issued")
def test_incorrect_pkce_code_verifier_rejected(client, code):
    conditions.refusal(client.redeem(code, code_verifier=secrets.token_urlsafe(32)), 400, "invalid_grant")


@spec(FAPI, "5.3.2.1", requirement="An assertion by a clock that is eight seconds ahead is accepted")
def test_par_ensure_jwt_client_assertions_nbf_8_seconds_in_the_future_is_accepted(client, browser):
    ahead = conditions.now() + 8
    client.complete_sign_in(browser.visit(client.authorization_url(assertion=client.assertion(nbf=ahead, iat=ahead))))


@spec(FAPI, "5.3.2.1", requirement="An assertion by a clock that is more than a minute ahead is refused")
def test_par_ensure_jwt_client_assertions_nbf_over_60_seconds_in_the_future_fails(client):
    ahead = conditions.now() + 61
    response = client.push(assertion=client.assertion(nbf=ahead, iat=ahead, exp=ahead + 60))
    conditions.refusal(response, 401, "invalid_client")


@spec(PAR, "4", requirement="client_id and request_uri suffice as parameters of the authorization request")
def test_par_without_duplicate_parameters(client, browser):
    link = client.authorization_url()
    assert link.partition("?")[2].count("=") == 2
    client.complete_sign_in(browser.visit(link))


@spec(FAPI, "5.3.2.1", requirement="An assertion's audience must be one string, not a list")
def test_par_test_array_as_audience_fails(client):
    listed = client.assertion(aud=[client.provider.issuer, par_url(client)])
    conditions.refusal(client.push(assertion=listed), 401, "invalid_client")


@spec(FAPI, "5.3.2.1", requirement="An assertion for the PAR endpoint's URL is refused")
def test_par_test_par_endpoint_url_as_audience_fails(client):
    conditions.refusal(client.push(assertion=client.assertion(aud=par_url(client))), 401, "invalid_client")


@spec(FAPI, "5.3.2.1", requirement="An assertion for the token endpoint's URL is refused")
def test_par_test_token_endpoint_url_as_audience_fails(client):
    conditions.refusal(client.push(assertion=client.assertion(aud=token_url(client))), 401, "invalid_client")
