"""For any document at a client's `jwks_uri`, sent in any way, an assertion is accepted only by the client's key.

A client's `sector_identifier_uri`, the other document of a client that we fetch, is tested in the same way.
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
from tests.fuzz import responses
from tests.fuzz.conftest import GRANTS
from tests.fuzz.hostile import any_json, odd_text
from tests.fuzz.profiles import fuzz_settings
from tests.oidc import registering
from tests.oidc.signing import Signer, b64, jwks, key
from tests.raw_server import raw_server

OWN_KEY = jwks(key("ES256"))["keys"][0]
PRIVATE = key("ES256").as_dict(private=True)["d"]
SHARED_SECRET = OctKey.import_key(b"a secret that everybody may read, and that proves nothing")
WEAK_KEY = RSAKey.generate_key(1024)
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
    WEAK_KEY.as_dict(private=False),
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
VALID_HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
HEADER_LINES: tuple[bytes, ...] = (
    b"Content-Type: text/html", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
    b"Content-Length: \xb2", b"Content-Length: 1\r\nContent-Length: 2", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\n\r\n-5", b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff",
    b"Content-Encoding: gzip", b"Content-Encoding: deflate, gzip, br", b"A: b\r\n" * 500, b"A: " + b"b" * 70_000,
    b"\x00: \xff", b"\r\n", b"Location: http://169.254.169.254/", b"Location: \xff\x00",
)  # fmt: skip
HEADS: tuple[bytes, ...] = (
    *(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" for header in HEADER_LINES),
    *(b"HTTP/1.1 302 Found\r\n" + header + b"\r\n\r\n" for header in HEADER_LINES[-2:]),
    b"HTTP/1.0 200\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n", b"HTTP/1.1 500 Oh\r\n\r\n",
    b"HTTP/1.1 999 x\r\n\r\n", b"HTTP/1.1 x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 3, b"HTTP/1.1 101 S\r\n\r\n",
    b"\x16\x03\x01", b"",
)  # fmt: skip
BODIES = (json.dumps({"keys": [OWN_KEY]}).encode(), gzip.compress(b" " * 20_000_000, 1), b"\xff" * 200_000)
members = st.sampled_from(["kty", "crv", "x", "y", "kid", "use", "alg", "key_ops", "d", "n", "e", "k", "x5c", "ext"])
some_key = st.one_of(
    st.sampled_from(ODD_KEYS),
    st.builds(lambda more: OWN_KEY | more, st.dictionaries(members, any_json, max_size=2)),
    any_json,
)
document = st.one_of(
    st.sampled_from(DOCUMENTS), st.binary(max_size=60),
    st.builds(
        lambda keys, more: json.dumps({"keys": keys, **more}).encode(), st.lists(some_key, max_size=4),
        st.dictionaries(odd_text | st.just("keys"), any_json, max_size=1),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with raw_server() as running:
        yield running


@dataclass
class AssertionResponses:
    """The responses to two assertions of a new client: signed by its key, and by a secret that its key set has."""

    signed_by_key: Any
    signed_by_secret: Any


def _send_assertions(target: Any, server: Any) -> AssertionResponses:
    with target.transaction():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks_uri=server.url, grant_types=GRANTS,
            client_scopes=frozenset({"schools.list"}),
        )  # fmt: skip
        signer = Signer(client.id)
    received = [
        signer.post(target.web, "/oauth/token", {"grant_type": "client_credentials"}, assertion=assertion)
        for assertion in (signer.assertion(), signer.assertion(alg="HS256", key=SHARED_SECRET, header={"kid": "ec-1"}))
    ]
    for response in received:
        responses.check(response, (), target.secrets)
    target.log.check((*target.secrets, PRIVATE, b64(SHARED_SECRET.raw_value)))
    assert received[1].status_code == 401
    return AssertionResponses(*received)


def test_a_valid_key_set_is_accepted(target, server):
    server.response = VALID_HEAD + json.dumps({"keys": [OWN_KEY]}).encode()
    assert _send_assertions(target, server).signed_by_key.status_code == 200


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_a_document_that_is_not_a_key_set_is_refused(target, server, number):
    server.response = VALID_HEAD + DOCUMENTS[number]
    _send_assertions(target, server)


@pytest.mark.parametrize("number", range(len(HEADS)))
def test_every_way_of_sending_a_key_set_is_handled(target, server, number):
    for body in BODIES:
        server.response = HEADS[number] + body
        _send_assertions(target, server)


@fuzz_settings(1.5)
@given(head=st.sampled_from(HEADS), body=document, has_valid_head=st.booleans())
def test_only_a_document_with_the_clients_own_key_is_accepted(target, server, head, body, has_valid_head):
    server.response = (VALID_HEAD if has_valid_head else head) + body
    if _send_assertions(target, server).signed_by_key.status_code == 200:
        assert OWN_KEY["x"].encode() in body.replace(b"\x00", b"")
        assert PRIVATE.encode() not in body


uri_list = st.builds(
    lambda known, more: json.dumps([*known, *more]).encode(),
    st.lists(st.just(registering.METADATA["redirect_uris"][0]), max_size=1), st.lists(any_json, max_size=3),
)  # fmt: skip


def _register(target: Any, server: Any) -> Any:
    with target.transaction():
        token = registering.an_initial_token()  # each is for another partner, whose application needs another name
    named = f"Reports {crypto.new_id('name')[5:]}"
    response = registering.Registrar(target.web, token).register(client_name=named, sector_identifier_uri=server.url)
    responses.check(response, (), target.secrets)
    target.log.check(target.secrets)
    return response


def test_a_valid_sector_document_is_accepted(target, server):
    server.response = VALID_HEAD + json.dumps(registering.METADATA["redirect_uris"]).encode()
    response = _register(target, server)
    assert response.status_code == 201, response.text


@fuzz_settings()
@given(head=st.sampled_from(HEADS), body=document | uri_list, has_valid_head=st.booleans())
def test_only_a_sector_document_that_lists_every_redirect_uri_is_accepted(target, server, head, body, has_valid_head):
    server.response = (VALID_HEAD if has_valid_head else head) + body
    response = _register(target, server)
    assert response.status_code == 400 or registering.METADATA["redirect_uris"][0].encode() in body
