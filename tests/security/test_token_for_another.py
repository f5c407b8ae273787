"""S20, S21, S23: each kind of JWT offered as each other kind, foreign issuers and keys, hostile headers."""

import base64
import json

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from idp.foundation import clock
from idp.keys import ring
from tests.oidc.support import obtain_tokens, redirect_parameters


@pytest.fixture
def tokens(web, world):
    return obtain_tokens(web, world.partner, world.username)


def use_as_access_token(web, token):
    return web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code


def use_as_hint(web, world, token):
    return redirect_parameters(web.get(world.partner.link(prompt="none", id_token_hint=token))).get("error")


def use_as_logout_hint(web, token):
    return web.get("/oauth/logout", query_string={"id_token_hint": token}).status_code


def test_no_type_of_token_is_accepted_as_another(web, world, tokens):
    assert use_as_access_token(web, tokens["access_token"]) == 200
    assert use_as_access_token(web, tokens["id_token"]) == 401
    assert use_as_hint(web, world, tokens["access_token"]) == "invalid_request"
    assert use_as_logout_hint(web, tokens["access_token"]) == 400
    partner = world.new_partner(userinfo_signed_response_alg="RS256")
    signed = obtain_tokens(web, partner, world.username)["access_token"]
    response = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {signed}"}).text
    assert use_as_access_token(web, response) == 401
    assert use_as_logout_hint(web, response) == 400
    assert redirect_parameters(web.get(partner.link(id_token_hint=response)))["error"] == "invalid_request"


def claims_of(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_a_token_of_another_issuer_or_audience_signed_by_our_key_is_refused(web, world, tokens):
    with world.transaction():
        foreign = claims_of(tokens["access_token"]) | {"iss": "https://idp.evil.example"}
        token = ring.sign(foreign, alg="ES256", typ="at+jwt")
        other_audience = ring.sign(claims_of(tokens["access_token"]) | {"aud": "https://api.example"}, typ="at+jwt")
    assert use_as_access_token(web, token) == 401
    assert use_as_access_token(web, other_audience) == 401


def test_tokens_signed_with_other_keys_or_algorithms_are_refused(web, world, tokens):
    claims, keys = claims_of(tokens["access_token"]), web.get("/oauth/jwks").json["keys"]
    kids = {key["alg"]: key["kid"] for key in keys}
    public = json.dumps(next(key for key in keys if key["alg"] == "ES256"))
    forged = [
        jwt.encode({"alg": "HS256", "typ": "at+jwt", "kid": kids["ES256"]}, claims, OctKey.import_key(public)),
        jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": kids["ES256"]}, claims, ECKey.generate_key("P-256")),
        jwt.encode({"alg": "RS256", "typ": "at+jwt", "kid": kids["RS256"]}, claims, RSAKey.generate_key(2048)),
        jwt.encode({"alg": "ES256", "typ": "at+jwt"}, claims, ECKey.generate_key("P-256")),
        *(unsigned(claims, alg) for alg in ("none", "nOnE", "None")),
    ]
    with world.transaction():
        forged.append(ring.sign(claims, alg="RS256", typ="at+jwt"))  # ours, and not what access tokens are signed with
        forged.append(ring.sign(claims, alg="ES256", typ="JWT"))
    assert {use_as_access_token(web, token) for token in forged} == {401}


def unsigned(claims, alg):
    parts = ({"alg": alg, "typ": "at+jwt"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.mark.parametrize(
    "header",
    [{"jwk": {}}, {"jku": "https://evil.example/keys"}, {"x5u": "https://evil.example/x"}, {"crit": ["exp"]},
     {"b64": False, "crit": ["b64"]}, {"kid": "../../etc/passwd"}, {"kid": 'ü"'}, {"zip": "DEF"}],
)  # fmt: skip
def test_headers_that_point_elsewhere_are_refused_before_any_key_work(web, world, tokens, header):
    key = ECKey.generate_key("P-256")
    if "jwk" in header:
        header = {"jwk": key.as_dict(private=False)}
    parts = ({"alg": "ES256", "typ": "at+jwt", **header}, claims_of(tokens["access_token"]))
    token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    assert use_as_access_token(web, token + ".AAAA") == 401
    assert use_as_logout_hint(web, token + ".AAAA") == 400


def test_a_very_long_token_is_refused(web):
    assert use_as_access_token(web, "a" * 7000 + "." + "b" * 50_000 + ".c") == 401


def test_expired_and_future_tokens_are_refused(web, world, tokens):
    now, claims = int(clock.now().timestamp()), claims_of(tokens["access_token"])
    with world.transaction():
        expired = ring.sign(claims | {"iat": now - 700, "exp": now - 1}, typ="at+jwt")
        future = ring.sign(claims | {"iat": now + 120, "nbf": now + 120, "exp": now + 700}, typ="at+jwt")
    assert use_as_access_token(web, expired) == use_as_access_token(web, future) == 401
