"""Fixtures of the tests of sign-in, which these tests use too."""

from tests.signin.conftest import account, jo, stranger

__all__ = ["account", "jo", "stranger"]
