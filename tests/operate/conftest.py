"""Fixtures: people with browsers, and one of our staff who is signed in."""

import pytest

from tests.code_accounts import an_operator, sign_in
from tests.signin.conftest import jo, stranger

__all__ = ["jo", "stranger"]


@pytest.fixture
def operator(jo, transaction, clock):
    """One of our staff, signed in."""
    with transaction():
        operator, seed = an_operator()
        email = operator.email
    sign_in(jo, "/operate", email, seed)
    return jo
