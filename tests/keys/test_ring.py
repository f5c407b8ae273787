"""The keys that sign and verify, and those that are published."""

import hmac
import json
from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from idp.foundation import clock as clocks
from idp.keys import cache, jwts, ring
from idp.keys.models import SigningKey


def claims(**options):
    return {"iss": "https://us.example", "sub": "adm_x", "exp": clocks.timestamp() + 600, **options}


def forge_token(header, body, key):
    registry = jws.JWSRegistry(algorithms=list(jws.JWSRegistry.algorithms), strict_check_header=False)
    return jwt.encode(header, body, key, registry=registry)


def signing_key(alg="ES256"):
    key = cache.signer(alg)
    assert key is not None
    return key


@pytest.mark.parametrize("alg", ring.ALGS)
def test_a_signature_verifies_with_the_published_keys(transaction, clock, alg):
    with transaction():
        token = ring.sign(claims(), alg=alg, typ="JWT")
        published = KeySet.import_key_set(json.loads(ring.jwks()[0]))

    decoded = jwt.decode(token, published, algorithms=[alg])

    assert decoded.claims["sub"] == "adm_x"
    assert decoded.header == {"typ": "JWT", "alg": alg, "kid": decoded.header["kid"]}


@pytest.mark.parametrize("alg", ring.ALGS)
def test_a_token_that_we_signed_is_accepted(transaction, clock, alg):
    with transaction():
        assert ring.verify(ring.sign(claims(), alg=alg), typ="at+jwt") == claims()


def test_the_published_set_names_each_key_by_its_thumbprint_and_has_nothing_private(transaction):
    with transaction():
        body, _ = ring.jwks()
    keys = json.loads(body)["keys"]

    assert {jwk["alg"] for jwk in keys} == set(ring.ALGS)
    for jwk in keys:
        kind = ECKey if jwk["kty"] == "EC" else RSAKey
        assert kind.import_key(jwk).thumbprint() == jwk["kid"]
        assert jwk["use"] == "sig"
        assert not {"d", "p", "q", "dp", "dq", "qi"} & set(jwk)


def test_the_etag_of_the_key_set_changes_with_the_keys(transaction, clock):
    with transaction():
        _, before = ring.jwks()
        ring.forget()
        assert ring.jwks()[1] == before
        ring.rotate("ES256")
        assert ring.jwks()[1] != before


def test_a_private_key_is_stored_sealed_and_cannot_be_moved_to_another_row(transaction):
    with transaction() as session:
        first, second = session.query(SigningKey).limit(2)
        assert '"d"' not in first.sealed
        assert "d" not in first.public_jwk
        first.sealed, second.sealed = second.sealed, first.sealed
        session.flush()
        ring.forget()
        cache._CACHE.get().private.clear()
        with pytest.raises(Exception, match="sealed in another context"):
            ring.sign(claims(), alg=first.alg)


def test_a_private_key_is_loaded_once_however_often_the_ring_is_read(transaction, monkeypatch):
    with transaction():
        ring.sign(claims())
        monkeypatch.setattr(type(signing_key()), "private", lambda _: pytest.fail("loaded again"))
        ring.forget()
        ring.sign(claims())


def test_signing_and_verifying_execute_no_statement(transaction, clock, record_statements):
    with transaction():
        token = ring.sign(claims())
        with record_statements() as statements:
            ring.sign(claims())
            ring.verify(token, typ="at+jwt")
            ring.jwks()
    assert statements == []


def test_the_signature_of_a_token_that_is_sent_again_is_checked_once(transaction, clock, monkeypatch):
    with transaction():
        token = ring.sign(claims())
        body, _, signature = token.rpartition(".")
        checked, verify = [], jwts.verify

        def count(*arguments):
            checked.append(arguments)
            verify(*arguments)

        monkeypatch.setattr(jwts, "verify", count)
        for _ in range(3):
            assert ring.verify(token, typ="at+jwt") == claims()
        assert len(checked) == 1
        for forgery in (f"{body}.{signature[::-1]}", f"{body}A.{signature}"):
            for _ in range(2):
                with pytest.raises(ring.TokenNotVerified):
                    ring.verify(forgery, typ="at+jwt")
        with pytest.raises(ring.TokenNotVerified):
            ring.verify(token, typ="at+jwt", algs=("RS256",))
        checked.clear()
        ring.forget()  # the keys are read again, and may have changed
        ring.verify(token, typ="at+jwt")
        assert len(checked) == 1
        clock.move(timedelta(seconds=600))
        with pytest.raises(ring.TokenNotVerified, match="expired"):
            ring.verify(token, typ="at+jwt")


def test_unknown_kids_cause_at_most_one_query_a_second(transaction, clock, record_statements):
    with transaction():
        token = forge_token({"alg": "ES256", "typ": "at+jwt", "kid": "theirs"}, claims(), ECKey.generate_key("P-256"))
        ring.forget()
        with record_statements() as statements:
            for _ in range(20):
                with pytest.raises(ring.TokenNotVerified):
                    ring.verify(token, typ="at+jwt")
    assert len([sql for sql in statements if sql.startswith("SELECT")]) == 1


class TestRefused:
    """Each forgery has the best signature that an attacker could make, or even one with our key."""

    @pytest.fixture(autouse=True)
    def _transaction(self, transaction, clock):
        with transaction():
            self.key = signing_key()
            self.valid_header = {"typ": "at+jwt", "alg": "ES256", "kid": self.key.kid}
            yield

    def assert_refused(self, token, reason=".", **options):
        with pytest.raises(ring.TokenNotVerified, match=reason):
            ring.verify(token, **({"typ": "at+jwt"} | options))

    def forge(self, header, body=None):
        """A token with this header that is signed with our key."""
        return forge_token(header, claims() if body is None else body, self.key.private())

    def test_the_forging_helper_can_make_a_token_that_verifies(self):
        assert ring.verify(self.forge(self.valid_header), typ="at+jwt") == claims()

    def test_a_token_of_another_type_is_refused(self):
        self.assert_refused(ring.sign(claims(), typ="JWT"), "header")

    def test_an_algorithm_the_caller_does_not_allow_is_refused(self):
        self.assert_refused(ring.sign(claims(), alg="RS256"), "alg", algs=("ES256",))

    def test_hs256_with_our_public_key_as_the_secret_is_refused(self):
        signing_input = f"{encoded(self.valid_header | {'alg': 'HS256'})}.{encoded(claims())}"
        mac = hmac.digest(self.key.public.as_pem(private=False), signing_input.encode(), "sha256")
        self.assert_refused(f"{signing_input}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}", "not the header")

    @pytest.mark.parametrize("alg", ["none", "nOnE", "NONE", "", "HS256", "ES384", None, ["ES256"]])
    def test_algorithms_that_are_not_ours_are_refused(self, alg):
        _, payload, signature = self.forge(self.valid_header).split(".")
        self.assert_refused(f"{encoded(self.valid_header | {'alg': alg})}.{payload}.{signature}")

    def test_a_token_without_a_signature_is_refused(self):
        self.assert_refused(self.forge(self.valid_header).rsplit(".", 1)[0] + ".", "compact")

    @pytest.mark.parametrize("extra", ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "cty"])
    def test_header_parameters_that_we_never_write_are_refused(self, extra):
        value = ["b64"] if extra == "crit" else "https://evil.example/jwks"
        _, payload, signature = self.forge(self.valid_header).split(".")
        self.assert_refused(f"{encoded(self.valid_header | {extra: value})}.{payload}.{signature}")

    def test_a_token_without_kid_is_refused(self):
        self.assert_refused(self.forge({"alg": "ES256", "typ": "at+jwt"}), "header")

    @pytest.mark.parametrize("kid", ["", "unknown", 7, None, {"$ne": ""}])
    def test_an_unknown_kid_is_refused(self, kid):
        _, payload, signature = self.forge(self.valid_header).split(".")
        self.assert_refused(f"{encoded(self.valid_header | {'kid': kid})}.{payload}.{signature}")

    def test_the_kid_of_our_key_of_another_algorithm_is_refused(self):
        self.assert_refused(self.forge(self.valid_header | {"kid": signing_key("RS256").kid}), "key")

    def test_another_key_under_our_kid_is_refused(self):
        self.assert_refused(forge_token(self.valid_header, claims(), ECKey.generate_key("P-256")), "signature")

    def test_an_altered_claim_is_refused(self):
        header, _, signature = self.forge(self.valid_header).split(".")
        self.assert_refused(f"{header}.{encoded(claims(sub='adm_y'))}.{signature}", "signature")

    def test_a_token_longer_than_any_of_ours_is_refused(self):
        self.assert_refused(self.forge(self.valid_header, claims(fill="x" * 9000)), "at most 8192")

    @pytest.mark.parametrize(
        "token", ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "\0.\0.\0", "é.é.é", "eyJh\n.e.e", "[" * 99]
    )
    def test_text_that_is_not_a_token_is_refused(self, token):
        self.assert_refused(token)

    def test_a_deeply_nested_header_is_refused(self):
        self.assert_refused("W" * 4000 + ".e30.AA")

    def test_a_payload_that_is_not_an_object_is_refused(self):
        key = self.key.private()
        self.assert_refused(
            jws.serialize_compact(self.valid_header, b"[1]", key, registry=jws.JWSRegistry(algorithms=ring.ALGS)),
            "cannot be read",
        )

    def test_a_token_that_expired_this_second_is_refused(self):
        self.assert_refused(self.forge(self.valid_header, claims(exp=clocks.timestamp())), "expired")

    @pytest.mark.parametrize("exp", [None, "never", True, float("inf"), [1]])
    def test_a_token_with_an_invalid_exp_is_refused(self, exp):
        self.assert_refused(self.forge(self.valid_header, claims(exp=exp)), "no `exp`")

    def test_a_token_without_exp_is_refused(self):
        self.assert_refused(self.forge(self.valid_header, {"sub": "adm_x"}), "no `exp`")

    @pytest.mark.parametrize("name", ["nbf", "iat"])
    def test_a_token_dated_later_than_the_allowed_clock_skew_is_refused(self, name):
        skew = 60
        assert ring.verify(self.forge(self.valid_header, claims(**{name: clocks.timestamp() + skew})), typ="at+jwt")
        self.assert_refused(
            self.forge(self.valid_header, claims(**{name: clocks.timestamp() + skew + 1})), "not valid yet"
        )


def encoded(value):
    """A part of a token: the value as JSON in base64url."""
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
