"""Signatures as JWS has them, and nothing longer or shorter."""

import pytest

from idp.foundation import clock as clocks
from idp.keys import held


@pytest.fixture
def key(work):
    with work():
        yield held.signer("ES256")


@pytest.mark.parametrize(
    "change", [lambda good: good + b"\0", lambda good: good + good, lambda good: good[:-1], lambda good: good[:32],
               lambda good: b"\0" + good, lambda _good: b"", lambda good: good[:32] + b"\0" + good[32:]]
)  # fmt: skip
def test_a_signature_of_another_length_is_none(key, change):
    good = held.signer_for(key)(b"said")
    assert key.verifier(b"said", good)
    assert not key.verifier(b"said", change(good))
    assert not key.verifier(b"said else", good)


def test_a_number_is_written_with_its_leading_zeros(key):
    signs = held.signer_for(key)
    good = next(each for each in iter(lambda: signs(b"said"), None) if each[32] == 0)  # one of 256 has such a second

    assert key.verifier(b"said", good)
    assert not key.verifier(b"said", good[:32] + good[33:])


def test_rs256_too(work):
    with work():
        key = held.signer("RS256")
        good = held.signer_for(key)(b"said")
        assert key.verifier(b"said", good)
        assert not key.verifier(b"said", good + b"\0")
        assert key.verifies(clocks.now())
