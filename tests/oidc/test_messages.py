"""The messages to a client's developer about a mistake: the parameter, what was sent, and what is expected."""

import base64
from datetime import timedelta

import pytest

from idp.estabs.models import Estab
from idp.foundation import clock, descriptions
from idp.oidc import errors
from idp.partners import failure_log
from tests import factories
from tests.fuzz.responses import recorded_log
from tests.oidc.signing import Signer, jwks, key, sign_jws
from tests.oidc.support import CALLBACK, ISSUER, obtain_tokens, redirect_parameters, sign_in_and_authorise
from tests.oidc.test_dpop import FIRST_KEY, SECOND_KEY

OTHER_URI = "https://assembly.example/other"


@pytest.fixture
def newest_fact(transaction):
    """`newest_fact(partner)` is the parameter and the fact in the newest line of the client's log."""

    def read(partner):
        with transaction():
            event = failure_log.newest(partner.id)[0]
            return f"{event.parameter}: {event.fact}"

    return read


@pytest.fixture
def signer(world, clock):
    with world.transaction():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256")), client_scopes={"schools.list"},
            grant_types=frozenset({"authorization_code", "refresh_token", "client_credentials"}),
        )  # fmt: skip
        return Signer(client.id)


def description(response):
    """The `error_description` for the client, after checking that all its characters are allowed."""
    description = response.json["error_description"]
    assert descriptions.sanitise(description) == description
    return description


@pytest.mark.parametrize(
    ("overrides", "description"),
    [
        ({"scope": "openid attendance staff"}, "scope: this client is not registered for: staff"),
        ({"scope": "openid groups roles"}, "scope: does not exist: groups, roles"),
        ({"scope": 'openid "x"'}, "scope: must be names of scopes, with a space between"),
        ({"scope": "openid <b>&'"}, "scope: does not exist: <b>&'"),
        ({"code_challenge": None}, "code_challenge: missing; this client has to use PKCE with S256"),
        ({"code_challenge_method": "plain"}, "code_challenge_method: must be S256"),
        ({"claims": '{"id_token": {"sub": {"value": 7}}}'}, "claims: sub must be a string"),
        ({"claims": "x"}, "claims: must be a JSON object"),
        ({"max_age": "soon"}, "max_age: must be a whole number of seconds"),
        ({"prompt": "none login"}, "prompt: none must be the only value"),
    ],
)
def test_errors_at_authorize_name_the_parameter_and_the_reason(web, world, newest_fact, overrides, description):
    assert redirect_parameters(web.get(world.partner.link(**overrides)))["error_description"] == description
    assert newest_fact(world.partner) == description


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"grant_type": "password"}, "grant_type: not supported"),
        ({"grant_type": "client_credentials"}, "grant_type: this client is not registered for it"),
        ({"grant_type": "authorization_code", "code": "x"}, "code: unknown"),
        ({"grant_type": "authorization_code"}, "code: missing"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "refresh_token: unknown"),
        ({"grant_type": "refresh_token", "refresh_token": ""}, "refresh_token: missing"),
    ],
)
def test_errors_at_the_token_endpoint_name_the_parameter_and_the_reason(web, world, newest_fact, form, expected):
    assert description(world.partner.post(web, "/oauth/token", form)) == expected
    assert newest_fact(world.partner) == expected


def test_a_wrong_content_type_is_described(web, world, newest_fact):
    response = web.post("/oauth/token", json={"grant_type": "refresh_token"}, headers=world.partner.basic)
    assert description(response) == "Content-Type: must be application/x-www-form-urlencoded"
    assert newest_fact(world.partner) == description(response)


def test_a_wrong_http_method_is_described(web):
    assert description(web.get("/oauth/token")) == "method not allowed"


def test_another_host_is_named_in_the_log_and_the_right_one_to_the_client(web):
    with recorded_log() as log:
        response = web.post("/oauth/token", headers={"Host": "idp.internal:8080"})
    assert description(response) == "Host: must be localhost:5000"
    assert any("idp.internal:8080" in str(line) and "localhost:5000" in str(line) for line in log.lines)


@pytest.mark.parametrize(
    ("form", "status", "name", "reason"),
    [
        ({"grant_type": "authorization_code", "code": "x"}, 400, "code", "unknown"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "refresh_token", "unknown"),
        ({"grant_type": "refresh_token", "client_secret": "x"}, 400, "client_secret",
         "only one method of client authentication may be used"),
        ({"grant_type": "refresh_token", "client_id": "another"}, 401, "client_id",
         "is another one in the form than in the Authorization header"),
    ],
)  # fmt: skip
def test_the_log_names_the_parameter_and_the_reason(web, world, newest_fact, form, status, name, reason):
    """Nothing is removed: a value after "code:" is removed only where it could be a secret."""
    with recorded_log() as log:
        response = web.post("/oauth/token", data=form, headers=world.partner.basic)
    assert response.status_code == status
    assert newest_fact(world.partner) == f"{name}: {reason}"
    [line] = [line for line in log.lines if "client refused" in line]
    for part in (world.partner.id, name, reason):
        assert part in line


def test_the_log_names_the_reason_at_userinfo(web, world):
    with recorded_log() as log:
        request_userinfo(web, "x.y.z")
    [line] = [line for line in log.lines if "token refused" in line]
    assert "is not an access token of this issuer" in line


def test_a_header_that_is_not_basic_is_reported_as_missing_credentials(web, world, newest_fact):
    for header in ("Bearer x", "Basic x", "Basic " + base64.b64encode(b"no-colon").decode()):
        partner = world.new_partner()
        form = {"grant_type": "refresh_token", "client_id": partner.id}
        response = web.post("/oauth/token", data=form, headers={"Authorization": header})
        assert description(response) == errors.CLIENT_REFUSED
        fact = "must be Basic, with the client_id, a colon and the secret in base64"
        assert newest_fact(partner) == f"Authorization: {fact}"


def test_the_reason_why_a_code_is_refused_is_described(web, world, newest_fact, clock):
    partner, other = world.partner, world.new_partner()
    code = sign_in_and_authorise(web, partner, world.username)["code"]
    assert description(other.redeem(web, code)) == "code: unknown"
    assert newest_fact(other) == "code: was issued to another client"
    expected = "redirect_uri: must be that of the authorization request"
    assert description(partner.redeem(web, code, redirect_uri=OTHER_URI)) == expected
    assert description(partner.redeem(web, code)) == "code: was used before, so all that came from it is revoked"
    code = sign_in_and_authorise(web, partner, world.username)["code"]
    clock.move(timedelta(seconds=125))
    expected = "code: expired 5 seconds ago; it is good for 120 seconds"
    assert description(partner.redeem(web, code)) == expected
    assert newest_fact(partner) == expected
    code = sign_in_and_authorise(web, partner, world.username)["code"]
    world.change(Estab, world.estab, state="suspended")
    clock.move(timedelta(seconds=1))
    expected = "code: the authorisation it belongs to is not in force"
    assert description(partner.redeem(web, code)) == expected
    assert newest_fact(partner) == expected


def test_the_reason_why_a_refresh_token_is_refused_is_described(web, world, newest_fact, clock):
    partner, other = world.new_partner(token_endpoint_auth_method="none"), world.new_partner()
    first = obtain_tokens(web, partner, world.username)["refresh_token"]
    assert description(other.refresh(web, first)) == "refresh_token: unknown"
    assert newest_fact(other) == "refresh_token: was issued to another client"
    expected = "scope: the refresh token was not issued for: attendance"
    assert description(partner.refresh(web, first, scope="openid attendance")) == expected
    second = partner.refresh(web, first).json["refresh_token"]
    third = partner.refresh(web, second).json["refresh_token"]
    expected = "refresh_token: was used before, so all that came from it is revoked"
    assert description(partner.refresh(web, first)) == expected
    assert description(partner.refresh(web, third)) == "refresh_token: was revoked"
    idle = obtain_tokens(web, world.partner, world.username)["refresh_token"]
    clock.move(timedelta(days=90))
    expected = "refresh_token: expired, because it was not used for 90 days"
    assert description(world.partner.refresh(web, idle)) == expected


@pytest.mark.parametrize(
    ("proofs", "expected"),
    [
        ({"htu": "http://proxy.internal/oauth/token?code=secret"},
         f"DPoP: htu is http://proxy.internal/oauth/token; expected is {ISSUER}/oauth/token"),
        ({"htm": "GET"}, "DPoP: htm is GET; expected is POST"),
        ({"htu": None}, f"DPoP: htu is missing; expected is {ISSUER}/oauth/token"),
        ({"iat": -180}, "DPoP: iat is 180 seconds behind our clock; at most 120 are accepted"),
        ({"iat": 75}, "DPoP: iat is 75 seconds ahead of our clock; at most 60 are accepted"),
        ({"alg": "RS256", "key": key("RS256")}, "DPoP: alg is RS256; accepted is PS256, ES256, EdDSA, Ed25519"),
        ({"header": {"typ": "JWT"}}, "DPoP: the typ in the header of the proof must be dpop+jwt"),
        ({"jti": None}, "DPoP: jti must be a string, and not empty"),
    ],
)  # fmt: skip
def test_the_reason_why_a_proof_is_refused_is_described(web, signer, newest_fact, clock, proofs, expected):
    if "iat" in proofs:
        proofs = {"iat": int(clock.now().timestamp()) + proofs["iat"]}
    signer.dpop_key, signer.proofs = FIRST_KEY, proofs
    assert description(signer.post(web, "/oauth/token", {"grant_type": "client_credentials"})) == expected
    assert newest_fact(signer) == expected


def test_a_missing_proof_is_named(web, world, newest_fact):
    with world.transaction():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256")), dpop_bound_access_tokens=True
        )
    bound = Signer(client.id)
    expected = "DPoP: missing; this client has to prove a key with each request (RFC 9449)"
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    assert description(bound.post(web, "/oauth/token", form)) == expected
    assert newest_fact(bound) == expected


@pytest.mark.parametrize(
    ("overrides", "fact"),
    [
        (
            {"aud": "https://other.example"},
            f"aud is https://other.example; accepted is {ISSUER} or {ISSUER}/oauth/token",
        ),
        ({"aud": ["a", "b"]}, f"aud is a, b; accepted is {ISSUER} or {ISSUER}/oauth/token"),
        ({"aud": None}, f"aud is missing; accepted is {ISSUER} or {ISSUER}/oauth/token"),
        ({"exp": -90}, "exp is 90 seconds behind our clock; at most 60 are accepted"),
        ({"iat": 90}, "iat is 90 seconds ahead of our clock; at most 60 are accepted"),
        ({"exp": 1000}, "exp is 1000 seconds ahead of our clock; at most 600 are accepted"),
        ({"jti": None}, "jti must be a string, and not empty"),
    ],
)
def test_the_reason_is_described_for_an_assertion_with_a_valid_signature(
    web, signer, newest_fact, clock, overrides, fact
):
    for name, value in overrides.items():
        if isinstance(value, int):
            overrides = {name: int(clock.now().timestamp()) + value}
    form = {"grant_type": "client_credentials"}
    response = signer.post(web, "/oauth/token", form, signer.assertion(**overrides))
    assert (response.status_code, response.json["error"]) == (401, "invalid_client")
    assert description(response) == f"client_assertion: {fact}"
    assert newest_fact(signer) == f"client_assertion: {fact}"


def test_a_time_in_milliseconds_is_recognised_in_the_description(web, signer, newest_fact):
    form = {"grant_type": "client_credentials"}
    times = {name: int(clock.now().timestamp() * 1000) for name in ("iat", "exp")}
    response = signer.post(web, "/oauth/token", form, signer.assertion(**times))
    assert description(response).endswith("; it must be in seconds, not in milliseconds")
    assert newest_fact(signer) == description(response)


def test_the_log_distinguishes_an_unknown_kid_from_a_wrong_key(web, signer, newest_fact):
    form = {"grant_type": "client_credentials"}
    signer.post(web, "/oauth/token", form, signer.assertion(key=SECOND_KEY, header={"kid": "another"}))
    assert newest_fact(signer) == "client_assertion: none of the keys that are known has the kid of its header"


def test_an_unsigned_assertion_gets_no_reason_and_the_log_has_it(web, signer, newest_fact):
    form = {"grant_type": "client_credentials"}
    response = signer.post(web, "/oauth/token", form, signer.assertion(key=SECOND_KEY, aud="https://other.example"))
    assert description(response) == errors.CLIENT_REFUSED
    assert newest_fact(signer) == "client_assertion: the signature is by none of the keys that are known"


@pytest.mark.parametrize(
    ("overrides", "description"),
    [
        ({"aud": "x"}, f"request: aud is x; accepted is {ISSUER}"),
        ({"iss": "x"}, "request: iss is x; it must be the client_id"),
        ({"exp": 1}, "request: exp is "),
        (
            {"client_id": "x"},
            "request: client_id must be the client's, in the request object and also beside it if sent there",
        ),
    ],
)
def test_the_reason_why_a_request_object_is_refused_is_described(web, signer, overrides, description):
    claims = {"iss": signer.id, "aud": ISSUER, **signer.parameters(), **overrides}
    params = redirect_parameters(web.get(signer.link(request=sign_jws(claims, key("ES256"), "ES256"))))
    assert params["error"] == "invalid_request_object"
    assert params["error_description"].startswith(description)


def request_userinfo(web, token):
    return web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})


def test_every_refusal_at_userinfo_is_logged_for_the_client(web, world, signer, newest_fact, clock):
    token = obtain_tokens(web, world.partner, world.username)["access_token"]
    own = signer.post(web, "/oauth/token", {"grant_type": "client_credentials"}).json["access_token"]
    signer.dpop_key = FIRST_KEY
    bound = obtain_tokens(web, signer, world.username)["access_token"]

    expected = "access_token: was issued to the client itself, so there is no person"
    assert description(request_userinfo(web, own)) == newest_fact(signer) == expected
    clock.move(timedelta(seconds=1))
    expected = "access_token: is bound to a key, so it must be sent with the scheme DPoP and a proof"
    assert description(request_userinfo(web, bound)) == newest_fact(signer) == expected
    clock.move(timedelta(seconds=1))
    expected = "DPoP: made by another key than the access token is bound to"
    assert description(signer.request_userinfo(web, bound, key=SECOND_KEY)) == newest_fact(signer) == expected
    clock.move(timedelta(seconds=1))
    expected = "DPoP: missing; the access token is bound to a key, so a proof must come with it"
    response = web.get("/oauth/userinfo", headers={"Authorization": f"DPoP {bound}"})
    assert description(response) == newest_fact(signer) == expected
    clock.move(timedelta(seconds=1))
    expected = f"DPoP: htu is {ISSUER}/userinfo; expected is {ISSUER}/oauth/userinfo"
    assert description(signer.request_userinfo(web, bound, htu=f"{ISSUER}/userinfo")) == newest_fact(signer) == expected

    clock.move(timedelta(seconds=600))
    assert (
        description(request_userinfo(web, token)) == newest_fact(world.partner) == "access_token: expired 4 seconds ago"
    )
    token = obtain_tokens(web, world.partner, world.username)["access_token"]
    clock.move(timedelta(seconds=1))
    assert world.partner.post(web, "/oauth/revoke", {"token": token}).status_code == 200
    assert description(request_userinfo(web, token)) == newest_fact(world.partner) == "access_token: was revoked"


def test_an_unknown_token_is_logged_for_no_client(web, world, transaction):
    assert request_userinfo(web, "x.y.z").status_code == 401
    with transaction():
        assert failure_log.newest(world.partner.id) == []


def test_sent_values_are_shown_without_characters_a_description_may_not_have():
    assert descriptions.format_value('a"b\\c\x00\n\xe9') == "abc"
    assert descriptions.format_value("x" * 500) == "x" * 197 + "..."
    assert descriptions.format_value(["a", 7, None]) == "a, a int, missing"
    assert len(descriptions.sanitise("x" * 5000)) == descriptions.MAX_DESCRIPTION_LENGTH


def test_the_page_names_no_registered_redirect_uri_that_was_not_sent(web, world):
    assert CALLBACK not in web.get(world.partner.link(redirect_uri=OTHER_URI)).text
