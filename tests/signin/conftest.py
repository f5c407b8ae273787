"""Fixtures: people with browsers, and an account."""

from dataclasses import dataclass

import pytest

from tests.factories import an_administrator, an_estab
from tests.signin.person import Person


@pytest.fixture
def jo(web):
    """A person at the browser `web`."""
    return Person(web)


@pytest.fixture
def stranger(new_browser):
    """A person at another browser."""
    return Person(new_browser())


@pytest.fixture
def account(transaction):
    """The details of an administrator of a verified school."""
    with transaction():
        person = an_administrator(an_estab())
        return Account(
            person.id, person.username, person.email, person.memberships[0].estab_id, person.memberships[0].estab.name
        )


@dataclass(frozen=True)
class Account:
    """An administrator's account, and the id and name of the school."""

    id: str
    username: str
    email: str
    estab_id: str
    school: str
