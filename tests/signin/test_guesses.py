"""Wrong guesses: after ten there are locks of increasing length, but never a permanent one."""

from datetime import timedelta

import pytest

from idp.signin import guesses


@pytest.fixture
def counter():
    return guesses.key("account", "adm_test")


def count_checked(transaction, counter, times=1):
    """How many of `times` guesses were checked; the others were refused by a lock."""
    checked = 0
    for _ in range(times):
        with transaction():
            try:
                guesses.count(counter)
                checked += 1
            except guesses.Locked:
                pass
    return checked


def test_ten_guesses_are_checked_and_the_tenth_locks(transaction, counter, clock):
    assert count_checked(transaction, counter, 9) == 9
    with transaction():
        guesses.refuse_locked(counter)
        assert guesses.count(counter) is True
    with transaction(), pytest.raises(guesses.Locked) as locked:
        guesses.refuse_locked(counter)

    assert locked.value.minutes == 1
    assert count_checked(transaction, counter, 5) == 0


def test_each_further_guess_locks_for_longer_up_to_a_quarter_of_an_hour(transaction, counter, clock):
    count_checked(transaction, counter, 10)
    for minutes in (1, 2, 4, 8, 15, 15, 15):
        clock.move(timedelta(minutes=minutes, seconds=-1))
        assert count_checked(transaction, counter) == 0
        clock.move(timedelta(seconds=1))
        assert count_checked(transaction, counter) == 1


def test_a_lock_says_how_long_it_lasts_and_ends_on_time(transaction, counter, clock):
    count_checked(transaction, counter, 10)
    clock.move(timedelta(minutes=1))
    count_checked(transaction, counter)

    def refused(check):
        with transaction(), pytest.raises(guesses.Locked) as locked:
            check(counter)
        return locked.value

    for check in (guesses.refuse_locked, guesses.count):
        assert (refused(check).minutes, refused(check).retry_after) == (2, 120)
        assert "for 2 minutes." in refused(check).message
    clock.move(timedelta(minutes=1, seconds=59))
    last_second = refused(guesses.refuse_locked)
    assert (last_second.minutes, last_second.retry_after) == (1, 1)
    clock.move(timedelta(seconds=1))
    with transaction():
        guesses.refuse_locked(counter)


def test_of_guesses_every_ten_seconds_sixteen_are_checked_in_an_hour(transaction, counter, clock):
    checked = 0
    for _ in range(360):
        checked += count_checked(transaction, counter)
        clock.move(timedelta(seconds=10))

    assert checked == 16  # ten, and one after each lock: 1, 2, 4, 8, 15, 15 minutes


def test_the_count_is_reset_after_five_minutes_without_guesses(transaction, counter, clock):
    count_checked(transaction, counter, 9)
    clock.move(timedelta(minutes=5))

    assert count_checked(transaction, counter, 10) == 10
    assert count_checked(transaction, counter) == 0


def test_a_lock_is_forgotten_after_an_hour_without_guesses(transaction, counter, clock):
    count_checked(transaction, counter, 10)
    clock.move(timedelta(minutes=61))

    assert count_checked(transaction, counter, 10) == 10


def test_a_success_resets_the_count(transaction, counter, clock):
    count_checked(transaction, counter, 9)
    with transaction():
        guesses.forget(counter)

    assert count_checked(transaction, counter, 10) == 10


def test_each_account_has_its_own_count(transaction, counter, clock):
    count_checked(transaction, counter, 10)

    assert count_checked(transaction, guesses.key("account", "adm_other")) == 1


def test_keys_of_different_subjects_differ():
    assert guesses.key("account", "ab", "c") != guesses.key("account", "a", "bc")
    assert guesses.key("name", "a") != guesses.key("account", "a")


def test_of_thirty_guesses_at_once_ten_are_checked(run_concurrently, counter):
    outcomes = run_concurrently(30, lambda: guesses.count(counter))

    assert sum(isinstance(outcome, bool) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, guesses.Locked) for outcome in outcomes) == 20
