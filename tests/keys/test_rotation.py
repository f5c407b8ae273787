"""The life of a key: published, signing, verifying, gone."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from joserfc import jws, jwt
from sqlalchemy import select

from idp.audit import events
from idp.audit.models import Entry
from idp.foundation import clock as clocks
from idp.keys import cache, ring
from idp.keys.cli import commands
from idp.keys.models import SigningKey
from tests.tampering import tampered

PUBLISH_BEFORE = 600
# A token's lifetime, the clock skew, and the time until every process has read the new key.
MAX_LIFETIME = 600 + 60 + 30


@pytest.fixture(autouse=True)
def _as_in_production(change_settings):
    """The test settings let a new key sign at once; here it waits as it does in production."""
    change_settings(keys={"publish_before": PUBLISH_BEFORE})


def sign_token(alg="ES256", lasts=600):
    return ring.sign({"exp": clocks.timestamp() + lasts}, alg=alg)


def kid_of(token):
    return jws.extract_compact(token.encode()).headers()["kid"]


def published_kids():
    return {key["kid"] for key in json.loads(ring.jwks()[0])["keys"]}


def states(alg="ES256"):
    """The state of each key of this algorithm, by `kid`."""
    return {row["kid"]: row["state"] for row in ring.list_keys() if row["alg"] == alg}


def test_the_first_keys_of_an_empty_ring_sign_at_once(transaction, clock):
    with transaction() as session:
        session.query(SigningKey).delete()
        ring.forget()
        with pytest.raises(ring.NoSigningKey):
            sign_token()
        new_keys = ring.ensure()
        assert {kid_of(sign_token(alg)) for alg in ring.ALGS} == set(new_keys) == published_kids()
        assert ring.ensure() == []

        session.query(SigningKey).delete()
        ring.forget()
        assert ring.rotate("ES256") == kid_of(sign_token()), "no process has another key to sign with"


def test_a_successor_is_published_before_it_signs(transaction, clock):
    with transaction():
        old = kid_of(sign_token())
        new = ring.rotate("ES256")

        assert {old, new} <= published_kids()
        assert kid_of(sign_token()) == old
        assert states() == {old: "signing", new: "next"}

        clock.move(timedelta(seconds=PUBLISH_BEFORE - 1))
        assert kid_of(sign_token()) == old
        clock.move(timedelta(seconds=1))
        assert kid_of(sign_token()) == new
        assert states() == {old: "verifying", new: "signing"}


def test_a_replaced_key_verifies_until_its_last_token_has_expired(transaction, clock):
    with transaction():
        ring.rotate("ES256")
        clock.move(timedelta(seconds=PUBLISH_BEFORE - 1))
        last = sign_token(lasts=600)
        old = kid_of(last)

        clock.move(timedelta(seconds=599))
        assert ring.verify(last, typ="at+jwt")
        assert old in published_kids()

        forever = signed_by(old, 10**9)
        clock.move(timedelta(seconds=MAX_LIFETIME - 599 + 1))
        assert old not in published_kids()
        with pytest.raises(ring.TokenNotVerified, match="no longer"):
            ring.verify(forever, typ="at+jwt")
        assert states()[old] == "expired"


def signed_by(kid, lasts):
    """A token that is signed with this key, in whichever state it is."""
    key = cache.keys()[kid]
    header = {"alg": key.alg, "typ": "at+jwt", "kid": kid}
    return jwt.encode(header, {"exp": clocks.timestamp() + lasts}, key.private(), algorithms=[key.alg])


def test_a_logout_hint_is_accepted_after_its_key_was_retired_and_it_expired(transaction, clock):
    with transaction():
        hint = ring.sign({"exp": clocks.timestamp() + 600, "sub": "adm_x"}, alg="RS256", typ="JWT")
        ring.rotate("RS256", at_once=True)
        ring.retire(kid_of(hint))
        clock.move(timedelta(days=400))

        assert ring.verify_hint(hint)["sub"] == "adm_x"
        with pytest.raises(ring.TokenNotVerified):
            ring.verify(hint, typ="JWT")
        with pytest.raises(ring.TokenNotVerified):
            ring.verify_hint(tampered(hint))


def test_a_leaked_key_is_replaced_and_retired_at_once(transaction, clock):
    with transaction():
        token = sign_token()
        new = ring.rotate("ES256", at_once=True)
        assert kid_of(sign_token()) == new
        ring.retire(kid_of(token))
        assert kid_of(token) not in published_kids()
        with pytest.raises(ring.TokenNotVerified):
            ring.verify(token, typ="at+jwt")


def test_of_two_rotations_at_once_one_publishes_a_successor(transaction, clock, run_overlapping):
    outcome = run_overlapping(lambda: ring.rotate("ES256"), lambda: ring.rotate("ES256"))

    assert isinstance(outcome, ring.RotationUnderWay)


def test_the_only_key_that_signs_cannot_be_retired(transaction, clock):
    with transaction():
        old = kid_of(sign_token())
        with pytest.raises(ring.OnlySigner):
            ring.retire(old)
        ring.rotate("ES256")
        with pytest.raises(ring.OnlySigner):
            ring.retire(old)
        clock.move(timedelta(seconds=PUBLISH_BEFORE))
        ring.retire(old)
        assert states()[old] == "retired"
        with pytest.raises(ring.UnknownKey):
            ring.retire("no such kid")


def test_retiring_a_successor_before_it_signs_does_not_change_the_signing_key(transaction, clock):
    with transaction():
        old = kid_of(sign_token())
        for _ in range(2):
            ring.retire(ring.rotate("ES256"))
        clock.move(timedelta(days=30))
        assert kid_of(sign_token()) == old
        assert ring.verify(sign_token(), typ="at+jwt")


def test_retiring_an_old_key_does_not_change_when_the_signing_key_ends(transaction, clock):
    with transaction() as session:
        first = kid_of(sign_token())
        ring.rotate("ES256")
        clock.move(timedelta(seconds=PUBLISH_BEFORE + 1))
        second = kid_of(sign_token())
        ring.rotate("ES256")
        ends = session.get_one(SigningKey, second).verifies_until
        ring.retire(first)

        assert ends is not None
        assert session.get_one(SigningKey, second).verifies_until == ends


def test_a_rotation_is_refused_while_a_successor_is_pending(transaction, clock):
    with transaction():
        ring.rotate("ES256")
        with pytest.raises(ring.RotationUnderWay):
            ring.rotate("ES256")
        ring.rotate("RS256")


def test_a_second_rotation_does_not_prolong_old_keys(transaction, clock):
    with transaction() as session:
        first = kid_of(sign_token())
        ring.rotate("ES256")
        ends = session.get_one(SigningKey, first).verifies_until
        clock.move(timedelta(seconds=PUBLISH_BEFORE + 1))
        second = kid_of(sign_token())
        ring.rotate("ES256")
        assert session.get_one(SigningKey, first).verifies_until == ends
        assert session.get_one(SigningKey, second).verifies_until > ends


def test_the_private_part_of_a_retired_key_is_deleted(transaction, clock):
    with transaction() as session:
        old = kid_of(sign_token())
        ring.rotate("ES256", at_once=True)
        ring.retire(old)
        assert session.get_one(SigningKey, old).sealed == ""
        retired_at = clock.now()
        clock.move(timedelta(days=1))
        ring.retire(old)
        assert session.get_one(SigningKey, old).retired_at == retired_at


def test_a_rotation_that_was_rolled_back_leaves_no_key_in_the_cache(transaction, clock):
    with transaction():
        before = published_kids()

    def crash():
        with transaction():
            kid = ring.rotate("ES256", at_once=True)
            assert kid_of(sign_token()) == kid
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    with transaction():
        assert published_kids() == before
        assert kid_of(sign_token()) in before


def test_a_process_reads_the_key_ring_before_it_refuses_an_unknown_kid(transaction, clock):
    with transaction():
        cached_before = dict(cache.keys())
    with transaction():
        ring.rotate("ES256", at_once=True)
        token = sign_token()
    with transaction():
        process_cache = cache._CACHE.get()
        process_cache.keys, process_cache.read_at = cached_before, process_cache.read_at - 2
        assert ring.verify(token, typ="at+jwt")


def test_changes_of_the_key_ring_are_in_the_audit_log(transaction, clock):
    with transaction() as session:
        old = kid_of(sign_token())
        new = ring.rotate("ES256", by="opr_jo", at_once=True)
        ring.retire(old, by="opr_jo")
        entries = session.scalars(select(Entry).where(Entry.actor == "opr_jo").order_by(Entry.id)).all()
    assert [(entry.event, entry.subject) for entry in entries] == [
        (events.KEY_ROTATED, new),
        (events.KEY_RETIRED, old),
    ]


@pytest.fixture
def idp(app):
    """`idp("list")` runs `idp keys list`; returns its result."""

    def run(*arguments, **options):
        return CliRunner().invoke(commands, arguments, obj=lambda: app, **options)

    return run


class TestCommands:
    def test_list_shows_every_key_with_its_state(self, idp):
        result = idp("list", "--json")
        rows = json.loads(result.stdout)
        assert {row["alg"] for row in rows} == set(ring.ALGS)
        assert {row["state"] for row in rows} == {"signing"}
        assert rows[0]["kid"] in idp("list").stdout

    def test_rotate_publishes_a_successor_of_each_kind(self, idp):
        result = idp("rotate")
        assert result.stdout.count("signs in 600 seconds") == 2
        states = [row["state"] for row in json.loads(idp("list", "--json").stdout)]
        assert sorted(states) == ["next", "next", "signing", "signing"]
        again = idp("rotate", "--alg", "RS256")
        assert again.exit_code == 1
        assert "published already" in again.stderr

    def test_the_signing_key_can_be_retired_only_after_a_rotation(self, idp):
        kid = json.loads(idp("list", "--json").stdout)[0]["kid"]
        refused = idp("retire", kid, "--yes")
        assert refused.exit_code == 1
        assert "Rotate first" in refused.stderr
        idp("rotate", "--now")
        result = idp("retire", kid, "--yes")
        assert result.exit_code == 0, result.stderr
        assert f"{kid} is retired" in result.stdout

    def test_retire_changes_nothing_if_the_operator_does_not_confirm(self, idp):
        kid = json.loads(idp("list", "--json").stdout)[0]["kid"]
        assert idp("retire", kid, input="n\n").exit_code == 1
