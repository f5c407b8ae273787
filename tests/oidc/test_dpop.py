"""DPoP (RFC 9449): tokens bound to a key, and proofs that are valid once, for one request, for a short time."""

from datetime import timedelta

import pytest
from joserfc.jwk import ECKey, RSAKey

from idp.foundation import crypto
from idp.keys import jwts
from idp.oidc.clients import dpop
from idp.oidc.models import UsedJti
from tests import factories
from tests.oidc.signing import Signer, jwks, key, thumbprint, without_kid
from tests.oidc.support import (
    ISSUER,
    follow_redirects,
    obtain_tokens,
    press,
    redirect_parameters,
    sign_in,
    sign_in_and_authorise,
)

FIRST_KEY, SECOND_KEY = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")


@pytest.fixture
def partner(world, clock):
    with world.transaction():
        client = factories.a_client(token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256")))
        return Signer(client.id, dpop_key=FIRST_KEY)


@pytest.fixture
def bound_client(world, clock):
    with world.transaction():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256")), profile="fapi2",
            dpop_bound_access_tokens=True,
        )  # fmt: skip
        return Signer(client.id, dpop_key=FIRST_KEY)


@pytest.fixture
def tokens(web, world, partner):
    return obtain_tokens(web, partner, world.username)


def assert_error(response, error, status=400):
    assert (response.status_code, response.json["error"]) == (status, error), response.text


def test_a_proof_binds_the_tokens(web, world, partner, tokens):
    assert tokens["token_type"] == "DPoP"
    assert world.claims(tokens["access_token"])["cnf"] == {"jkt": thumbprint(FIRST_KEY)}
    assert partner.request_userinfo(web, tokens["access_token"]).status_code == 200
    assert partner.request_userinfo(web, tokens["access_token"], scheme="dPOP").status_code == 200


@pytest.mark.parametrize("bits", [2048, 4096])
def test_a_proof_may_have_a_large_key(web, world, partner, bits):
    """joserfc's default limit for headers is 512 characters."""
    rsa_key = RSAKey.generate_key(bits)
    partner.dpop_key, partner.proofs = rsa_key, {"alg": "PS256"}
    tokens = obtain_tokens(web, partner, world.username)
    assert world.claims(tokens["access_token"])["cnf"] == {"jkt": thumbprint(rsa_key)}
    assert partner.request_userinfo(web, tokens["access_token"], alg="PS256").status_code == 200


def test_every_algorithm_advertised_for_proofs_works(web, world, partner):
    for alg in web.get("/.well-known/openid-configuration").json["dpop_signing_alg_values_supported"]:
        partner.dpop_key, partner.proofs = key(alg, 9), {"alg": alg}
        tokens = obtain_tokens(web, partner, world.username)
        assert tokens["token_type"] == "DPoP", alg
        assert partner.request_userinfo(web, tokens["access_token"], alg=alg).status_code == 200


def test_a_client_that_must_bind_tokens_gets_none_without_a_proof(web, world, bound_client):
    pushed = bound_client.post(web, "/oauth/par", bound_client.parameters()).json
    link = {"client_id": bound_client.id, "request_uri": pushed["request_uri"]}
    response = follow_redirects(web, web.get("/oauth/authorize", query_string=link))
    response = follow_redirects(web, sign_in(web, response, world.username))
    code = redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))["code"]
    bound_client.dpop_key = None
    assert_error(bound_client.redeem(web, code), "invalid_dpop_proof")
    bound_client.dpop_key = SECOND_KEY
    assert_error(bound_client.redeem(web, code), "invalid_grant")  # the code is bound to the key of the pushed request
    bound_client.dpop_key = FIRST_KEY
    assert bound_client.redeem(web, code).json["token_type"] == "DPoP"  # neither error used the code up


@pytest.mark.parametrize(
    "overrides",
    [
        {"htm": "GET"}, {"htu": ISSUER + "/oauth/par"}, {"htu": "https://other.example/oauth/token"}, {"htu": None},
        {"htu": "http://localhost:5001/oauth/token"}, {"htu": "http://localhost/oauth/token"},
        {"htu": 7}, {"htu": "http://["}, {"htm": None}, {"jti": None}, {"jti": 7}, {"jti": ""},
        {"iat": None}, {"iat": "now"}, {"header": {"typ": "jwt"}}, {"header": {"typ": None}}, {"header": {"jwk": None}},
        {"header": {"jwk": {"kty": "EC"}}}, {"header": {"jwk": without_kid(SECOND_KEY)}}, {"header": {"jwk": "x"}},
        {"header": {"jwk": FIRST_KEY.as_dict(private=True)}}, {"header": {"crit": ["b64"], "b64": False}},
    ],
)  # fmt: skip
def test_a_wrong_proof_is_refused_and_does_not_use_the_code_up(web, world, partner, overrides):
    code = sign_in_and_authorise(web, partner, world.username)["code"]
    partner.proofs = overrides
    assert_error(partner.redeem(web, code), "invalid_dpop_proof")
    partner.proofs = {}
    assert partner.redeem(web, code).status_code == 200


def test_weak_keys_and_rs256_are_refused(web, world, partner):
    for proof in (
        {"key": RSAKey.generate_key(1024), "alg": "PS256"}, {"key": key("RS256"), "alg": "RS256"},
        {"key": ECKey.generate_key("P-384"), "alg": "ES384"},
    ):  # fmt: skip
        partner.proofs = proof
        assert_error(partner.refresh(web, "x"), "invalid_dpop_proof")


@pytest.mark.parametrize(
    "same", ["/oauth/token?x=y", "/oauth/token#x", "/oauth/token?x=y#z", "/oauth/./token", "/x/%2E./oauth/tok%65n"]
)  # fmt: skip
def test_htu_is_compared_normalised_without_query_and_fragment(web, world, partner, same):
    partner.proofs = {"htu": ISSUER + same}
    code = sign_in_and_authorise(web, partner, world.username)["code"]
    assert partner.redeem(web, code).status_code == 200


@pytest.mark.parametrize(
    "other", ["/oauth%2Ftoken", "//oauth/token", "/oauth/token/", "/oauth/token/..", "/../../token"]
)
def test_normalising_htu_does_not_accept_another_url(web, partner, other):
    partner.proofs = {"htu": ISSUER + other}
    assert_error(partner.refresh(web, "x"), "invalid_dpop_proof")


def test_capitals_in_the_host_and_extra_claims_do_not_matter(web, world, partner, clock):
    now = int(clock.now().timestamp())
    partner.proofs = {"htu": "HTTP://LOCALHOST:5000/oauth/token", "extra": 1, "nbf": now, "exp": now + 5}
    assert partner.redeem(web, sign_in_and_authorise(web, partner, world.username)["code"]).status_code == 200


@pytest.mark.parametrize(
    ("seconds", "is_accepted"), [(-120, True), (-121, False), (-10, True), (60, True), (61, False)]
)
def test_a_proof_is_accepted_from_a_clock_that_is_a_minute_off(
    web, world, partner, tokens, clock, seconds, is_accepted
):
    issued_at = int(clock.now().timestamp()) + seconds
    assert (partner.request_userinfo(web, tokens["access_token"], iat=issued_at).status_code == 200) == is_accepted


@pytest.mark.parametrize(("seconds", "is_accepted"), [(-60, True), (-61, False), (-10, True), (15, True), (16, False)])
def test_fapi2_limits_the_age_of_a_proof(web, bound_client, clock, seconds, is_accepted):
    issued_at = int(clock.now().timestamp()) + seconds
    bound_client.proofs = {"iat": issued_at}
    response = bound_client.post(web, "/oauth/par", bound_client.parameters())
    assert response.status_code == (201 if is_accepted else 400)


@pytest.mark.parametrize("seconds", [-120, 0, 60])
def test_a_proof_dated_in_the_future_is_accepted_once(web, world, partner, tokens, clock, seconds):
    token, made_at = tokens["access_token"], int(clock.now().timestamp()) + seconds
    assert partner.request_userinfo(web, token, jti="once", iat=made_at).status_code == 200
    clock.move(timedelta(seconds=120 + seconds))
    assert_error(partner.request_userinfo(web, token, jti="once", iat=made_at), "invalid_dpop_proof", 401)
    with world.transaction() as session:
        row = session.get_one(UsedJti, crypto.hmac_sha256(b"proof", thumbprint(FIRST_KEY), "once"))
        assert row.expires_at >= clock.now(), "the jti could be deleted while the proof is valid"


@pytest.mark.parametrize("iat", [-(10**400), 10**400, float("nan"), float("inf"), -1, True])
def test_a_time_out_of_range_is_refused(web, partner, iat):
    assert_error(partner.refresh(web, "x"), "invalid_grant")
    partner.proofs = {"iat": iat}
    assert_error(partner.refresh(web, "x"), "invalid_dpop_proof")


def test_a_proof_is_accepted_once(web, partner, tokens):
    token = tokens["access_token"]
    assert partner.request_userinfo(web, token, jti="once").status_code == 200
    again = partner.request_userinfo(web, token, jti="once")
    assert_error(again, "invalid_dpop_proof", 401)
    description = "DPoP: the jti was used before: each request needs a new proof"
    challenge = f'DPoP error="invalid_dpop_proof", error_description="{description}", algs="PS256 ES256 EdDSA Ed25519"'
    assert again.headers["WWW-Authenticate"] == challenge


def test_a_proof_that_came_with_a_refused_token_request_is_used_up(web, world, partner):
    partner.proofs = {"jti": "once"}
    assert_error(partner.refresh(web, "unknown"), "invalid_grant")

    code = sign_in_and_authorise(web, partner, world.username)["code"]
    assert_error(partner.redeem(web, code), "invalid_dpop_proof")
    partner.proofs = {"jti": "another"}
    assert partner.redeem(web, code).json["token_type"] == "DPoP"


@pytest.mark.parametrize(
    "overrides", [{"ath": None}, {"ath": "x"}, {"htm": "POST"}, {"key": SECOND_KEY}, {"htu": ISSUER}]
)
def test_a_proof_at_a_resource_must_name_its_token(web, partner, tokens, overrides):
    assert partner.request_userinfo(web, tokens["access_token"], **overrides).status_code == 401


def test_two_proofs_are_refused(web, partner, tokens):
    token = tokens["access_token"]
    proofs = [partner.proof("GET", "/oauth/userinfo", token) for _ in range(2)]
    for headers in ([("DPoP", proof) for proof in proofs], [("DPoP", ", ".join(proofs))]):
        response = web.get("/oauth/userinfo", headers=[("Authorization", f"DPoP {token}"), *headers])
        assert_error(response, "invalid_dpop_proof", 401)


def test_a_bound_token_is_refused_as_a_bearer_token_and_an_unbound_one_as_bound(web, world, partner, tokens):
    token = tokens["access_token"]
    as_bearer = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert as_bearer.status_code == 401
    (challenge,) = as_bearer.headers.getlist("WWW-Authenticate")
    assert challenge.startswith('DPoP error="invalid_token", error_description="access_token: is bound to a key')
    assert challenge.endswith(', algs="PS256 ES256 EdDSA Ed25519"')
    assert partner.request_userinfo(web, token, scheme="Bearer").headers["WWW-Authenticate"] == challenge
    assert web.post("/oauth/userinfo", data={"access_token": token}).headers["WWW-Authenticate"] == challenge
    assert web.get("/oauth/userinfo", headers={"Authorization": f"DPoP {token}"}).status_code == 401
    unbound = obtain_tokens(web, world.partner, world.username)["access_token"]
    as_bound = partner.request_userinfo(web, unbound)
    assert as_bound.status_code == 401
    assert as_bound.headers["WWW-Authenticate"].startswith(
        'Bearer error="invalid_token", error_description="access_tok'
    )


def test_a_confidential_client_may_refresh_with_a_new_key(web, world, partner, tokens):
    partner.dpop_key = SECOND_KEY
    response = partner.refresh(web, tokens["refresh_token"]).json
    assert world.claims(response["access_token"])["cnf"] == {"jkt": thumbprint(SECOND_KEY)}
    partner.dpop_key = None
    assert partner.refresh(web, tokens["refresh_token"]).status_code == 400


def test_a_public_client_must_refresh_with_the_bound_key(web, world, clock):
    public = world.new_partner(token_endpoint_auth_method="none")
    signer = Signer(public.id, dpop_key=FIRST_KEY)
    code = sign_in_and_authorise(web, public, world.username)["code"]

    def post(form, with_key):
        signer.dpop_key = with_key
        headers = {"DPoP": signer.proof("POST", "/oauth/token")}
        return web.post("/oauth/token", data={"client_id": public.id, **form}, headers=headers)

    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": public.redirect_uri,
            "code_verifier": public.verifier}  # fmt: skip
    tokens = post(form, FIRST_KEY).json
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert_error(post(refresh, SECOND_KEY), "invalid_grant")
    response = post(refresh, FIRST_KEY)
    assert response.status_code == 200
    assert "refresh_token" not in response.json  # it is bound, and therefore not rotated

    unbound = obtain_tokens(web, public, world.username)["refresh_token"]
    assert post({"grant_type": "refresh_token", "refresh_token": unbound}, FIRST_KEY).json["token_type"] == "DPoP"


def test_dpop_jkt_binds_the_code(web, world, partner):
    code = sign_in_and_authorise(web, partner, world.username, dpop_jkt=thumbprint(SECOND_KEY))["code"]
    assert_error(partner.redeem(web, code), "invalid_grant")
    partner.dpop_key = SECOND_KEY
    assert partner.redeem(web, code).status_code == 200


def test_dpop_jkt_with_another_proof_is_refused_at_par(web, partner):
    assert_error(
        partner.post(web, "/oauth/par", partner.parameters(dpop_jkt=thumbprint(SECOND_KEY))), "invalid_dpop_proof"
    )
    assert partner.post(web, "/oauth/par", partner.parameters(dpop_jkt=thumbprint(FIRST_KEY))).status_code == 201


def test_a_nonce_is_required_where_it_is_configured(web, world, partner, tokens, clock, change_settings):
    token = tokens["access_token"]
    assert "DPoP-Nonce" not in partner.request_userinfo(web, token).headers
    change_settings(tokens={"dpop_nonces": True})
    response = partner.request_userinfo(web, token)
    assert_error(response, "use_dpop_nonce", 401)
    nonce = response.headers["DPoP-Nonce"]
    response = partner.request_userinfo(web, token, nonce=nonce)
    assert response.status_code == 200
    assert response.headers["DPoP-Nonce"]
    clock.move(timedelta(minutes=5))
    response = partner.request_userinfo(web, token, nonce=nonce)  # it is the nonce of the previous window
    assert response.status_code == 200
    assert response.headers["DPoP-Nonce"] != nonce
    clock.move(timedelta(minutes=5))
    at_token = partner.refresh(web, tokens["refresh_token"])
    assert_error(at_token, "use_dpop_nonce")
    partner.proofs = {"nonce": at_token.headers["DPoP-Nonce"]}
    assert partner.refresh(web, tokens["refresh_token"]).status_code == 200
    partner.proofs = {"nonce": nonce}
    assert_error(partner.refresh(web, tokens["refresh_token"]), "use_dpop_nonce")
    partner.proofs = {"nonce": [at_token.headers["DPoP-Nonce"]]}
    assert_error(partner.refresh(web, tokens["refresh_token"]), "use_dpop_nonce")


def test_a_header_larger_than_any_key_is_not_cached(web, world, partner):
    """A client that sends many of them would fill our memory."""
    jwts.header.cache_clear()
    dpop._proof_key.cache_clear()
    partner.proofs = {"header": {"jwk": without_kid(FIRST_KEY) | {"x5t": "A" * 2000}}}
    assert partner.redeem(web, sign_in_and_authorise(web, partner, world.username)["code"]).status_code == 200
    # One header is that of the client assertion.
    assert (jwts.header.cache_info().currsize, dpop._proof_key.cache_info().currsize) == (
        1,
        0,
    )
