"""Somebody at a browser, and an account for them."""

import pytest

from tests.factories import an_administrator, an_estab
from tests.signin.person import Person


@pytest.fixture
def jo(web):
    return Person(web)


@pytest.fixture
def stranger(another):
    return Person(another())


@pytest.fixture
def account(work):
    """Plain facts about an administrator of a verified school."""
    with work():
        person = an_administrator(an_estab())
        return Account(person.id, person.username, person.email, person.estab_id, person.estab.name)


class Account:
    def __init__(self, id, username, email, estab_id, school):
        self.id, self.username, self.email, self.estab_id, self.school = id, username, email, estab_id, school
