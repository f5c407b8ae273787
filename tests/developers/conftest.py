"""Fixtures: people with browsers, an account of a school, and a partner's developer who is signed in."""

import pytest

from idp.partners import companies
from tests import factories
from tests.code_accounts import a_developer, sign_in
from tests.signin.conftest import account, jo, stranger

__all__ = ["account", "jo", "stranger"]


@pytest.fixture
def assembly(transaction, clock):
    """The id of a partner; the service has a school register."""
    with transaction():
        factories.a_school()
        return factories.a_partner(name="Assembly").id


@pytest.fixture
def developer(jo, transaction, assembly):
    """An owner of Assembly's account, signed in."""
    with transaction():
        _, seed = a_developer(companies.by_id(assembly))
    sign_in(jo, "/developers", "sam@assembly.example", seed)
    return jo
