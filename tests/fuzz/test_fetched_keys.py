"""For any document at a client's `jwks_uri`, sent in any way, an assertion is accepted only by the client's key.

Likewise for its `sector_identifier_uri`, the other address of a stranger that we fetch from.
"""

import gzip
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from idp.foundation import crypto
from tests import factories
from tests.fuzz import answers
from tests.fuzz.conftest import GRANTS
from tests.fuzz.depth import deep
from tests.fuzz.hostile import anything, odd
from tests.oidc import registering
from tests.oidc.signing import Signer, b64, jwks, key
from tests.raw_server import raw_server

OWN_KEY = jwks(key("ES256"))["keys"][0]
PRIVATE = key("ES256").as_dict(private=True)["d"]
SHARED_SECRET = OctKey.import_key(b"a secret that everybody may read, and that proves nothing")
WEAK = RSAKey.generate_key(1024)
ODD_KEYS: tuple[Any, ...] = (
    OWN_KEY, OWN_KEY, OWN_KEY | {"d": PRIVATE}, OWN_KEY | {"use": "enc"}, OWN_KEY | {"alg": "ES384"},
    OWN_KEY | {"key_ops": ["sign"]},
    OWN_KEY | {"kid": None}, OWN_KEY | {"kid": 5}, OWN_KEY | {"kid": "\ud800"}, OWN_KEY | {"crv": "P-384"},
    OWN_KEY | {"crv": "secp256k1"},
    OWN_KEY | {"x": ""}, OWN_KEY | {"x": "é"}, OWN_KEY | {"x": OWN_KEY["y"]}, OWN_KEY | {"x": "A" * 43},
    OWN_KEY | {"x": "A" * 9000},
    OWN_KEY | {"x5c": ["x"]}, OWN_KEY | {"x5u": "https://evil.example"}, OWN_KEY | {"kty": "ec"},
    OWN_KEY | {"kty": ["EC"]},
    SHARED_SECRET.as_dict(private=True) | {"kid": "ec-1"}, {"kty": "oct", "kid": "ec-1", "k": ""},
    WEAK.as_dict(private=False),
    {"kty": "RSA", "n": "AQ", "e": "AQAB"}, {"kty": "RSA", "n": "A" * 50_000, "e": "AQAB"},
    {"kty": "RSA", "e": 3, "n": 5},
    {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, OKPKey.generate_key("X25519").as_dict(private=False),
    ECKey.generate_key("P-521").as_dict(private=False), {"kty": "none"}, {}, [], None, 5, "x", [OWN_KEY],
    {"keys": [OWN_KEY]},
)  # fmt: skip
DOCUMENTS: tuple[bytes, ...] = (
    b"", b"null", b"5", b"[]", b'""', b"{}", b'{"keys":5}', b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[[]]}', b"{",
    b'{"keys":' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"a":' * 5000 + b"1" + b"}" * 5000, b"9" * 60_000, b"\xff\xfe{}",
    b'{"keys":[' + b",".join([json.dumps(OWN_KEY).encode()] * 21) + b"]}",
    json.dumps({"keys": [OWN_KEY, OWN_KEY]}).encode(),
    b'{"keys":[],"keys":[' + json.dumps(OWN_KEY).encode() + b"]}", json.dumps({"keys": [OWN_KEY]}).encode("utf-16"),
    b"\xef\xbb\xbf" + json.dumps({"keys": [OWN_KEY]}).encode(), b'{"keys":[NaN,Infinity]}', b"<html>", b" " * 70_000,
    json.dumps({"keys": [OWN_KEY | {"kid": f"ec-{number}"} for number in range(2, 22)]}).encode(),
)  # fmt: skip
VALID = b"HTTP/1.1 200 OK\r\n\r\n"
HEADERS: tuple[bytes, ...] = (
    b"Content-Type: text/html", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
    b"Content-Length: \xb2", b"Content-Length: 1\r\nContent-Length: 2", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\n\r\n-5", b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff",
    b"Content-Encoding: gzip", b"Content-Encoding: deflate, gzip, br", b"A: b\r\n" * 500, b"A: " + b"b" * 70_000,
    b"\x00: \xff", b"\r\n", b"Location: http://169.254.169.254/", b"Location: \xff\x00",
)  # fmt: skip
HEADS: tuple[bytes, ...] = (
    *(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" for header in HEADERS),
    *(b"HTTP/1.1 302 Found\r\n" + header + b"\r\n\r\n" for header in HEADERS[-2:]),
    b"HTTP/1.0 200\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n", b"HTTP/1.1 500 Oh\r\n\r\n",
    b"HTTP/1.1 999 x\r\n\r\n", b"HTTP/1.1 x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 3, b"HTTP/1.1 101 S\r\n\r\n",
    b"\x16\x03\x01", b"",
)  # fmt: skip
BODIES = (json.dumps({"keys": [OWN_KEY]}).encode(), gzip.compress(b" " * 20_000_000, 1), b"\xff" * 200_000)
members = st.sampled_from(["kty", "crv", "x", "y", "kid", "use", "alg", "key_ops", "d", "n", "e", "k", "x5c", "ext"])
some_key = st.one_of(
    st.sampled_from(ODD_KEYS),
    st.builds(lambda more: OWN_KEY | more, st.dictionaries(members, anything, max_size=2)),
    anything,
)
document = st.one_of(
    st.sampled_from(DOCUMENTS), st.binary(max_size=60),
    st.builds(
        lambda keys, more: json.dumps({"keys": keys, **more}).encode(), st.lists(some_key, max_size=4),
        st.dictionaries(odd | st.just("keys"), anything, max_size=1),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with raw_server() as served:
        yield served


@dataclass
class Asked:
    """The responses to two assertions of a new client: signed by its key, and by a secret that its key set has."""

    by_its_key: Any
    by_a_secret: Any


def _asks(target: Any, server: Any) -> Asked:
    with target.work():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks_uri=server.url, grant_types=GRANTS,
            client_scopes=frozenset({"schools.list"}),
        )  # fmt: skip
        signer = Signer(client.id)
    requests = [
        signer.posts(target.web, "/oauth/token", {"grant_type": "client_credentials"}, assertion=assertion)
        for assertion in (signer.assertion(), signer.assertion(alg="HS256", key=SHARED_SECRET, header={"kid": "ec-1"}))
    ]
    for response in requests:
        answers.check(response, (), target.secrets)
    target.log.check((*target.secrets, PRIVATE, b64(SHARED_SECRET.raw_value)))
    assert requests[1].status_code == 401
    return Asked(*requests)


def test_a_valid_key_set_is_accepted(target, server):
    server.response = VALID + json.dumps({"keys": [OWN_KEY]}).encode()
    assert _asks(target, server).by_its_key.status_code == 200


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_a_document_that_is_not_a_key_set_is_refused(target, server, number):
    server.response = VALID + DOCUMENTS[number]
    _asks(target, server)


@pytest.mark.parametrize("number", range(len(HEADS)))
def test_every_way_of_sending_a_key_set_is_handled(target, server, number):
    for body in BODIES:
        server.response = HEADS[number] + body
        _asks(target, server)


@deep(1.5)
@given(head=st.sampled_from(HEADS), body=document, valid=st.booleans())
def test_only_a_document_with_the_clients_own_key_is_accepted(target, server, head, body, valid):
    server.response = (VALID if valid else head) + body
    if _asks(target, server).by_its_key.status_code == 200:
        assert OWN_KEY["x"].encode() in body.replace(b"\x00", b"")
        assert PRIVATE.encode() not in body


listed = st.builds(
    lambda known, more: json.dumps([*known, *more]).encode(),
    st.lists(st.just(registering.METADATA["redirect_uris"][0]), max_size=1), st.lists(anything, max_size=3),
)  # fmt: skip


def _registers(target: Any, server: Any) -> Any:
    with target.work():
        token = registering.an_initial_token()  # each of another partner, which needs another name
    named = f"Reports {crypto.new_id('name')[5:]}"
    response = registering.Registrar(target.web, token).registers(client_name=named, sector_identifier_uri=server.url)
    answers.check(response, (), target.secrets)
    target.log.check(target.secrets)
    return response


def test_a_valid_sector_document_is_accepted(target, server):
    server.response = VALID + json.dumps(registering.METADATA["redirect_uris"]).encode()
    response = _registers(target, server)
    assert response.status_code == 201, response.text


@deep()
@given(head=st.sampled_from(HEADS), body=document | listed, valid=st.booleans())
def test_only_a_sector_document_that_lists_every_address_is_accepted(target, server, head, body, valid):
    server.response = (VALID if valid else head) + body
    response = _registers(target, server)
    assert response.status_code == 400 or registering.METADATA["redirect_uris"][0].encode() in body
