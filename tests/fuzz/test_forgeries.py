"""Forged and ambiguous JWTs: ours, and those that clients sign."""

import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc.jwk import JWKRegistry

from idp.keys import ring
from tests.fuzz.conftest import FuzzTarget
from tests.fuzz.test_jwts import ACCEPTED_JWTS, HOSTILE_HEADERS, JWT_ENDPOINTS, check_response, is_accepted, signed
from tests.oidc.signing import ALL_ALGORITHMS, b64, key, without_kid

IS_REFUSED: dict[str, Callable[[Any], bool]] = {
    "hint to sign out": lambda response: response.status_code == 400,
    "hint": lambda response: response.status_code == 303 and "error=invalid_request" in response.location,
    "access token": lambda response: response.status_code == 401,
    "introspected": lambda response: response.json == {"active": False},
}
"""How each endpoint refuses a token that is not valid."""


def _public_key_texts(target: FuzzTarget) -> list[bytes]:
    """Texts that might be used as a shared secret: our public keys, in every serialisation."""
    secrets = [b"", b"\0" * 32]
    for jwk in target.web.get("/oauth/jwks").json["keys"]:
        public = JWKRegistry.import_key(jwk)
        secrets += [json.dumps(jwk).encode(), json.dumps(jwk, separators=(",", ":")).encode(), jwk["kid"].encode()]
        secrets += [public.as_pem(private=False), public.as_pem(private=False).strip(), public.as_der(private=False)]
    return secrets


def _with_header(token: str, **header: Any) -> str:
    """The claims of `token` with a changed header; None leaves a member out."""
    head, claims, _ = token.split(".")
    new_header = json.loads(urlsafe_b64decode(head + "==")) | header
    new_header = {name: value for name, value in new_header.items() if value is not None}
    return f"{b64(json.dumps(new_header).encode())}.{claims}"


def _forged_tokens(target: FuzzTarget, token: str) -> Iterator[str]:
    for alg in ("HS256", "HS384", "HS512"):
        text = _with_header(token, alg=alg)
        for secret in _public_key_texts(target):
            yield f"{text}.{b64(hmac.digest(secret, text.encode(), alg.replace('HS', 'sha')))}"
    other_key = key("ES256", 9)
    other_headers: tuple[dict[str, Any], ...] = (
        {},
        {"kid": "ec-9"},
        {"kid": None},
        {"jwk": without_kid(other_key)},
        {"kid": "../../../dev/null"},
    )
    for header in (*HOSTILE_HEADERS.values(), *other_headers):
        text = _with_header(token, **({"alg": "ES256"} | header))
        yield f"{text}.{b64(ALL_ALGORITHMS.get_alg('ES256').sign(text.encode(), other_key))}"
        yield f"{text}."
        yield f"{text}.AA"


@pytest.mark.parametrize(
    ("endpoint", "token_name"),
    [
        ("hint to sign out", "id_token"), ("hint", "id_token"), ("access token", "access_token"),
        ("introspected", "access_token"),
    ],
)  # fmt: skip
def test_a_forged_token_is_never_accepted(target, endpoint, token_name):
    genuine = target.tokens[token_name]
    for forged in _forged_tokens(target, genuine):
        if forged != genuine:
            response = JWT_ENDPOINTS[endpoint](target, forged)
            check_response(target, response)
            assert IS_REFUSED[endpoint](response), forged


@pytest.mark.parametrize(
    ("endpoint", "token_name"), [("hint to sign out", "access_token"), ("access token", "id_token")]
)
def test_a_token_of_one_kind_is_not_accepted_as_another(target, endpoint, token_name):
    response = JWT_ENDPOINTS[endpoint](target, target.tokens[token_name])
    check_response(target, response)
    assert IS_REFUSED[endpoint](response)


@pytest.mark.parametrize("endpoint", IS_REFUSED)
def test_a_logout_token_is_not_accepted_as_another_token(target, endpoint):
    """It has subject, audience and issuer; its type makes it a logout token."""
    claims = json.loads(urlsafe_b64decode(target.tokens["id_token"].split(".")[1] + "=="))
    with target.transaction():
        token = ring.sign(claims, alg="RS256", typ="logout+jwt")
    response = JWT_ENDPOINTS[endpoint](target, token)
    check_response(target, response)
    assert IS_REFUSED[endpoint](response)


# JSON that parsers may read in two ways


DUPLICATE_MEMBERS = (
    '"aud":"x"', '"iss":"x"', '"sub":"x"', '"exp":1', '"exp":1e400', '"nbf":9e15', '"jti":null', '"\\u0061ud":"x"',
    '"htu":"https://evil.example"', '"client_id":"x"', '"redirect_uri":"https://evil.example/cb"', '"jti":{"a":[]}',
)  # fmt: skip
HEADS = (
    '{"alg":"none","alg":"ES256"', '{"alg":"ES256","alg":"none"', '{"\\u0061lg":"ES256"',
    '{"alg":"ES256","crit":["a"]', '{"alg":"ES256","alg":["ES256"]', '{"alg":"ES256","typ":"JWT","typ":"dpop+jwt"',
    '{"alg":"ES256","kid":"x","kid":"ec-1"', '\ufeff{"alg":"ES256"', ' {"alg":"ES256"', '{"alg":"ES256","x":NaN',
    '{"alg":"ES256","x":' + "9" * 5000, '{"alg":"ES256","x":"' + "x" * 5000 + '"',
    '{"alg":"ES256","x":' + "[" * 900 + "]" * 900,
)  # fmt: skip


def _sign_text(head: str, claims: str) -> str:
    text = f"{b64(head.encode('utf-8', 'surrogatepass'))}.{b64(claims.encode('utf-8', 'surrogatepass'))}"
    return f"{text}.{b64(ALL_ALGORITHMS.get_alg('ES256').sign(text.encode(), key('ES256')))}"


@pytest.mark.parametrize("kind", ACCEPTED_JWTS)
def test_a_jwt_with_repeated_members_or_extra_text_is_refused_or_read_in_one_way(target, kind):
    valid, header, send = ACCEPTED_JWTS[kind]
    rest = json.dumps({name: value for name, value in header.items() if value is not None})[1:]
    rest = f",{rest}" if len(rest) > 1 else rest
    for member in DUPLICATE_MEMBERS:
        claims = json.dumps(valid(target))
        for body in (
            f"{{{member},{claims[1:]}",
            f"{claims[:-1]},{member}}}",
            f"{claims} ",
            f"{claims}{{}}",
            f"\ufeff{claims}",
        ):
            response = send(target, _sign_text(f'{{"alg":"ES256"{rest}', body))
            check_response(target, response)
            assert "evil.example" not in (response.location or "")
    for head in HEADS:
        check_response(target, send(target, _sign_text(head + rest, json.dumps(valid(target)))))


@pytest.mark.parametrize("kind", ["client assertion", "proof"])
def test_a_used_jwt_is_refused_in_any_other_encoding(target, kind):
    """base64url has unused bits at its end, and some decoders ignore padding and spaces."""
    valid, header, send = ACCEPTED_JWTS[kind]
    jwt = signed(valid(target), header)
    assert is_accepted(send(target, jwt))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    with_other_unused_bits = [jwt[:-1] + alphabet[alphabet.index(jwt[-1]) ^ bit] for bit in (1, 2, 3)]
    for variant in (
        jwt,
        *with_other_unused_bits,
        jwt + "=",
        jwt + "==",
        jwt + "\n",
        " " + jwt,
        jwt + ".",
        jwt.replace(".", "=."),
    ):
        response = send(target, variant.replace("\n", "%0a") if kind == "proof" else variant)
        check_response(target, response)
        assert not is_accepted(response), variant
