"""Only a transaction that asks for it is committed without waiting for the disk."""

import pytest

from idp.estabs.models import Estab
from idp.foundation.asynchronous_commit import set_asynchronous_commit
from idp.foundation.database import connection
from tests.factories import a_school, an_estab

pytestmark = pytest.mark.usefixtures("also_on_postgresql")


def is_commit_synchronous():
    """Whether the present transaction waits for the disk when it is committed."""
    if connection().dialect.name == "sqlite":
        return connection().exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    return connection().exec_driver_sql("SHOW synchronous_commit").scalar_one() == default_setting()


def default_setting():
    """PostgreSQL's setting of `synchronous_commit` for a new session."""
    query = "SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'"
    return connection().exec_driver_sql(query).scalar_one()


def test_only_the_transaction_that_asks_for_it_is_committed_asynchronously(transaction):
    with transaction() as session:
        set_asynchronous_commit()
        if session.connection().dialect.name == "postgresql":
            assert connection().exec_driver_sql("SHOW synchronous_commit").scalar_one() == "off"
        else:
            assert not is_commit_synchronous()
        estab_id = an_estab(a_school()).id
    with transaction() as session:
        assert is_commit_synchronous()
        assert session.get(Estab, estab_id)


def test_the_next_transaction_is_committed_synchronously_after_an_error_too(transaction):
    def fail():
        with transaction():
            set_asynchronous_commit()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with transaction():
        assert is_commit_synchronous()


def test_asynchronous_commit_is_refused_in_a_transaction_that_has_begun(transaction):
    with transaction():
        an_estab(a_school())
        with pytest.raises(RuntimeError, match="begun"):
            set_asynchronous_commit()
