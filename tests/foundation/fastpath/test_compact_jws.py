"""A token of our own serialisation is equal to joserfc's, and joserfc verifies it."""

import json

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode

from idp.foundation.fastpath import compact_jws

CLAIMS = {"sub": "adm_1", "exp": 1_800_000_000, "aud": ["a", "b"], "name": "Siân O’Neill", "nested": {"x": [1, None]}}


@pytest.fixture(params=["ES256", "RS256"])
def alg(request):
    return request.param


@pytest.fixture
def key(alg):
    return ECKey.generate_key("P-256") if alg == "ES256" else RSAKey.generate_key(2048)


def test_joserfc_verifies_what_was_signed(alg, key):
    header = {"typ": "at+jwt", "alg": alg, "kid": "key 1"}
    token = compact_jws.sign(header, CLAIMS, key)
    read = jwt.decode(token, key, algorithms=[alg])
    assert (read.header, read.claims) == (header, CLAIMS)
    assert "=" not in token


def test_header_and_claims_are_written_as_joserfc_writes_them(alg, key):
    header = {"typ": "JWT", "alg": alg, "kid": "k"}
    ours, expected = compact_jws.sign(header, CLAIMS, key), jwt.encode(header, CLAIMS, key, algorithms=[alg])
    for place in (0, 1):
        parts = (json.loads(urlsafe_b64decode(token.split(".")[place].encode())) for token in (ours, expected))
        assert next(parts) == next(parts)
    assert len(ours.split(".")[2]) == len(expected.split(".")[2])


def test_an_es256_signature_has_its_full_length():
    """A number below 2^248 is padded with zeros (RFC 7518 §3.4); one in 128 signatures has such a number."""
    key = ECKey.generate_key("P-256")
    signatures = {len(compact_jws.sign({"alg": "ES256"}, {"n": n}, key).split(".")[2]) for n in range(600)}
    assert signatures == {86}


def test_a_changed_claim_is_not_verified(alg, key):
    head, _, signature = compact_jws.sign({"alg": alg}, CLAIMS, key).split(".")
    other = compact_jws.sign({"alg": alg}, CLAIMS | {"sub": "adm_2"}, key).split(".")[1]
    with pytest.raises(BadSignatureError):
        jwt.decode(f"{head}.{other}.{signature}", key, algorithms=[alg])
