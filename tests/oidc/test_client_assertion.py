"""Clients that authenticate by a signed JWT (RFC 7523; protocol.md §2.1)."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey
from sqlalchemy import select

from idp.foundation import clock as clocks, crypto, runtime
from idp.oidc.clients import client_keys
from idp.oidc.clients.client_assertion import MAX_LIFETIME_SECONDS
from idp.oidc.models import UsedJti
from idp.partners.models import ClientSecret
from tests import factories
from tests.oidc.signing import ASSERTION, Signer, jwks, key
from tests.oidc.support import ISSUER

KEYS = jwks(key("ES256"), key("PS256"), key("EdDSA"))
SIGNING_CLIENT = {"token_endpoint_auth_method": "private_key_jwt", "grant_types": frozenset({"client_credentials"}),
         "client_scopes": frozenset({"schools.list"}), "jwks": KEYS}  # fmt: skip


@pytest.fixture
def new_signer(world, clock):
    """`new_signer(profile="fapi2")` registers a client that authenticates by assertions."""

    def make(**overrides):
        with world.transaction():
            return Signer(factories.a_client(**(SIGNING_CLIENT | overrides)).id)

    return make


@pytest.fixture
def partner(new_signer):
    return new_signer()


@pytest.fixture
def fapi2_client(new_signer):
    return new_signer(profile="fapi2", dpop_bound_access_tokens=True)


def authenticate(web, partner, **overrides):
    return partner.post(web, "/oauth/token", {"grant_type": "client_credentials"}, partner.assertion(**overrides))


def is_authenticated(response):
    """Whether the client was authenticated, whatever error came next."""
    return response.status_code == 200 or response.json["error"] != "invalid_client"


def is_refused(response):
    return (response.status_code, response.json["error"]) == (401, "invalid_client")


def test_an_assertion_that_came_with_a_refused_token_request_is_used_up(web, partner):
    sent = partner.assertion()
    wrong_grant = partner.post(web, "/oauth/token", {"grant_type": "refresh_token", "refresh_token": "x"}, sent)
    assert (wrong_grant.status_code, wrong_grant.json["error"]) == (400, "unauthorized_client")

    assert is_refused(partner.post(web, "/oauth/token", {"grant_type": "client_credentials"}, sent))


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
def test_every_algorithm_for_assertions_is_accepted(web, partner, alg):
    assert authenticate(web, partner, alg=alg, key=key("PS256" if alg == "RS256" else alg)).status_code == 200


@pytest.mark.parametrize(
    ("alg", "is_accepted"), [("RS256", False), ("PS256", True), ("ES256", True), ("EdDSA", True), ("Ed25519", True)]
)
def test_fapi2_accepts_only_the_strict_algorithms(web, fapi2_client, alg, is_accepted):
    response = authenticate(web, fapi2_client, alg=alg, key=key("PS256" if alg == "RS256" else alg))
    assert is_authenticated(response) == is_accepted


@pytest.mark.parametrize(("profile", "ahead", "behind"), [("oidc", 60, 60), ("fapi2", 15, 0)])
def test_a_jti_is_stored_until_its_assertion_would_expire(web, world, new_signer, clock, profile, ahead, behind):
    """The latest `exp` that is accepted, by a clock with the greatest difference that is accepted."""
    partner = new_signer(profile=profile, dpop_bound_access_tokens=profile == "fapi2")
    exp = int(clock.now().timestamp()) + MAX_LIFETIME_SECONDS + ahead
    assert is_refused(authenticate(web, partner, exp=exp + 1))
    assert is_authenticated(authenticate(web, partner, exp=exp))
    with world.transaction() as session:
        (expires_at,) = session.scalars(select(UsedJti.expires_at))
    assert expires_at.timestamp() == exp + behind


@pytest.mark.parametrize(
    ("profile", "claim", "seconds", "is_accepted"),
    [
        ("oidc", "exp", -59, True), ("oidc", "exp", -60, False), ("oidc", "iat", 60, True), ("oidc", "iat", 61, False),
        ("oidc", "nbf", 60, True), ("oidc", "nbf", 61, False), ("fapi2", "exp", 0, False), ("fapi2", "iat", 15, True),
        ("fapi2", "iat", 16, False), ("fapi2", "nbf", 15, True), ("fapi2", "nbf", 16, False),
    ],
)  # fmt: skip
def test_an_assertion_may_be_off_by_the_allowed_clock_skew(
    web, new_signer, clock, profile, claim, seconds, is_accepted
):
    partner = new_signer(profile=profile, dpop_bound_access_tokens=profile == "fapi2")
    response = authenticate(web, partner, **{claim: int(clock.now().timestamp()) + seconds})
    assert is_authenticated(response) == is_accepted


@pytest.mark.parametrize(
    ("typ", "is_accepted"),
    [
        (None, True), ("JWT", True), ("JOSE", True), ("client-authentication+jwt", True),
        ("application/Client-Authentication+JWT", True), ("oauth-authz-req+jwt", False),
        ("dpop+jwt", False), ("application/at+jwt", False),
    ],
)  # fmt: skip
def test_what_is_typed_as_another_kind_of_jwt_authenticates_no_one(web, partner, typ, is_accepted):
    """RFC 8725 §3.11 and §3.12: a JWT of another kind MUST be rejected; most assertions have no type of their own."""
    assert is_authenticated(authenticate(web, partner, header={"typ": typ})) == is_accepted


def test_only_the_registered_algorithm_is_accepted(web, new_signer):
    partner = new_signer(token_endpoint_auth_signing_alg="ES256")
    assert is_authenticated(authenticate(web, partner))
    assert is_refused(authenticate(web, partner, alg="PS256", key=key("PS256")))


@pytest.mark.parametrize("registered", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("named", [None, "EdDSA", "Ed25519"])
def test_eddsa_and_ed25519_name_the_same_algorithm(web, new_signer, registered, named):
    """A library that begins to use the newer name (RFC 9864) need not be registered again."""
    public = key("EdDSA").as_dict(private=False) | ({} if named is None else {"alg": named})
    partner = new_signer(token_endpoint_auth_signing_alg=registered, jwks={"keys": [public]})
    for alg in ("EdDSA", "Ed25519"):
        assert is_authenticated(authenticate(web, partner, alg=alg, key=key("EdDSA"))), alg
    assert is_refused(authenticate(web, partner))


@pytest.mark.parametrize(
    "overrides",
    [
        {"iss": "someone"}, {"sub": "someone"}, {"sub": None}, {"iss": None}, {"sub": 7}, {"aud": None},
        {"aud": "https://other.example"}, {"aud": ["https://other.example"]}, {"aud": {"x": 1}}, {"aud": [1, None]},
        {"exp": None}, {"exp": 0}, {"exp": "soon"}, {"exp": 10**12}, {"jti": None}, {"jti": 7}, {"jti": ""},
        {"key": ECKey.generate_key("P-256")}, {"nbf": "x"}, {"header": {"kid": "unknown"}}, {"iat": True},
        {"header": {"jku": "https://evil.example"}}, {"header": {"crit": ["exp"], "exp": 1}},
        {"header": {"jwk": KEYS["keys"][0]}},
    ],
)  # fmt: skip
def test_an_assertion_with_a_wrong_claim_header_or_key_is_refused(web, partner, overrides):
    assert is_refused(authenticate(web, partner, **overrides))


@pytest.mark.parametrize("assertion", ["x", "a.b.c", "é.é.é", "x" * 8000, "eyJhbGciOiJub25lIn0.e30."])
def test_a_text_that_is_not_a_jwt_is_refused(web, partner, assertion):
    assert is_refused(partner.post(web, "/oauth/token", {"grant_type": "client_credentials"}, assertion))


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "x" * 2000, "😀"])
def test_an_invalid_client_id_in_an_assertion_is_unknown(web, partner, name):
    """JSON can contain a lone surrogate, which the log of failures must be able to handle."""
    assert is_refused(authenticate(web, partner, iss=name, sub=name))


def test_fapi2_limits_the_times_of_an_assertion(web, fapi2_client, clock):
    now = int(clock.now().timestamp())
    for overrides, is_accepted in (
        ({"exp": now + 600}, True), ({"exp": now + 700}, False), ({"exp": now - 1}, False),
        ({"exp": now - 300}, False), ({"nbf": now + 8}, True), ({"nbf": now + 60}, False),
        ({"iat": now + 10}, True), ({"iat": now + 60}, False), ({"iat": None}, True),
    ):  # fmt: skip
        assert is_authenticated(authenticate(web, fapi2_client, **overrides)) == is_accepted, overrides


@pytest.mark.parametrize(
    "overrides", [{"exp": float("nan")}, {"exp": float("inf")}, {"iat": -(10**400)}, {"nbf": float("nan")}]
)
def test_a_time_out_of_range_is_refused(web, partner, overrides):
    """NaN is neither in the past nor in the future: such an assertion would be valid for ever, but its jti is kept for
    minutes.
    """
    assert is_refused(authenticate(web, partner, **overrides))


@pytest.mark.parametrize(
    ("aud", "loose", "fapi2"),
    [
        (ISSUER, True, True), ([ISSUER], True, False), (f"{ISSUER}/oauth/token", True, False),
        ([f"{ISSUER}/oauth/token", "https://other.example"], True, False), (f"{ISSUER}/oauth/par", False, False),
        (f"{ISSUER}/", False, False),
    ],
)  # fmt: skip
def test_the_audience_must_be_ours(web, partner, fapi2_client, aud, loose, fapi2):
    assert is_authenticated(authenticate(web, partner, aud=aud)) == loose
    assert is_authenticated(authenticate(web, fapi2_client, aud=aud)) == fapi2


def test_a_jti_is_accepted_once(web, partner):
    assert is_authenticated(authenticate(web, partner, jti="the-same"))
    assert is_refused(authenticate(web, partner, jti="the-same"))
    assert is_authenticated(authenticate(web, partner, jti="another"))


def test_a_client_id_next_to_the_assertion_must_match(web, partner, new_signer):
    other = new_signer()
    form = {"grant_type": "client_credentials", "client_id": other.id}
    assert is_refused(partner.post(web, "/oauth/token", form))
    assert is_authenticated(partner.post(web, "/oauth/token", {**form, "client_id": partner.id}))


def test_a_client_registered_for_another_method_cannot_use_assertions(web, world):
    assert is_refused(authenticate(web, Signer(world.partner.id)))


def test_the_assertion_type_is_required(web, partner):
    form = {"grant_type": "client_credentials", "client_assertion": partner.assertion()}
    assert is_refused(web.post("/oauth/token", data=form))
    assert is_refused(web.post("/oauth/token", data={**form, "client_assertion_type": "other"}))


def make_with_secret(world, new_signer):
    """A client that authenticates by `client_secret_jwt`, and its secret as a key."""
    partner = new_signer(token_endpoint_auth_method="client_secret_jwt", jwks=None)
    secret = "a-secret-of-at-least-thirty-two-characters"
    with world.transaction() as session:
        session.query(ClientSecret).filter_by(client_id=partner.id).delete()
        digest = crypto.digest(secret)
        sealed = runtime.sealer().seal(secret.encode(), context=f"client_secrets.sealed:{digest.hex()}")
        now = clocks.now()
        session.add(ClientSecret(digest=digest, client_id=partner.id, sealed=sealed, created_at=now, expires_at=None))
    return partner, OctKey.import_key(secret)


def test_a_client_secret_jwt_is_accepted(web, world, new_signer):
    partner, secret = make_with_secret(world, new_signer)
    assert is_authenticated(authenticate(web, partner, alg="HS256", key=secret))
    assert is_refused(authenticate(web, partner, alg="HS256", key=OctKey.import_key("another" * 6)))
    assert is_refused(authenticate(web, partner))  # signed by a key, which is not its method


def test_hs256_with_a_public_key_is_refused(web, partner):
    public = OctKey.import_key(json.dumps(KEYS["keys"][0]))
    assert is_refused(authenticate(web, partner, alg="HS256", key=public, header={"kid": "ec-1"}))


class KeyServer:
    """A server of a partner's `jwks_uri`, which counts its requests."""

    def __init__(self):
        self.body, self.fetches, self.released = json.dumps(KEYS).encode(), 0, threading.Event()
        self.released.set()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                served.fetches += 1
                served.released.wait(10)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(served.body)

            def log_message(self, *_args):
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def keys():
    served = KeyServer()
    yield served
    served.server.shutdown()
    served.server.server_close()


def test_keys_are_fetched_once_and_again_for_an_unknown_kid(web, new_signer, keys, monkeypatch):
    partner = new_signer(jwks=None, jwks_uri=keys.uri)
    assert is_authenticated(authenticate(web, partner))
    assert is_authenticated(authenticate(web, partner))
    assert keys.fetches == 1

    keys.body = json.dumps(jwks(key("ES256", 2))).encode()
    assert is_refused(authenticate(web, partner, key=key("ES256", 2)))  # fetched a moment ago
    assert keys.fetches == 1
    monkeypatch.setattr(client_keys, "MIN_FETCH_INTERVAL_SECONDS", 0.0)
    assert is_authenticated(authenticate(web, partner, key=key("ES256", 2)))
    assert keys.fetches == 2


@pytest.mark.parametrize("kid", [None, "the-only-one"])
def test_keys_are_fetched_again_when_a_key_was_replaced_under_its_name(web, new_signer, keys, monkeypatch, kid):
    """A partner with one key at a time may give it no `kid`, or always the same."""

    def publishes(number):
        members = key("ES256", number).as_dict(private=False) | {"kid": kid}
        keys.body = json.dumps({"keys": [{name: value for name, value in members.items() if value}]}).encode()

    def signs_with(number, **overrides):
        return authenticate(web, partner, **{"key": key("ES256", number), "header": {"kid": kid}} | overrides)

    partner = new_signer(jwks=None, jwks_uri=keys.uri)
    publishes(1)
    assert is_authenticated(signs_with(1))
    publishes(2)
    assert is_refused(signs_with(2))  # fetched a moment ago
    assert keys.fetches == 1
    monkeypatch.setattr(client_keys, "MIN_FETCH_INTERVAL_SECONDS", 0.0)
    assert is_refused(signs_with(2, alg="HS256", key=OctKey.import_key("x" * 40)))
    assert keys.fetches == 1
    assert is_authenticated(signs_with(2))
    assert is_refused(signs_with(1))
    assert keys.fetches == 3


class TestCachedKeys:
    """Keys are cached for an hour, or for a day if they cannot be fetched again."""

    @pytest.fixture
    def partner(self, web, new_signer, keys):
        new_partner = new_signer(jwks=None, jwks_uri=keys.uri)
        assert is_authenticated(authenticate(web, new_partner))
        return new_partner

    @pytest.fixture
    def move_clock(self, monkeypatch):
        """`move_clock(seconds)` moves on the monotonic clock that `client_keys` reads."""
        passed, monotonic = [0.0], time.monotonic

        class MovedTime:
            monotonic = staticmethod(lambda: monotonic() + passed[0])

        monkeypatch.setattr(client_keys, "time", MovedTime)
        return lambda seconds: passed.__setitem__(0, passed[0] + seconds)

    def test_a_key_that_left_the_published_set_is_refused_after_an_hour(self, web, partner, keys, move_clock):
        keys.body = json.dumps(jwks(key("ES256", 2))).encode()
        move_clock(client_keys.CACHE_SECONDS - 60)
        assert is_authenticated(authenticate(web, partner))
        move_clock(61)
        assert is_refused(authenticate(web, partner))
        assert keys.fetches == 2

    def test_after_an_empty_set_is_published_every_key_is_refused(self, web, partner, keys, move_clock):
        keys.body = b'{"keys": []}'
        move_clock(client_keys.CACHE_SECONDS + 1)
        assert is_refused(authenticate(web, partner))
        assert is_refused(authenticate(web, partner))
        assert keys.fetches == 2

    @pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"keys": 1}', b"x" * 70_000])
    def test_while_keys_cannot_be_fetched_the_cached_ones_are_accepted_for_a_day(
        self, web, partner, keys, move_clock, body
    ):
        good, keys.body = keys.body, body
        move_clock(client_keys.CACHE_SECONDS + 1)
        assert is_authenticated(authenticate(web, partner))
        move_clock(client_keys.MAX_STALE_SECONDS - client_keys.CACHE_SECONDS - 61)
        assert is_authenticated(authenticate(web, partner))
        move_clock(61)
        assert is_refused(authenticate(web, partner))
        keys.body = good
        move_clock(client_keys.MIN_FETCH_INTERVAL_SECONDS)
        assert is_authenticated(authenticate(web, partner))

    def test_after_a_failure_keys_are_fetched_again_after_the_minimum_interval(self, web, partner, keys, move_clock):
        keys.body = b""
        move_clock(client_keys.CACHE_SECONDS + 1)
        assert is_authenticated(authenticate(web, partner))
        keys.body = json.dumps(jwks(key("ES256", 2))).encode()
        move_clock(client_keys.MIN_FETCH_INTERVAL_SECONDS)
        assert is_refused(authenticate(web, partner))
        assert keys.fetches == 3

    def test_keys_of_an_unreachable_host_are_refused_after_a_day(self, web, partner, keys, move_clock):
        keys.server.shutdown()
        keys.server.server_close()
        move_clock(client_keys.MAX_STALE_SECONDS - 60)
        assert is_authenticated(authenticate(web, partner))
        move_clock(61)
        assert is_refused(authenticate(web, partner))


def authenticate_at_once(new_browser, partner, times, **overrides):
    with ThreadPoolExecutor(times) as pool:
        return list(
            pool.map(lambda web: authenticate(web, partner, **overrides), [new_browser() for _ in range(times)])
        )


def test_concurrent_requests_fetch_keys_once(new_browser, new_signer, keys):
    """Many requests at once do not cause many requests to a partner's server."""
    keys.released.clear()
    partner = new_signer(jwks=None, jwks_uri=keys.uri)
    threading.Timer(0.5, keys.released.set).start()
    assert all(map(is_authenticated, authenticate_at_once(new_browser, partner, 8)))
    assert keys.fetches == 1


def test_a_slow_key_server_delays_one_request_and_not_all(new_browser, new_signer, keys, monkeypatch):
    """Anyone can name a client's key that does not exist; that must not block every thread."""
    partner = new_signer(jwks=None, jwks_uri=keys.uri)
    assert is_authenticated(authenticate(new_browser(), partner))
    monkeypatch.setattr(client_keys, "MIN_FETCH_INTERVAL_SECONDS", 0.0)
    keys.released.clear()
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(authenticate, new_browser(), partner, key=key("ES256", 2))
        while keys.fetches < 2:
            time.sleep(0.01)
        assert all(map(is_refused, authenticate_at_once(new_browser, partner, 6, key=key("ES256", 2))))
        assert is_authenticated(authenticate(new_browser(), partner))
        assert not waits.done()
        keys.released.set()
        assert is_refused(waits.result())
    assert keys.fetches == 2


def test_keys_that_cannot_be_used_are_passed_over_in_a_published_set(web, new_signer, keys):
    """RFC 7517 §5. A partner's set may serve other readers, or have a key of a kind that is newer than we are."""
    weak = RSAKey.generate_key(1024).as_dict(private=False)
    others = [
        {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "kid": "post-quantum"}, {"kty": 7}, "x", None, weak,
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "use": "enc"}, {"kty": "EC", "crv": "secp256k1", "kid": 7},
    ]  # fmt: skip
    keys.body = json.dumps({"keys": [*others, *KEYS["keys"]]}).encode()
    assert is_authenticated(authenticate(web, new_signer(jwks=None, jwks_uri=keys.uri)))
    private = key("ES256", 2).as_dict(private=True)
    for unusable in (others, [*KEYS["keys"], private], [*KEYS["keys"], {"kty": "oct", "k": "AAAA"}], others * 3):
        keys.body = json.dumps({"keys": unusable}).encode()
        assert is_refused(authenticate(web, new_signer(jwks=None, jwks_uri=keys.uri))), unusable


def test_keys_of_one_name_are_alternatives_in_a_published_set(web, new_signer, keys):
    """RFC 7517 §4.5: different keys SHOULD have distinct names, and may share one, as a set of a key of each type."""
    named = [key(alg).as_dict(private=False) | {"kid": "now"} for alg in ("PS256", "ES256", "EdDSA")]
    keys.body = json.dumps({"keys": named}).encode()
    partner = new_signer(jwks=None, jwks_uri=keys.uri)
    for alg in ("PS256", "ES256", "EdDSA"):
        assert is_authenticated(authenticate(web, partner, alg=alg, key=key(alg), header={"kid": "now"})), alg
    assert is_refused(authenticate(web, partner, key=key("ES256", 2), header={"kid": "now"}))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', b"x" * 70_000])
def test_an_invalid_key_set_refuses_the_assertion(web, new_signer, keys, body):
    keys.body = body
    assert is_refused(authenticate(web, new_signer(jwks=None, jwks_uri=keys.uri)))


def test_a_missing_assertion_is_refused(web, partner):
    assert is_refused(web.post("/oauth/token", data={"grant_type": "client_credentials", "client_id": partner.id}))
    only_type = {"grant_type": "client_credentials", "client_id": partner.id, "client_assertion_type": ASSERTION}
    assert is_refused(web.post("/oauth/token", data=only_type))
    two = {"client_assertion_type": ASSERTION, "client_assertion": partner.assertion(), "client_secret": "x"}
    assert web.post("/oauth/token", data=two).json["error"] == "invalid_request"
