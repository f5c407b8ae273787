"""Sealing, HMACs and password hashes."""

import threading
import time

import pytest
from hypothesis import given, strategies as st

from idp.foundation import crypto

SEALER = crypto.Sealer({"new": b"n" * 32, "old": b"o" * 32})


@given(st.binary(max_size=2000), st.text(max_size=40))
def test_a_sealed_value_can_be_unsealed_in_its_context(plain, context):
    assert SEALER.unseal(SEALER.seal(plain, context=context), context=context) == plain


def test_a_sealed_value_cannot_be_unsealed_in_another_context():
    sealed = SEALER.seal(b"secret", context="outbox:1")

    with pytest.raises(crypto.UnsealError):
        SEALER.unseal(sealed, context="outbox:2")


def test_values_sealed_with_an_older_key_can_be_unsealed_and_a_missing_key_is_named():
    sealed = crypto.Sealer({"old": b"o" * 32}).seal(b"secret", context="outbox:1")

    assert SEALER.unseal(sealed, context="outbox:1") == b"secret"
    with pytest.raises(crypto.UnsealError, match="'old'"):
        crypto.Sealer({"new": b"n" * 32}).unseal(sealed, context="outbox:1")


@pytest.mark.parametrize("altered", ["", "new", "new.", "new.AAAA", "new.é", "x" * 500])
def test_malformed_sealed_values_raise_unseal_error(altered):
    with pytest.raises(crypto.UnsealError):
        SEALER.unseal(altered, context="outbox:1")


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_hmac_sha256_is_different_for_different_lists(first, second):
    assert (crypto.hmac_sha256(b"k", *first) == crypto.hmac_sha256(b"k", *second)) == (first == second)


@given(st.text(), st.text())
def test_constant_time_compare_is_equality_for_any_characters(first, second):
    assert crypto.constant_time_compare(first, second) == (first == second)


def test_a_password_matches_itself_and_nothing_else():
    passwords = crypto.Passwords(memory_kib=64, passes=1)
    stored = passwords.hash("Grüße an die Eiche")

    assert passwords.matches(stored, "Grüße an die Eiche")
    assert not passwords.matches(stored, "grüße an die eiche")
    assert not passwords.matches("not a hash", "Grüße an die Eiche")


@pytest.mark.parametrize("stored", [None, "garbage"])
def test_a_password_is_hashed_once_even_if_there_is_no_valid_hash_to_compare_it_with(stored):
    passwords = crypto.Passwords(memory_kib=64, passes=1)

    assert not passwords.matches(stored, "anything")
    assert passwords.hashed == 1


def test_a_password_of_a_hundred_thousand_characters_is_not_hashed():
    passwords = crypto.Passwords(memory_kib=64, passes=1)

    assert not passwords.matches(passwords.hash("short"), "short" * 20_000)
    with pytest.raises(ValueError, match="longer"):
        passwords.hash("x" * 100_000)


def test_the_longest_password_is_hashed_whole_and_a_longer_one_never_matches():
    passwords = crypto.Passwords(memory_kib=64, passes=1)
    longest = "x" * crypto.MAX_PASSWORD_LENGTH
    stored = passwords.hash(longest)

    assert passwords.matches(stored, longest)
    assert not passwords.matches(stored, longest[:-1])
    with pytest.raises(ValueError, match="longer"):
        passwords.hash(longest + "x")
    too_long = passwords._hasher.hash((longest + "x").encode())
    assert not passwords.matches(too_long, longest + "x"), "even if the hash is of this password"
    assert passwords.hashed == 4, "and it costs as much as any other"


def test_only_one_password_is_hashed_at_a_time(monkeypatch):
    passwords = crypto.Passwords(memory_kib=64, passes=1)
    running, counts = [], []

    class CountingHasher:
        def hash(self, _password):
            running.append(1)
            counts.append(len(running))
            time.sleep(0.01)
            running.pop()
            return "hash"

    monkeypatch.setattr(passwords, "_hasher", CountingHasher())
    threads = [threading.Thread(target=passwords.hash, args=("one",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert counts == [1] * 4
    assert passwords.hashed == 4


def test_a_hash_with_weaker_parameters_is_outdated():
    weak, strong = crypto.Passwords(memory_kib=64, passes=1), crypto.Passwords(memory_kib=128, passes=1)

    assert strong.is_outdated(weak.hash("x"))
    assert not weak.is_outdated(weak.hash("x"))
