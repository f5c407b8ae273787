"""security.md S30: guesses at one account count together, for all spellings of its names and all ways to sign in."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.factories import PASSWORD, an_administrator, an_estab
from tests.signin.person import Person


class Names(NamedTuple):
    """The names by which a person signs in."""

    username: str
    email: str


@pytest.fixture
def names(transaction):
    with transaction():
        person = an_administrator(an_estab(estab_id="E123456"), email="Office@Oakhill.example")
        return Names(person.username, person.email)


@pytest.fixture
def browser(new_browser):
    """`browser()` is a person at a new browser."""
    return lambda: Person(new_browser())


def is_locked(person, name):
    return person.sign_in(name).status_code == 429


def test_every_spelling_of_a_name_counts_on_the_same_account(browser, names):
    username, email = names
    spellings = [
        username, username.upper(), f" {username} ", "E 123 456", "e/123456", "E\u2003123456",
        email, email.upper(), email.lower(), f"  {email}",
    ]  # fmt: skip
    for name in spellings:
        assert browser().sign_in(name, "wrong").status_code == 422

    # Neither name has had ten guesses, so neither is reported as locked. The account is locked: even the right password
    # gets the response to a wrong one.
    assert browser().sign_in(username).status_code == 422
    assert browser().sign_in(email).status_code == 422


def test_spellings_of_an_unknown_name_count_together_too(browser):
    for name in ["nobody", "NOBODY", " nobody ", "no body", "no/body"] * 2:
        browser().sign_in(name, "wrong")

    assert is_locked(browser(), "Nobody")


def test_deleting_cookies_does_not_bypass_the_limit(browser, names):
    for _ in range(10):
        browser().sign_in(names.username, "wrong")

    assert is_locked(browser(), names.username)


def test_an_invented_device_does_not_bypass_the_limit(browser, names):
    for number in range(10):
        person = browser()
        person.web.set_cookie("idaas-device", f"invented-{number}", domain="localhost")
        person.sign_in(names.username, "wrong")

    assert is_locked(browser(), names.username)


def test_a_device_known_to_another_person_does_not_bypass_the_limit(browser, names, transaction):
    with transaction():
        other = an_administrator().username
    attacker = browser()
    attacker.sign_in(other)
    for _ in range(10):
        attacker.sign_in(names.username, "wrong", back="/x")

    assert is_locked(browser(), names.username)


def test_a_sign_in_to_ones_own_account_does_not_clear_anothers_count(browser, names, transaction):
    with transaction():
        own_username = an_administrator().username
    attacker = browser()
    for _ in range(10):
        attacker.sign_in(names.username, "wrong", back="/x")
        attacker.sign_in(own_username, back="/x")

    assert is_locked(browser(), names.username)


def test_headers_that_claim_another_address_do_not_bypass_the_limit(browser, names):
    for number in range(10):
        person = browser()
        person.web.environ_base["HTTP_X_FORWARDED_FOR"] = f"203.0.113.{number}"
        person.sign_in(names.username, "wrong")

    assert is_locked(browser(), names.username)


def test_guesses_at_once_are_all_counted(browser, names):
    people = [browser() for _ in range(24)]
    for person in people:
        person.open("/sign-in")

    def guess(person):
        return person.post("/sign-in", username=names.username, password="wrong").status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(guess, people))

    assert statuses.count(422) == 10
    assert statuses.count(429) == 14


def test_after_ten_guesses_the_right_password_is_refused_too(browser, names):
    for _ in range(10):
        browser().sign_in(names.username, "wrong")

    assert browser().sign_in(names.username, PASSWORD).status_code == 429


@pytest.fixture
def five_guesses_per_address(change_settings):
    """Five wrong passwords from one address, and no more for a while."""
    change_settings(throttle={"factor": 1, "address_guesses": 5})


@pytest.fixture
def browser_at(browser):
    """`browser_at("192.0.2.7")` is a new browser at this address."""

    def make(address):
        person = browser()
        person.web.environ_base["REMOTE_ADDR"] = address
        return person

    return make


def test_one_password_tried_at_many_accounts_is_many_guesses_of_one_address(
    browser_at, names, five_guesses_per_address
):
    responses = [browser_at("192.0.2.7").sign_in(f"office{number}@school.example", "Password1!") for number in range(7)]

    assert [response.status_code for response in responses] == [422] * 5 + [429] * 2
    assert browser_at("192.0.2.7").sign_in(names.username).status_code == 429
    assert browser_at("192.0.2.8").sign_in(names.username).status_code == 303


def test_a_whole_school_behind_one_address_signs_in(browser_at, names, five_guesses_per_address):
    assert [browser_at("192.0.2.9").sign_in(names.username).status_code for _ in range(7)] == [303] * 7
