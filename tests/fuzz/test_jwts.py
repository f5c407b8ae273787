"""Any JWT, at each endpoint that takes one, is accepted or refused, and never causes an internal error."""

import gzip
import hmac
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, strategies as st

from idp.foundation import clock
from tests.fuzz import responses
from tests.fuzz.conftest import FuzzTarget
from tests.fuzz.hostile import CANARY, any_json, odd_text
from tests.fuzz.profiles import fuzz_settings
from tests.fuzz.test_endpoints import REGISTERED
from tests.oidc import registering
from tests.oidc.signing import ALL_ALGORITHMS, ASSERTION, b64, key, without_kid
from tests.oidc.support import ISSUER

Claims = dict[str, Any]


def _assertion(target: FuzzTarget) -> Claims:
    return {"iss": target.signer.id, "sub": target.signer.id, "aud": ISSUER, "jti": b64(_next_id()), **_times()}


def _request_object(target: FuzzTarget) -> Claims:
    return {"iss": target.signer.id, "aud": ISSUER, **_times(), **target.signer.parameters()}


def _proof(_target: FuzzTarget) -> Claims:
    return {"jti": b64(_next_id()), "htm": "POST", "htu": ISSUER + "/oauth/token", "iat": _times()["iat"]}


def _times() -> Claims:
    now = int(clock.now().timestamp())
    return {"iat": now, "nbf": now, "exp": now + 60}


def _next_id(counter: list[int] = [0]) -> bytes:  # noqa: B006  it counts
    counter[0] += 1
    return counter[0].to_bytes(8)


def _to_token(target: FuzzTarget, jwt: str) -> Any:
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": jwt}
    return target.web.post("/oauth/token", data=form)


def _to_authorize(target: FuzzTarget, jwt: str) -> Any:
    parameters = target.signer.parameters(state=None) | {"request": jwt}
    return target.web.get("/oauth/authorize", query_string=parameters)


def _to_par(target: FuzzTarget, jwt: str) -> Any:
    return target.signer.post(target.web, "/oauth/par", {"request": jwt, "client_id": target.signer.id})


def _as_proof(target: FuzzTarget, jwt: str) -> Any:
    form = {"grant_type": "client_credentials"}
    return target.web.post("/oauth/token", data=form, headers=target.partner.basic | {"DPoP": jwt})


class AcceptedJwt(NamedTuple):
    """A valid JWT of a client: its claims, its header, and how to send it to the endpoint that takes it."""

    claims: Callable[[FuzzTarget], Claims]
    header: dict[str, Any]
    send: Callable[[FuzzTarget, str], Any]


ACCEPTED_JWTS: dict[str, AcceptedJwt] = {
    "client assertion": AcceptedJwt(_assertion, {}, _to_token),
    "request object": AcceptedJwt(_request_object, {}, _to_authorize),
    "pushed request object": AcceptedJwt(_request_object, {}, _to_par),
    "proof": AcceptedJwt(_proof, {"typ": "dpop+jwt", "jwk": without_kid(key("ES256")), "kid": None}, _as_proof),
}
"""The JWTs that a client signs."""
PUBLIC_KEY = json.dumps(without_kid(key("ES256"))).encode()
"""Public values of the client's key, which must not work as a shared key."""
HOSTILE_HEADERS: dict[str, dict[str, Any]] = {
    "none": {"alg": "none"}, "mixed none": {"alg": "nOnE"}, "no alg": {"alg": None}, "HS256": {"alg": "HS256"},
    "number": {"alg": 5}, "list": {"alg": ["ES256"]}, "PBES2": {"alg": "PBES2-HS256+A128KW", "p2c": 10**9},
    "crit": {"crit": ["x"], "x": 1}, "crit of none": {"crit": []}, "jku": {"jku": "https://evil.example/jwks"},
    "x5u": {"x5u": "https://evil.example/x"}, "x5c": {"x5c": ["MII"]}, "zip": {"zip": "DEF"}, "b64": {"b64": False},
    "RS256": {"alg": "RS256"}, "EdDSA": {"alg": "EdDSA"}, "ES384": {"alg": "ES384"}, "ES256K": {"alg": "ES256K"},
}  # fmt: skip


def signed(claims: Claims, header: Claims) -> str:
    """A JWT signed by the client's key, whatever its header says."""
    headers = {name: value for name, value in ({"alg": "ES256", "kid": "ec-1"} | header).items() if value is not None}
    text = f"{b64(json.dumps(headers).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(ALL_ALGORITHMS.get_alg('ES256').sign(text.encode(), key('ES256')))}"


HOSTILE_TIMES: tuple[Any, ...] = (
    0, -1, 1.5, 10**12, 2**63, 10**400, -(10**400), -1e308, float("nan"), float("inf"), float("-inf"), True, None, "0",
)  # fmt: skip


def is_accepted(response: Any) -> bool:
    """Whether the JWT was accepted."""
    return response.status_code in {200, 201} or (response.status_code == 303 and "error=" not in response.location)


def check_response(target: FuzzTarget, response: Any) -> None:
    """Check what holds for every response."""
    responses.check(response, REGISTERED, target.secrets)
    target.log.check(target.secrets)


@pytest.mark.parametrize("kind", ACCEPTED_JWTS)
def test_valid_jwts_are_accepted(target, kind):
    claims, header, send = ACCEPTED_JWTS[kind]
    response = send(target, signed(claims(target), header))
    assert is_accepted(response), response.text


@pytest.mark.parametrize("header_name", HOSTILE_HEADERS)
@pytest.mark.parametrize("kind", ACCEPTED_JWTS)
def test_a_hostile_header_is_refused(target, kind, header_name):
    claims, header, send = ACCEPTED_JWTS[kind]
    text, _, own_signature = signed(claims(target), header | HOSTILE_HEADERS[header_name]).rpartition(".")
    public_key_signature = b64(hmac.digest(PUBLIC_KEY, text.encode(), "sha256"))
    for signature in (own_signature, public_key_signature, "AA"):
        response = send(target, f"{text}.{signature}")
        check_response(target, response)
        assert not is_accepted(response), (header_name, response.text)
    check_response(target, send(target, f"{text}."))


@pytest.mark.parametrize("kind", ACCEPTED_JWTS)
def test_header_members_that_are_not_known_are_ignored(target, kind):
    """RFC 7515 §4: only what `crit` names must be understood. Providers and key services add members of their own."""
    claims, header, send = ACCEPTED_JWTS[kind]
    others = {"cat": "cl_1", "trust_chain": ["x"], "nonce": {"a": 1}, "p2c": 10**9, "http://x.example/iat": 1}
    response = send(target, signed(claims(target), header | others))
    assert is_accepted(response), response.text


@pytest.mark.parametrize("kind", ACCEPTED_JWTS)
def test_jwts_with_deeply_nested_members_get_a_valid_response(target, kind):
    """The JSON parser accepts a list that is nested 500 deep, for which recursive code may have too little stack."""
    valid, header, send = ACCEPTED_JWTS[kind]
    for nested in (_nested_value([], lambda inner: [inner]), _nested_value({}, lambda inner: {"a": inner})):
        for name in (*valid(target), "aud", "claims", "authorization_details", "htm", "htu", "sub"):
            check_response(target, send(target, signed(valid(target) | {name: nested}, header)))
        for name in ("jwk", "kid", "x"):
            check_response(target, send(target, signed(valid(target), header | {name: nested})))


def _nested_value(innermost: Any, wrap: Callable[[Any], Any]) -> Any:
    for _ in range(500):
        innermost = wrap(innermost)
    return innermost


@pytest.mark.parametrize("kind", ACCEPTED_JWTS)
@fuzz_settings(0.4)
@given(data=st.data())
def test_jwts_with_any_claims_get_a_valid_response(target, kind, data):
    valid, header, send = ACCEPTED_JWTS[kind]
    claims = valid(target)
    for name in data.draw(st.lists(st.sampled_from(sorted(claims)), max_size=2)):
        claims[name] = data.draw(st.sampled_from(HOSTILE_TIMES) if name in _times() else any_json)
    more = st.sampled_from(["nonce", "max_age", "claims", "exp", "ath", "resource", "prompt", "dpop_jkt"])
    claims |= data.draw(st.dictionaries(odd_text | more, any_json, max_size=2))
    check_response(target, send(target, signed(claims, header)))


@pytest.mark.parametrize("kind", ACCEPTED_JWTS)
@fuzz_settings(0.4)
@given(data=st.data())
def test_jwts_with_any_header_get_a_valid_response(target, kind, data):
    valid, header, send = ACCEPTED_JWTS[kind]
    names = st.sampled_from(["typ", "kid", "jwk", "use", "cty"])
    changed_header = header | data.draw(st.dictionaries(names | odd_text, any_json, max_size=2))
    if isinstance(changed_header.get("jwk"), dict) and "jwk" in header:
        members = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "use", "alg", "key_ops", "kid"])
        changed_header["jwk"] = header["jwk"] | data.draw(st.dictionaries(members, any_json, max_size=2))
    check_response(target, send(target, signed(valid(target), changed_header)))


JWT_ENDPOINTS: dict[str, Callable[[FuzzTarget, str], Any]] = {
    **{kind: accepted.send for kind, accepted in ACCEPTED_JWTS.items()},
    "hint to sign out": lambda target, jwt: target.browser().get("/oauth/logout", query_string={"id_token_hint": jwt}),
    "hint": lambda target, jwt: target.web.get(target.partner.link(id_token_hint=jwt)),
    "access token": lambda target, jwt: target.web.get("/oauth/userinfo", headers=registering.bearer_header(jwt)),
    "introspected": lambda target, jwt: target.partner.post(target.web, "/oauth/introspect", {"token": jwt}),
    "revoked": lambda target, jwt: target.partner.post(target.web, "/oauth/revoke", {"token": jwt}),
}  # fmt: skip
"""How to send any text to each endpoint that takes a JWT."""


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


NOT_JWTS = (
    "", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d.e", "é.é.é", "=.=.=", f"{CANARY}.{CANARY}.x", "e30.e30.e30",
    b64(b'{"alg":"ES256"}') + "." + b64(b"\xff\xfe") + ".AA", b64(b'{"alg":"ES256"}') + "." + b64(b"[]") + ".AA",
    b64(b'{"alg":"none"}') + ".e30.AA", b64(b'{"alg":"ES256","alg":"none"}') + ".e30.AA", b64(b"null") + ".e30.AA",
    b64(b'{"alg":"ES256","zip":"DEF"}') + "." + b64(gzip.compress(b"x" * 10**6)) + ".AA",
    b64(b'{"alg":"ES256","x":' + _nested(2000).encode() + b"}") + ".e30.AA",
    b64(b'{"alg":"ES256"}') + "." + b64(b'{"iss":' + _nested(2500).encode() + b"}") + ".AA",
    b64(b'{"alg":"ES256"}') + "." + b64(b'{"exp":' + b"9" * 5000 + b"}") + ".AA", "x" * 8191,
    "a." + "x" * 60_000 + ".c",
)  # fmt: skip


@pytest.mark.parametrize("endpoint", JWT_ENDPOINTS)
def test_text_that_is_not_a_jwt_gets_a_valid_response(target, endpoint):
    for text in NOT_JWTS:
        check_response(target, JWT_ENDPOINTS[endpoint](target, text))


@pytest.mark.parametrize("endpoint", ["hint to sign out", "hint", "access token", "introspected"])
@fuzz_settings(0.5)
@given(data=st.data())
def test_altered_tokens_of_ours_get_a_valid_response(target, endpoint, data):
    own_token = target.tokens[data.draw(st.sampled_from(["id_token", "access_token"]))]
    index = data.draw(st.integers(0, len(own_token)))
    altered = (
        own_token[:index]
        + data.draw(odd_text.filter(lambda text: text.isprintable() and text.isascii()))
        + own_token[index + 1 :]
    )
    response = JWT_ENDPOINTS[endpoint](target, altered)
    check_response(target, response)
    assert endpoint != "access token" or altered == own_token or response.status_code in {400, 401}


@pytest.mark.parametrize("kind", ACCEPTED_JWTS)
def test_a_claim_that_cannot_be_encoded_gets_a_valid_response(target, kind):
    """JSON can have a lone surrogate, which UTF-8 cannot encode, and NUL, which PostgreSQL cannot store."""
    valid, header, send = ACCEPTED_JWTS[kind]
    for name in (*valid(target), "claims", "login_hint", "resource", "max_age"):
        for value in ("\ud800", "a\0b", {"\ud800": {"\ud800": None}}, ["\ud800"]):
            check_response(target, send(target, signed(valid(target) | {name: value}, header)))
    for name in ("kid", "typ", "x"):
        check_response(target, send(target, signed(valid(target), header | {name: "\ud800"})))
