"""JWTs that are forged, or written so that two readers may read two things: ours, and those that clients sign."""

import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc.jwk import JWKRegistry

from idp.keys import ring
from tests.fuzz.conftest import Ground
from tests.fuzz.test_jwts import HOSTILE, PLACES, TAKEN, is_believed, refused_or_answered, signed
from tests.oidc.signing import ALL, b64, bare, key

REFUSING: dict[str, Callable[[Any], bool]] = {
    "hint to sign out": lambda answer: answer.status_code == 400,
    "hint": lambda answer: answer.status_code == 303 and "error=invalid_request" in answer.location,
    "access token": lambda answer: answer.status_code == 401,
    "introspected": lambda answer: answer.json == {"active": False},
}
"""How each place says that it is none of ours."""


def _published(ground: Ground) -> list[bytes]:
    """What might be taken for a shared secret: our public keys, in every way to write them."""
    secrets = [b"", b"\0" * 32]
    for jwk in ground.web.get("/oauth/jwks").json["keys"]:
        public = JWKRegistry.import_key(jwk)
        secrets += [json.dumps(jwk).encode(), json.dumps(jwk, separators=(",", ":")).encode(), jwk["kid"].encode()]
        secrets += [public.as_pem(private=False), public.as_pem(private=False).strip(), public.as_der(private=False)]
    return secrets


def _reheaded(token: str, **header: Any) -> str:
    """The claims of `token` under another header; None leaves a member out."""
    head, claims, _ = token.split(".")
    new_header = json.loads(urlsafe_b64decode(head + "==")) | header
    new_header = {name: value for name, value in new_header.items() if value is not None}
    return f"{b64(json.dumps(new_header).encode())}.{claims}"


def _forged(ground: Ground, token: str) -> Iterator[str]:
    for alg in ("HS256", "HS384", "HS512"):
        text = _reheaded(token, alg=alg)
        for secret in _published(ground):
            yield f"{text}.{b64(hmac.digest(secret, text.encode(), alg.replace('HS', 'sha')))}"
    other_key = key("ES256", 9)
    more: tuple[dict[str, Any], ...] = (
        {},
        {"kid": "ec-9"},
        {"kid": None},
        {"jwk": bare(other_key)},
        {"kid": "../../../dev/null"},
    )
    for header in (*HOSTILE.values(), *more):
        text = _reheaded(token, **({"alg": "ES256"} | header))
        yield f"{text}.{b64(ALL.get_alg('ES256').sign(text.encode(), other_key))}"
        yield f"{text}."
        yield f"{text}.AA"


@pytest.mark.parametrize(
    ("where", "which"),
    [
        ("hint to sign out", "id_token"), ("hint", "id_token"), ("access token", "access_token"),
        ("introspected", "access_token"),
    ],
)  # fmt: skip
def test_a_forged_token_is_never_accepted(ground, where, which):
    genuine = ground.tokens[which]
    for forged in _forged(ground, genuine):
        if forged != genuine:
            response = PLACES[where](ground, forged)
            refused_or_answered(ground, response)
            assert REFUSING[where](response), forged


@pytest.mark.parametrize(("where", "which"), [("hint to sign out", "access_token"), ("access token", "id_token")])
def test_a_token_of_one_kind_is_not_accepted_as_another(ground, where, which):
    response = PLACES[where](ground, ground.tokens[which])
    refused_or_answered(ground, response)
    assert REFUSING[where](response)


@pytest.mark.parametrize("where", REFUSING)
def test_a_logout_token_is_nothing_else(ground, where):
    """It says who, to whom, and by whom it is signed; its type says that it is for ending a session."""
    claims = json.loads(urlsafe_b64decode(ground.tokens["id_token"].split(".")[1] + "=="))
    with ground.work():
        token = ring.sign(claims, alg="RS256", typ="logout+jwt")
    response = PLACES[where](ground, token)
    refused_or_answered(ground, response)
    assert REFUSING[where](response)


# What a parser of JSON may understand in two ways


SAID_TWICE = (
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


def _as_written(head: str, claims: str) -> str:
    text = f"{b64(head.encode('utf-8', 'surrogatepass'))}.{b64(claims.encode('utf-8', 'surrogatepass'))}"
    return f"{text}.{b64(ALL.get_alg('ES256').sign(text.encode(), key('ES256')))}"


@pytest.mark.parametrize("kind", TAKEN)
def test_what_is_said_twice_is_refused_or_means_one_thing(ground, kind):
    sound, header, take = TAKEN[kind]
    rest = json.dumps({name: value for name, value in header.items() if value is not None})[1:]
    rest = f",{rest}" if len(rest) > 1 else rest
    for twice in SAID_TWICE:
        claims = json.dumps(sound(ground))
        for body in (
            f"{{{twice},{claims[1:]}",
            f"{claims[:-1]},{twice}}}",
            f"{claims} ",
            f"{claims}{{}}",
            f"\ufeff{claims}",
        ):
            response = take(ground, _as_written(f'{{"alg":"ES256"{rest}', body))
            refused_or_answered(ground, response)
            assert "evil.example" not in (response.location or "")
    for head in HEADS:
        refused_or_answered(ground, take(ground, _as_written(head + rest, json.dumps(sound(ground)))))


@pytest.mark.parametrize("kind", ["client assertion", "proof"])
def test_the_same_jwt_written_another_way_is_the_same(ground, kind):
    """base64url has spare bits at its end, and some decoders pass over padding and blanks."""
    sound, header, take = TAKEN[kind]
    jwt = signed(sound(ground), header)
    assert is_believed(take(ground, jwt))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = [jwt[:-1] + alphabet[alphabet.index(jwt[-1]) ^ bit] for bit in (1, 2, 3)]
    for other in (jwt, *spare, jwt + "=", jwt + "==", jwt + "\n", " " + jwt, jwt + ".", jwt.replace(".", "=.")):
        response = take(ground, other.replace("\n", "%0a") if kind == "proof" else other)
        refused_or_answered(ground, response)
        assert not is_believed(response), other
