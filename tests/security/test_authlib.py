"""Authlib's pitfalls (protocol.md §4.2), each avoided; a test is named after its line. All run on each update.

Those of registration (4, 21) and of device codes (15, 28) are among the tests of their endpoints.
"""

import base64
import importlib.metadata
import json
import logging
import secrets
import warnings
from datetime import timedelta

import flask
import pytest
from authlib.oauth2.rfc6749 import InsecureTransportError, OAuth2Request
from joserfc import jws

from idp.foundation import clock, logs
from idp.keys.key import Key
from idp.oidc import authorization_server
from idp.oidc.authorization.request_sources import RequestSources
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import AUTHORIZE, PAR, Request, parameters
from idp.partners import registry
from idp.sharing.models import Authorisation
from tests import factories
from tests.oidc.signing import ASSERTION, Signer, jwks, key, sign_jws
from tests.oidc.support import (
    CALLBACK,
    ISSUER,
    follow_redirects,
    jwt_header,
    obtain_tokens,
    page,
    redirect_parameters,
    sign_in_and_authorise,
)

ODD_CHARACTERS = ['"', "\\", "ü", "\u202e", "😀", "\x7f", "%", "'"]


def version(name):
    return tuple(int(part) for part in importlib.metadata.version(name).split(".")[:3])


def test_the_installed_versions_have_the_fixes():
    assert version("authlib") >= (1, 9, 9)
    assert version("joserfc") >= (1, 8, 0)


def basic(text):
    return {"Authorization": "Basic " + base64.b64encode(text).decode()}


@pytest.mark.parametrize("odd", ODD_CHARACTERS)
@pytest.mark.parametrize("name", ["redirect_uri", "response_type", "response_mode", "scope", "prompt", "client_id"])
def test_01_invalid_characters_in_parameters_do_not_crash_authorize(web, world, name, odd):
    response = web.get(world.partner.link(**{name: f"x{odd}y"}))
    assert response.status_code in {303, 400}


@pytest.mark.parametrize("odd", ODD_CHARACTERS)
def test_01_invalid_characters_in_parameters_do_not_crash_the_token_endpoint(web, world, odd):
    for name in ("grant_type", "code", "redirect_uri", "scope", "refresh_token", "code_verifier"):
        form = {"grant_type": "authorization_code", "code": "x", name: f"x{odd}y"}
        assert world.partner.post(web, "/oauth/token", form).status_code == 400


def test_02_basic_credentials_that_cannot_be_decoded_are_refused(web, world):
    for header in (basic(b"\xff\xfe:\xff"), basic(f"{world.partner.id}:ü".encode()), {"Authorization": "Basic ü"},
                   {"Authorization": "Basic"}, {"Authorization": "Basic !!!"}, basic(b"nocolon")):  # fmt: skip
        response = web.post("/oauth/token", data={"grant_type": "authorization_code"}, headers=header)
        assert response.status_code == 401
        assert response.json["error"] == "invalid_client"


def test_03_plain_http_raises_no_error_of_authlib(web, world):
    """The issuer of tests is http; Authlib's own request class would raise an error for it that is not caught."""
    with flask.Flask(__name__).test_request_context("http://idp.example/oauth/authorize"):
        with pytest.raises(InsecureTransportError):
            OAuth2Request("GET", flask.request.url)
        assert Request(flask.request, parameters([]), AUTHORIZE).path == "/oauth/authorize"


def test_06_userinfo_is_signed_with_the_algorithms_we_have_and_no_warning(web, world):
    partner = world.new_partner(userinfo_signed_response_alg="ES256")
    tokens = obtain_tokens(web, partner, world.username)
    response = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert response.content_type == "application/jwt"


@pytest.fixture
def signer(world):
    with world.transaction():
        client = factories.a_client(token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256")))
        return Signer(client.id, dpop_key=key("ES256", 9))


def signed_request(signer, **overrides):
    claims = {"iss": signer.id, "aud": ISSUER, **signer.parameters()} | overrides
    return sign_jws(claims, signer.key, "ES256")


@pytest.mark.parametrize("value", [7, [], {}, None, True, 1.5])
@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "scope", "state", "exp", "aud", "iss", "response_type"])
def test_05_claims_of_a_wrong_type_in_a_request_object_do_not_crash(web, signer, name, value):
    link = signer.link(request=signed_request(signer, **{name: value}))
    assert web.get(link).status_code in {303, 400}
    assert signer.post(web, "/oauth/par", {"request": signed_request(signer, **{name: value})}).status_code in {
        201,
        400,
    }


@pytest.mark.parametrize("hint", ["x", "a.b.c", "é.é.é", "eyJhbGciOiJub25lIn0.e30."])
def test_07_an_invalid_hint_at_logout_shows_an_error_page(web, hint):
    response = web.get("/oauth/logout", query_string={"id_token_hint": hint})
    assert response.status_code == 400
    assert "id_token_hint" in response.text


def test_08_parameters_of_the_query_do_not_count_at_the_token_endpoint(web, world):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    response = web.post(f"/oauth/token?code={code}&grant_type=authorization_code", headers=world.partner.basic)
    assert (response.status_code, response.json["error"]) == (400, "invalid_request")


def test_09_a_challenge_without_a_method_is_refused(web, world):
    link = world.partner.link(code_challenge=world.partner.verifier, code_challenge_method=None)
    assert redirect_parameters(web.get(link))["error"] == "invalid_request"


def test_10_two_authentication_methods_are_refused(web, world):
    form = {"grant_type": "authorization_code", "code": "x", "client_id": world.partner.id}
    both = web.post("/oauth/token", data={**form, "client_secret": world.partner.secret}, headers=world.partner.basic)
    assert (both.status_code, both.json["error"]) == (400, "invalid_request")


def test_11_an_assertion_is_for_us_for_minutes_and_for_the_client_named(web, signer):
    now = int(clock.now().timestamp())
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    for overrides in ({"aud": "https://other.example"}, {"exp": now + 86_400}, {"iss": "someone"}):
        response = signer.post(web, "/oauth/token", form, signer.assertion(**overrides))
        assert (response.status_code, response.json["error"]) == (401, "invalid_client")
    other = signer.post(web, "/oauth/token", {**form, "client_id": "someone"})
    assert other.json["error"] == "invalid_client"
    assert signer.post(web, "/oauth/token", form).json["error"] == "invalid_grant"


def test_12_a_request_object_needs_a_signature_an_issuer_and_an_audience(web, signer):
    for text in (unsigned(signer), signed_request(signer, iss=None), signed_request(signer, aud=None)):
        assert redirect_parameters(web.get(signer.link(request=text)))["error"] == "invalid_request_object"


def unsigned(signer):
    parts = ({"alg": "none"}, {"iss": signer.id, "aud": ISSUER, **signer.parameters()})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def test_13_our_hook_is_the_only_one_on_its_event(app):
    with app.app_context():
        hooks = authorization_server.current()._hooks
        assert len(hooks["before_get_authorization_grant"]) == 1


def test_14_unregistered_scopes_and_a_missing_redirect_uri_are_refused(web, world):
    assert redirect_parameters(web.get(world.partner.link(scope="openid staff")))["error"] == "invalid_scope"
    assert web.get(world.partner.link(redirect_uri=None)).status_code == 400


def test_15_a_code_is_redeemed_once(web, world):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    assert [world.partner.redeem(web, code).status_code for _ in range(2)] == [200, 400]


def test_16_a_refreshed_id_token_has_the_time_of_the_sign_in(web, world, clock):
    tokens = obtain_tokens(web, world.partner, world.username)
    signed_in = clock.now()
    clock.move(timedelta(minutes=30))
    refreshed = world.partner.refresh(web, tokens["refresh_token"]).json
    assert world.claims(refreshed["id_token"], "JWT")["auth_time"] == int(signed_in.timestamp())


def test_17_id_tokens_say_which_key_signed_them(web, world):
    tokens = obtain_tokens(web, world.partner, world.username)
    kids = {jwk["kid"]: jwk["alg"] for jwk in web.get("/oauth/jwks").json["keys"]}
    for name in ("id_token", "access_token"):
        header = jwt_header(tokens[name])
        assert kids[header["kid"]] == header["alg"]


def test_18_access_tokens_live_ten_minutes_and_say_what_they_are(web, world):
    tokens = obtain_tokens(web, world.partner, world.username)
    claims = world.claims(tokens["access_token"])
    assert claims["exp"] - claims["iat"] == tokens["expires_in"] == 600
    assert jwt_header(tokens["access_token"])["typ"] == "at+jwt"


def test_19_an_unknown_hint_at_revocation_is_ignored_and_post_authentication_works(web, world):
    partner = world.new_partner(token_endpoint_auth_method="client_secret_post")
    form = {"token": "x", "token_type_hint": "pac", "client_id": partner.id, "client_secret": partner.secret}
    assert web.post("/oauth/revoke", data=form).status_code == 200


def test_20_end_session_refuses_access_tokens_and_unregistered_addresses(web, world):
    tokens = obtain_tokens(web, world.partner, world.username)
    assert web.get("/oauth/logout", query_string={"id_token_hint": tokens["access_token"]}).status_code == 400
    wrong = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": "https://evil.example"}
    assert web.get("/oauth/logout", query_string=wrong).status_code == 400


def test_22_authlibs_logger_logs_warnings_only(app):
    assert logging.getLogger("authlib").getEffectiveLevel() >= logging.WARNING


def test_23_prompt_none_with_an_agreement_returns_a_code(web, world):
    sign_in_and_authorise(web, world.partner, world.username)
    assert "code" in redirect_parameters(web.get(world.partner.link(prompt="none")))


def test_24_every_error_at_authorize_carries_iss(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    assert page(response).find(id="cancel")
    for overrides in ({"prompt": "none"}, {"scope": "x"}, {"response_type": "token"}):
        assert redirect_parameters(web.get(world.partner.link(**overrides)))["iss"] == "http://localhost:5000"


def test_25_form_post_values_are_returned_unchanged(web, world):
    response = web.get(world.partner.link(response_mode="form_post", prompt="none", state="a b+c%20d"))
    assert page(response).find("input", attrs={"name": "state"})["value"] == "a b+c%20d"
    assert page(response).find("form", id="response")["action"] == CALLBACK
    assert "onload" not in response.text


def test_26_a_basic_challenge_is_sent_only_to_clients_that_used_the_header(web, world):
    """RFC 6749 §5.2: it MUST be sent to a client that tried to authenticate by `Authorization`, by any scheme."""
    form = {"grant_type": "authorization_code", "code": "x"}
    by_post = web.post("/oauth/token", data={**form, "client_id": "unknown", "client_secret": "x"})
    assert by_post.status_code == 401
    assert "WWW-Authenticate" not in by_post.headers
    for headers in (basic(b"nobody:x"), {"Authorization": "Bearer x"}, {"Authorization": "x"}):
        by_header = web.post("/oauth/token", data=form, headers=headers)
        assert by_header.status_code == 401
        assert by_header.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_27_two_dpop_proofs_are_refused(web, signer):
    proofs = [signer.proof("POST", "/oauth/token") for _ in range(2)]
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_assertion": signer.assertion(),
            "client_assertion_type": ASSERTION}  # fmt: skip
    response = web.post("/oauth/token", data=form, headers=[("DPoP", proof) for proof in proofs])
    assert (response.status_code, response.json["error"]) == (400, "invalid_dpop_proof")
    assert "WWW-Authenticate" not in response.headers


def test_28_a_refresh_without_its_authorisation_is_an_invalid_grant(web, world):
    tokens = obtain_tokens(web, world.partner, world.username)
    with world.transaction() as session:
        session.query(Authorisation).update({"withdrawn_at": session.query(Authorisation.given_at).scalar()})
    response = world.partner.refresh(web, tokens["refresh_token"])
    assert (response.status_code, response.json["error"]) == (400, "invalid_grant")


def test_29_what_a_replay_revokes_stays_revoked(web, world):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    tokens = world.partner.redeem(web, code).json
    world.partner.redeem(web, code)
    assert world.partner.refresh(web, tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_30_a_private_key_is_loaded_once(web, world, monkeypatch):
    world.partner.redeem(web, sign_in_and_authorise(web, world.partner, world.username)["code"])
    monkeypatch.setattr(Key, "private", lambda _self: pytest.fail("loaded again"))
    assert (
        world.partner.redeem(web, sign_in_and_authorise(web, world.partner, world.username)["code"]).status_code == 200
    )


def test_31_warnings_of_joserfc_about_algorithms_are_silenced(settings):
    """The suite ignores this warning, so the test enables it."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        jws.JWSRegistry(algorithms=["EdDSA"]).get_alg("EdDSA")
        assert len(warned) == 1, "joserfc no longer warns: this test is not needed"
        logs.configure(settings)
        jws.JWSRegistry(algorithms=["EdDSA"]).get_alg("EdDSA")
        assert len(warned) == 1


def test_32_validating_a_request_twice_changes_nothing(web, world, app):
    with world.transaction(), app.test_request_context("/"):
        request = Request(flask.request, parameters(world.partner.parameters().items()), PAR)
        registered = registry.client(world.partner.id)
        assert registered is not None
        request.client = OAuthClient(registered)
        RequestSources().parse_authorization_request(authorization_server.current(), request)
        before = (request.checked, request.reply_to, request.sent)
        RequestSources().parse_authorization_request(authorization_server.current(), request)
        assert before == (request.checked, request.reply_to, request.sent)


@pytest.mark.usefixtures("unexpired_caches")
def test_frequent_requests_execute_few_statements(web, world, monkeypatch, record_statements):
    """Counted, not timed (performance.md §5)."""
    monkeypatch.setattr(secrets, "randbelow", lambda _: 1)  # one request in 200 counts a client's rows
    partner = world.partner
    # This fills the caches of clients and keys.
    partner.redeem(web, sign_in_and_authorise(web, partner, world.username)["code"])
    code = sign_in_and_authorise(web, partner, world.username)["code"]
    with record_statements() as at_authorize:
        assert "code=" in web.get(partner.link()).headers["Location"]
    with record_statements() as at_redeeming:
        tokens = partner.redeem(web, code).json
    with record_statements() as at_refreshing:
        partner.refresh(web, tokens["refresh_token"])
    with record_statements() as at_userinfo:
        web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    for statements, limit in ((at_authorize, 4), (at_redeeming, 3), (at_refreshing, 2), (at_userinfo, 4)):
        assert len([statement for statement in statements if not statement.startswith("BEGIN")]) <= limit, statements
