"""People at browsers, and an account of a school."""

from tests.signin.conftest import account, jo, stranger

__all__ = ["account", "jo", "stranger"]
