"""security.md S31: a stranger's many guesses do not lock an owner out of a browser in which they have signed in."""

from datetime import timedelta

import pytest

from idp.signin import views
from tests.factories import an_administrator
from tests.signin.person import Person


@pytest.fixture
def username(transaction):
    with transaction():
        return an_administrator().username


@pytest.fixture
def owner(web, username):
    """Has signed in here before, and is signed out."""
    person = Person(web)
    person.sign_in(username)
    person.submit("/sign-out")
    return person


@pytest.fixture
def browser(new_browser):
    return lambda: Person(new_browser())


def guess_repeatedly(person, username, times=12):
    for _ in range(times):
        person.sign_in(username, "wrong every time")
    return person.response.status_code


def test_a_known_device_signs_in_while_the_account_is_locked_for_others(owner, browser, username, clock):
    assert guess_repeatedly(browser(), username) == 429
    assert browser().sign_in(username).status_code == 429

    assert owner.sign_in(username).status_code == 303


def test_a_device_is_remembered_for_90_days_after_its_last_sign_in(web, browser, username, clock):
    owner = Person(web)
    owner.sign_in(username)
    clock.move(timedelta(days=89))
    owner.sign_in(username)
    clock.move(timedelta(days=89))
    guess_repeatedly(browser(), username)
    assert owner.sign_in(username).status_code == 303

    clock.move(timedelta(days=90))
    guess_repeatedly(browser(), username)
    assert owner.sign_in(username).status_code == 429


def test_a_known_device_has_ten_guesses_of_its_own_and_no_more(owner, browser, username, clock):
    assert guess_repeatedly(owner, username, 11) == 429

    assert browser().sign_in(username).status_code == 303


def test_a_lock_expires(browser, username, clock):
    guess_repeatedly(browser(), username)
    clock.move(timedelta(minutes=1))

    assert browser().sign_in(username).status_code == 303


def test_guesses_at_one_account_do_not_lock_others(browser, username, transaction, clock):
    with transaction():
        colleague = an_administrator().username
    guess_repeatedly(browser(), username)

    assert browser().sign_in(colleague).status_code == 303


def test_eighty_people_behind_one_address_can_sign_in_at_once(browser, transaction, clock):
    with transaction():
        names = [an_administrator(password_hash=None).username for _ in range(79)]
        names.append(an_administrator().username)
    for name in names[:-1]:
        assert browser().sign_in(name).status_code == 422

    assert browser().sign_in(names[-1]).status_code == 303


def test_one_address_is_stopped_at_three_hundred_failures_and_not_by_successes(app, settings):
    with app.app_context():
        assert views._guess_limit() == f"{300 * settings.throttle.factor} per 300 seconds"
