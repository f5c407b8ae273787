import threading

import pytest
from hypothesis import given, strategies as st

from idp.foundation import crypto
from idp.foundation.errors import Busy

SEALER = crypto.Sealer({"new": b"n" * 32, "old": b"o" * 32})


@given(st.binary(max_size=2000), st.text(max_size=40))
def test_what_is_sealed_opens_where_it_was_sealed(plain, where):
    assert SEALER.unseal(SEALER.seal(plain, where=where), where=where) == plain


def test_a_sealed_value_does_not_open_elsewhere():
    sealed = SEALER.seal(b"secret", where="outbox:1")

    with pytest.raises(crypto.CannotUnseal):
        SEALER.unseal(sealed, where="outbox:2")


def test_an_older_key_still_opens_and_a_missing_one_is_named():
    sealed = crypto.Sealer({"old": b"o" * 32}).seal(b"secret", where="here")

    assert SEALER.unseal(sealed, where="here") == b"secret"
    with pytest.raises(crypto.CannotUnseal, match="'old'"):
        crypto.Sealer({"new": b"n" * 32}).unseal(sealed, where="here")


@pytest.mark.parametrize("altered", ["", "new", "new.", "new.AAAA", "new.é", "x" * 500])
def test_nonsense_is_refused_and_never_crashes(altered):
    with pytest.raises(crypto.CannotUnseal):
        SEALER.unseal(altered, where="here")


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_keyed_tells_lists_apart(one, other):
    assert (crypto.keyed(b"k", *one) == crypto.keyed(b"k", *other)) == (one == other)


@given(st.text(), st.text())
def test_same_is_equality_for_any_characters(one, other):
    assert crypto.same(one, other) == (one == other)


def test_a_password_matches_itself_and_nothing_else():
    passwords = crypto.Passwords(memory_kib=64, passes=1)
    stored = passwords.hash("Grüße an die Eiche")

    assert passwords.matches(stored, "Grüße an die Eiche")
    assert not passwords.matches(stored, "grüße an die eiche")
    assert not passwords.matches("not a hash", "Grüße an die Eiche")


@pytest.mark.parametrize("stored", [None, "garbage"])
def test_an_unknown_person_costs_a_hash_too(stored):
    passwords = crypto.Passwords(memory_kib=64, passes=1)

    assert not passwords.matches(stored, "anything")
    assert passwords.hashed == 1


def test_a_password_of_a_hundred_thousand_characters_is_not_hashed():
    passwords = crypto.Passwords(memory_kib=64, passes=1)

    assert not passwords.matches(passwords.hash("short"), "short" * 20_000)
    with pytest.raises(ValueError, match="longer"):
        passwords.hash("x" * 100_000)


def test_beyond_the_queue_people_are_told_to_come_back():
    passwords = crypto.Passwords(memory_kib=64, passes=1, waiting=1, patience=60)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with passwords._one_at_a_time():
            inside.set()
            leave.wait(60)

    holding = threading.Thread(target=hold)
    holding.start()
    inside.wait(60)
    waiting = threading.Thread(target=passwords.hash, args=("one",))
    waiting.start()
    while passwords._queue._value:  # the second has queued
        pass

    with pytest.raises(Busy):
        passwords.hash("another")
    leave.set()
    holding.join()
    waiting.join()
    assert passwords.hashed == 2


def test_whoever_waits_too_long_is_told_to_come_back():
    passwords = crypto.Passwords(memory_kib=64, passes=1, patience=0.01)

    with passwords._one_at_a_time(), pytest.raises(Busy):
        passwords.hash("another")


def test_stronger_parameters_outdate_a_hash():
    weak, strong = crypto.Passwords(memory_kib=64, passes=1), crypto.Passwords(memory_kib=128, passes=1)

    assert strong.is_outdated(weak.hash("x"))
    assert not weak.is_outdated(weak.hash("x"))
