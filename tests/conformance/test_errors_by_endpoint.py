"""The error responses of each endpoint for clients (protocol.md §5), endpoint by endpoint."""

import json
import secrets

import pytest
from joserfc.jwk import ECKey

from tests.conformance import conditions
from tests.conformance.conditions import refusal
from tests.conformance.fapi import sha256_base64url

PLAN = "The table of errors: endpoints"
MODULE = "error-{}"
OAUTH, DPOP = "RFC 6749", "RFC 9449"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ENDPOINTS = {
    "token": {"grant_type": "refresh_token", "refresh_token": "x"}, "introspection": {"token": "x"},
    "pushed_authorization_request": {"response_type": "code"}, "revocation": {"token": "x"},
    "device_authorization": {"scope": "openid"},
}  # fmt: skip
"""The endpoints of the back channel, with a valid form for each."""
REFUSED = {
    "error": "invalid_client",
    "error_description": "client authentication failed; "
    "if there is such a client, its log at /developers/failed-requests says why",
}

spec = pytest.mark.spec
back_channel = pytest.mark.parametrize("endpoint", ENDPOINTS)


@pytest.fixture
def fapi(a_fapi_client):
    return a_fapi_client("conf-fapi-1", scope="openid offline_access")


def call(provider, endpoint, method="POST", **options):
    """Send a request with exactly these bytes."""
    return provider.http.request(method, provider.metadata[f"{endpoint}_endpoint"], timeout=20, **options)


@back_channel
@spec(OAUTH, "3.2", requirement="A method other than POST: 405 in JSON, with Allow")
def test_wrong_method(provider, endpoint):
    for method in ("GET", "PUT", "DELETE"):
        response = call(provider, endpoint, method)
        refusal(response, 405, "invalid_request")
        assert "POST" in response.headers["Allow"]
        assert "Set-Cookie" not in response.headers


@back_channel
@spec(
    OAUTH,
    "3.2",
    requirement="Parameters in the URL, repeated, malformed or of another type: invalid_request; too large: 413",
)
def test_malformed_form(provider, client, endpoint):
    form, headers = client.authenticated(ENDPOINTS[endpoint])
    refusal(call(provider, endpoint, data=form, headers=headers, params={"state": "x"}), 400, "invalid_request")
    for wrong in ([("state", "x"), ("state", "y")], [("state", "a\x00b")], [("state", "x" * 4097)]):
        sent = [*form.items(), *wrong]
        refusal(call(provider, endpoint, data=sent, headers=headers), 400, "invalid_request")
    refusal(call(provider, endpoint, json=form, headers=headers), 400, "invalid_request")
    refusal(call(provider, endpoint, headers=headers), 400, "invalid_request")
    refusal(call(provider, endpoint, data={**form, "x": "x" * 70_000}, headers=headers), 413, "invalid_request")


@back_channel
@spec(OAUTH, "5.2", requirement="A client that is not authenticated: the same 401 invalid_client for every reason")
def test_client(provider, client, fapi, endpoint):
    form, secret = ENDPOINTS[endpoint], str(client.credentials.secret)
    for credentials in ((client.id, "wrong"), ("unknown", secret), (client.id, ""), (fapi.id, secret)):
        response = call(provider, endpoint, data=form, auth=credentials)
        refusal(response, 401, "invalid_client")
        assert response.json() == REFUSED
        assert response.headers["WWW-Authenticate"].startswith("Basic ")
    by_other_scheme = call(provider, endpoint, data=form, headers={"Authorization": "Bearer x"})
    refusal(by_other_scheme, 401, "invalid_client")
    assert by_other_scheme.headers["WWW-Authenticate"].startswith("Basic ")
    for proof in ({}, {"client_secret": "wrong"}):
        response = call(provider, endpoint, data={**form, "client_id": client.id, **proof})
        refusal(response, 401, "invalid_client")
        assert response.json() == REFUSED
        assert "WWW-Authenticate" not in response.headers
    response = fapi.post(endpoint, form, assertion=fapi.assertion(aud="https://x.example"))
    refusal(response, 401, "invalid_client")
    assert response.json()["error_description"].startswith("client_assertion: aud is https://x.example; accepted is ")


@back_channel
@spec(OAUTH, "2.3", requirement="Two ways to authenticate at once: invalid_request")
def test_two_authentication_methods(client, fapi, endpoint):
    form = ENDPOINTS[endpoint]
    refusal(client.post(endpoint, {**form, "client_secret": "x"}), 400, "invalid_request")
    refusal(client.post(endpoint, {**form, "client_assertion": fapi.assertion()}), 400, "invalid_request")


@spec("RFC 9126", "2.3", requirement="PAR: a request that authorize refuses is 400 here, with the same code")
def test_pushed_requests(fapi):
    for error, overrides in (
        ("invalid_request", {"redirect_uri": None}), ("invalid_request", {"redirect_uri": "https://x.example"}),
        ("invalid_request", {"response_type": None}), ("unsupported_response_type", {"response_type": "token"}),
        ("invalid_scope", {"scope": "nonsense"}), ("invalid_target", {"resource": "https://x.example"}),
        ("invalid_request", {"code_challenge": None}), ("invalid_request", {"code_challenge_method": "plain"}),
        ("invalid_request", {"prompt": "x"}), ("invalid_request", {"max_age": "x"}),
        ("invalid_request", {"claims": "x"}), ("invalid_request", {"id_token_hint": "x"}),
        ("invalid_request", {"request_uri": "urn:ietf:params:oauth:request_uri:x"}),
        ("invalid_request_object", {"request": "x.y.z"}), ("invalid_request", {"response_mode": "fragment.jwt"}),
        ("invalid_authorization_details", {"authorization_details": "[]"}),
    ):  # fmt: skip
        refusal(fapi.push(**overrides), 400, error)


@spec(DPOP, "10.1", requirement="PAR: a proof with a dpop_jkt of another key, or an invalid proof: invalid_dpop_proof")
def test_par_proof(fapi, provider):
    proof = fapi.proof("POST", provider.metadata["pushed_authorization_request_endpoint"])
    refusal(fapi.push(proof=proof, dpop_jkt=sha256_base64url("another")), 400, "invalid_dpop_proof")
    refusal(fapi.push(proof="x"), 400, "invalid_dpop_proof")


@spec(OAUTH, "5.2", requirement="Token: grant_type missing, unknown, or not the client's")
def test_grant_type(client):
    refusal(client.post("token", {}), 400, "invalid_request")
    for grant in ("password", "implicit", "urn:ietf:params:oauth:grant-type:token-exchange",
                  "urn:openid:params:grant-type:ciba"):  # fmt: skip
        refusal(client.post("token", {"grant_type": grant}), 400, "unsupported_grant_type")
    refusal(client.post("token", {"grant_type": "client_credentials"}), 400, "unauthorized_client")


@spec(
    OAUTH,
    "4.1.3",
    requirement="Token: a code that is missing, unknown or another client's, or a wrong redirect_uri or verifier",
)
def test_authorization_code(browser, client, a_client):
    refusal(client.post("token", {"grant_type": "authorization_code"}), 400, "invalid_request")
    refusal(client.redeem("unknown"), 400, "invalid_grant")
    for overrides in ({"redirect_uri": None}, {"redirect_uri": "https://x.example"}, {"code_verifier": "x" * 43}):
        code = client.get_code(browser.visit(client.authorization_url()))
        refusal(client.redeem(code, **overrides), 400, "invalid_grant")
        refusal(client.redeem(code), 400, "invalid_grant")  # it is used up
    code = client.get_code(browser.visit(client.authorization_url()))
    refusal(a_client("conf-basic-2").redeem(code), 400, "invalid_grant")
    conditions.tokens(client.redeem(code))


@spec("RFC 7636", "4.6", requirement="Token: the verifier missing or wrong, or a proof of another key: invalid_grant")
def test_code_verifier_and_dpop_key(browser, fapi):
    other = fapi.proof("POST", fapi.provider.metadata["token_endpoint"], key=ECKey.generate_key("P-256"))
    for parameters, overrides in (
        ({}, {"code_verifier": None}), ({}, {"code_verifier": secrets.token_urlsafe(32)}),
        ({"dpop_jkt": fapi.jkt}, {"proof": other}),
    ):  # fmt: skip
        code = fapi.get_code(browser.visit(fapi.authorization_url(**parameters)))
        refusal(fapi.redeem(code, **overrides), 400, "invalid_grant")
    refusal(fapi.redeem("unknown", proof=""), 400, "invalid_dpop_proof")


@spec(
    OAUTH,
    "6",
    requirement="Token: a refresh token that is missing, unknown, invalid or another client's; a wider scope",
)
def test_refresh(browser, client, a_client):
    token = client.sign_in(browser, scope="openid offline_access", prompt="consent").tokens["refresh_token"]
    refusal(client.post("token", {"grant_type": "refresh_token"}), 400, "invalid_request")
    refusal(client.refresh("unknown"), 400, "invalid_grant")
    refusal(a_client("conf-basic-2").refresh(token), 400, "invalid_grant")
    refusal(client.refresh(token, scope="openid email"), 400, "invalid_scope")
    refusal(client.refresh(token, resource="https://x.example"), 400, "invalid_target")
    conditions.tokens(client.refresh(token))
    assert client.post("revocation", {"token": token}).status_code == 200
    refusal(client.refresh(token), 400, "invalid_grant")


@spec(OAUTH, "4.4", requirement="Token: client credentials for a scope that is not the client's own: invalid_scope")
def test_client_credentials(a_fapi_client):
    client = a_fapi_client("conf-ccg-1")
    for scope in ("openid", "nonsense", "invitations"):
        refusal(client.post("token", {"grant_type": "client_credentials", "scope": scope}), 400, "invalid_scope")


@spec("RFC 8628", "3.5", requirement="Device: refused requests; unknown, pending, slow_down, denied and expired codes")
def test_device(browser, registered, wait):
    device = registered(grant_types=frozenset({DEVICE}))

    def poll(code):
        return device.post("token", {"grant_type": DEVICE, "device_code": code})

    for wrong in ({"scope": "schools.list"}, {"x": "y"}, {"scope": "openid nonsense"}):
        refusal(device.post("device_authorization", wrong), 400, "invalid_scope")
    wrong = {"scope": "openid", "resource": "https://x.example"}
    refusal(device.post("device_authorization", wrong), 400, "invalid_target")
    refusal(registered().post("device_authorization", {"scope": "openid"}), 400, "unauthorized_client")
    refusal(device.post("token", {"grant_type": DEVICE}), 400, "invalid_request")
    refusal(poll("unknown"), 400, "invalid_grant")
    authorization = device.post("device_authorization", {"scope": "openid"}).json()
    assert (authorization["expires_in"], authorization["interval"]) == (900, 5)
    refusal(poll(authorization["device_code"]), 400, "authorization_pending")
    refusal(poll(authorization["device_code"]), 400, "slow_down")
    browser.open(authorization["verification_uri"])
    browser.sign_in()
    browser.press("continue", user_code=authorization["user_code"])
    browser.press("deny")
    refusal(poll(authorization["device_code"]), 400, "access_denied")
    later = device.post("device_authorization", {"scope": "openid"}).json()
    wait(901)
    refusal(poll(later["device_code"]), 400, "expired_token")


@spec(
    "protocol.md",
    "5",
    requirement="Scripts of a public client's origin may call token, PAR, userinfo and revoke, and no others",
)
def test_cross_origin(provider, registered):
    public = registered(token_endpoint_auth_method="none", redirect_uris=["https://app.example/callback"])
    own_origin, other_origin = {"Origin": "https://app.example"}, {"Origin": "https://x.example"}
    for endpoint in ("token", "pushed_authorization_request", "userinfo", "revocation"):
        response = call(provider, endpoint, data={"client_id": public.id}, headers=own_origin)
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert {"DPoP-Nonce", "WWW-Authenticate"} <= set(response.headers["Access-Control-Expose-Headers"].split(", "))
        assert "Access-Control-Allow-Origin" not in call(provider, endpoint, data={}, headers=other_origin).headers
    for endpoint in ("introspection", "device_authorization", "registration", "authorization"):
        assert "Access-Control-Allow-Origin" not in call(provider, endpoint, headers=own_origin).headers
    for path in ("/.well-known/openid-configuration", "/oauth/jwks"):
        assert provider.get(path).headers["Access-Control-Allow-Origin"] == "*"


@spec(
    "RFC 6750",
    "3.1",
    requirement="Userinfo: no token, or one that is invalid, without openid, in the query, or sent twice",
)
def test_userinfo(browser, client, a_fapi_client):
    def call_resource(**options):
        return client.provider.http.get(client.provider.metadata["userinfo_endpoint"], timeout=20, **options)

    token = client.sign_in(browser).access_token
    bearer = {"Authorization": f"Bearer {token}"}
    response = call_resource()
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer realm=")
    assert "error=" not in response.headers["WWW-Authenticate"]
    dead = call_resource(headers={"Authorization": "Bearer x"})
    assert dead.status_code == 401
    assert dead.headers["WWW-Authenticate"].startswith(
        'Bearer error="invalid_token", error_description="access_token: '
    )
    in_query = call_resource(params={"access_token": token})
    refusal(in_query, 400, "invalid_request")
    assert in_query.headers["WWW-Authenticate"].startswith('Bearer error="invalid_request", error_description="')
    refusal(call(client.provider, "userinfo", data={"access_token": token}, headers=bearer), 400, "invalid_request")
    without_scope = a_fapi_client("conf-ccg-1")
    own = conditions.tokens(without_scope.post("token", {"grant_type": "client_credentials"}), "DPoP")["access_token"]
    refusal(without_scope.call_resource(own), 403, "insufficient_scope")
    bound = without_scope.call_resource(own, proof="")
    refusal(bound, 401, "invalid_dpop_proof")
    assert bound.headers["WWW-Authenticate"].startswith('DPoP error="invalid_dpop_proof", error_description="')
    as_bearer = without_scope.call_resource(own, scheme="Bearer")
    refusal(as_bearer, 401, "invalid_token")
    assert as_bearer.headers["WWW-Authenticate"].startswith('DPoP error="invalid_token"')


@spec("RFC 7662", "2.2", requirement="Introspection: a token that ended, is unknown or of another client is inactive")
def test_introspection(browser, client, a_client):
    token = client.sign_in(browser).access_token
    assert client.post("introspection", {"token": token}).json()["active"] is True
    for requester, token_sent in ((a_client("conf-basic-2"), token), (client, token[:-1]), (client, "x")):
        assert requester.post("introspection", {"token": token_sent}).json() == {"active": False}
    refusal(client.post("introspection", {}), 400, "invalid_request")


@spec("RFC 7009", "2.2", requirement="Revocation: 200 also for unknown tokens; another client's is invalid_grant")
def test_revocation(browser, client, a_client):
    token = client.sign_in(browser).access_token
    refusal(client.post("revocation", {}), 400, "invalid_request")
    for token_sent in ("unknown", "x.y.z"):
        response = client.post("revocation", {"token": token_sent, "token_type_hint": "x"})
        assert (response.status_code, response.content) == (200, b"")
    refusal(a_client("conf-basic-2").post("revocation", {"token": token}), 400, "invalid_grant")
    assert client.call_resource(token).status_code == 200
    client.post("revocation", {"token": token})
    assert client.call_resource(token).status_code == 401


@spec("RFC 7591", "3.2.2", requirement="Registration: a redirect URI of the wrong form: invalid_redirect_uri")
def test_invalid_redirect_uri(register):
    for uri in ("https://x.example/cb#x", "https://me@x.example/cb", "https://*.x.example/", "http://x.example/cb",
                "javascript:alert(1)", "/cb", "app:/cb"):  # fmt: skip
        conditions.registration_refused(register(redirect_uris=[uri]), "invalid_redirect_uri")


@spec("RFC 7591", "3.2.2", requirement="Registration: any other invalid member: invalid_client_metadata")
def test_invalid_client_metadata(register, provider, signers, prepared):
    private = signers["conf-fapi-2"].as_dict(private=True)
    for wrong in (
        {"grant_types": 5}, {"grant_types": ["password"]}, {"response_types": ["token"]}, {"jwks": {"keys": [private]}},
        {"token_endpoint_auth_method": "tls_client_auth"}, {"id_token_signed_response_alg": "none"},
        {"id_token_encrypted_response_alg": "RSA-OAEP"}, {"initiate_login_uri": "http://x.example"},
        {"jwks": {"keys": []}, "jwks_uri": "https://x.example/"}, {"scope": "nonsense"}, {"client_name": 5},
        {"subject_type": "pairwise", "redirect_uris": ["https://a.example/", "https://b.example/"]},
    ):  # fmt: skip
        conditions.registration_refused(register(**wrong), "invalid_client_metadata")
    url, token = provider.metadata["registration_endpoint"], {"Authorization": f"Bearer {prepared.initial_token}"}
    for body in ("", "[]", "{", '{"client_name": "x", "client_name": "y"}'):
        response = provider.http.post(url, data=body, headers={**token, "Content-Type": "application/json"}, timeout=20)
        conditions.registration_refused(response, "invalid_client_metadata")
    large = provider.http.post(
        url, data=json.dumps("x" * 70_000), headers={**token, "Content-Type": "application/json"}
    )
    assert large.status_code == 413


@spec(
    "RFC 7592", "2.1", requirement="Registration: no token, an invalid one, or another client's: 401 with a challenge"
)
def test_registration_tokens(register, provider):
    url, made = provider.metadata["registration_endpoint"], register().json()
    own_headers = {"Authorization": f"Bearer {made['registration_access_token']}"}
    for response in (
        provider.http.post(url, json={}, timeout=20),
        provider.http.get(f"{url}/conf-basic-1", headers=own_headers, timeout=20),
        provider.http.get(made["registration_client_uri"], headers={"Authorization": "Bearer x"}, timeout=20),
    ):  # fmt: skip
        refusal(response, 401, "invalid_token")
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="registration"')
    refused = provider.http.patch(made["registration_client_uri"], headers=own_headers, timeout=20)
    refusal(refused, 405, "invalid_request")
    deleted = provider.http.delete(made["registration_client_uri"], headers=own_headers, timeout=20)
    assert (deleted.status_code, deleted.content) == (204, b"")
    refusal(provider.http.get(made["registration_client_uri"], headers=own_headers, timeout=20), 401, "invalid_token")
