"""A token that is bound to a key works only with a proof, as at userinfo (RFC 9449 §7)."""

from typing import NamedTuple

import pytest
from joserfc.jwk import ECKey

from tests import factories
from tests.oidc.signing import Signer, jwks, key

OWN_KEY, OTHER_KEY = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")


class BoundToken(NamedTuple):
    """An access token, and the client that has the key."""

    signer: Signer
    token: str


@pytest.fixture
def bound_token(web, transaction, clock):
    with transaction():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256")), dpop_bound_access_tokens=True,
            grant_types=frozenset({"client_credentials"}), client_scopes=frozenset({"schools.list"}),
        )  # fmt: skip
    signer = Signer(client.id, dpop_key=OWN_KEY)
    token = signer.post(web, "/oauth/token", {"grant_type": "client_credentials"}).json["access_token"]
    return BoundToken(signer, token)


@pytest.fixture
def call_api(web, bound_token):
    """`call_api()` gets `/api/schools` with a new proof."""
    signer, token = bound_token

    def get(*, scheme="DPoP", path="/api/schools", **overrides):
        prove = overrides.pop("prove", True)
        proof = signer.proof("GET", path, token, **overrides) if prove else None
        headers = {"Authorization": f"{scheme} {token}"} | ({"DPoP": proof} if proof else {})
        return web.get("/api/schools", headers=headers)

    return get


def test_a_bound_token_is_accepted_with_a_proof_which_works_once(web, bound_token, call_api):
    assert call_api().json == {"schools": []}
    signer, token = bound_token
    headers = {"Authorization": f"DPoP {token}", "DPoP": signer.proof("GET", "/api/schools", token)}
    assert [web.get("/api/schools", headers=headers).status_code for _ in range(2)] == [200, 401]


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"scheme": "Bearer"}, "invalid_token"),
        ({"prove": False}, "invalid_dpop_proof"),
        ({"path": "/oauth/userinfo"}, "invalid_dpop_proof"),
        ({"key": OTHER_KEY}, "invalid_dpop_proof"),
        ({"ath": None}, "invalid_dpop_proof"),
    ],
    ids=["as a bearer token", "without a proof", "proof for elsewhere", "proof of another key", "proof without token"],
)
def test_a_bound_token_without_a_valid_proof_is_refused_with_a_dpop_challenge(call_api, overrides, code):
    refused = call_api(**overrides)
    assert (refused.status_code, refused.json["code"]) == (401, code)
    assert refused.headers["WWW-Authenticate"].startswith("DPoP ")
