"""A lock does not reveal which names belong to one person: it is about the name that was typed, known or not."""

from datetime import timedelta

import pytest

from idp.estabs.models import Administrator
from idp.signin import password
from tests.factories import PASSWORD, an_administrator, an_estab
from tests.signin.person import Person

NUMBER, OWNER, OTHER, UNKNOWN_NAME = (
    "3124567",
    "head@oakhill.example",
    "head@elsewhere.example",
    "unknown@oakhill.example",
)


@pytest.fixture
def owner(transaction):
    """Owns the school with the public number; another person owns another."""
    with transaction():
        an_administrator(email=OTHER)
        return an_administrator(an_estab(estab_id=NUMBER), email=OWNER, username=NUMBER).id


@pytest.fixture
def guess_passwords(new_browser):
    """`guess_passwords(name, …)` is the statuses of sign-ins with these passwords, each in a new browser."""

    def sign_in(name, *passwords):
        return [Person(new_browser()).sign_in(name, password).status_code for password in passwords]

    return sign_in


def test_ten_guesses_at_the_schools_number_reveal_no_other_name_of_the_account(owner, guess_passwords, clock):
    guess_passwords(NUMBER, *["wrong"] * 10)

    assert guess_passwords(NUMBER, "wrong") == [429], "only this name was tried too often"
    responses = {name: guess_passwords(name, "wrong") for name in (OWNER, OTHER, UNKNOWN_NAME)}
    assert responses == {OWNER: [422], OTHER: [422], UNKNOWN_NAME: [422]}


def test_while_the_account_is_locked_its_right_password_gets_the_response_of_a_wrong_one(
    owner, guess_passwords, new_browser, clock
):
    guess_passwords(NUMBER, *["wrong"] * 10)
    right, wrong = Person(new_browser()), Person(new_browser())

    right.sign_in(OWNER, PASSWORD)
    wrong.sign_in(OWNER, "wrong")

    assert right.response.status_code == wrong.response.status_code == 422
    assert right.page_text == wrong.page_text
    assert right.cookie("session") is None


def test_after_the_lock_the_right_password_signs_in_and_resets_all_counts(owner, guess_passwords, clock):
    guess_passwords(NUMBER, *["wrong"] * 10)
    clock.move(timedelta(minutes=1))

    assert guess_passwords(OWNER, PASSWORD) == [303]
    assert guess_passwords(OWNER, *["wrong"] * 9) == [422] * 9


def test_two_names_of_an_account_do_not_double_the_guesses(owner, guess_passwords, clock):
    guess_passwords(NUMBER, *["wrong"] * 6)
    guess_passwords(OWNER, *["wrong"] * 4)

    assert guess_passwords(OWNER, PASSWORD) == guess_passwords(NUMBER, PASSWORD) == [422]


def test_of_guesses_by_both_names_at_once_no_more_than_ten_are_checked(owner, run_concurrently, transaction, app):
    def guess(name):
        def check():
            try:
                return password.check(name, PASSWORD, device=None, address=None).id
            except password.WrongPassword:
                return None

        return check

    for name in (NUMBER, OWNER):
        for _ in range(5):
            with transaction():
                try:
                    password.check(name, "wrong", device=None, address=None)
                except password.WrongPassword:
                    continue
    assert run_concurrently(4, guess(OWNER)) == [None] * 4
    with transaction() as session:
        assert session.get_one(Administrator, owner).password_hash


def test_one_mail_about_the_lock_is_sent_to_the_owner(owner, guess_passwords, outbox, clock):
    guess_passwords(NUMBER, *["wrong"] * 6)
    guess_passwords(OWNER, *["wrong"] * 6)

    assert [message.to for message in outbox.all("account_locked")] == [OWNER]
