"""What can be done again is committed without waiting for the disk, and nothing else is."""

import pytest

from idp.estabs.models import Estab
from idp.foundation.asynchronous_commit import set_asynchronous_commit
from idp.foundation.database import connection
from tests.factories import a_school, an_estab

pytestmark = pytest.mark.usefixtures("also_on_postgresql")


def waits_for_the_disk():
    if connection().dialect.name == "sqlite":
        return connection().exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    return connection().exec_driver_sql("SHOW synchronous_commit").scalar_one() == usual_setting()


def usual_setting():
    query = "SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'"
    return connection().exec_driver_sql(query).scalar_one()


def test_a_transaction_that_says_so_does_not_wait_and_the_next_one_waits(transaction):
    with transaction() as session:
        set_asynchronous_commit()
        if session.connection().dialect.name == "postgresql":
            assert connection().exec_driver_sql("SHOW synchronous_commit").scalar_one() == "off"
        else:
            assert not waits_for_the_disk()
        estab_id = an_estab(a_school()).id
    with transaction() as session:
        assert waits_for_the_disk()
        assert session.get(Estab, estab_id)


def test_the_next_one_waits_also_after_an_error(transaction):
    def fail():
        with transaction():
            set_asynchronous_commit()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with transaction():
        assert waits_for_the_disk()


def test_a_transaction_that_has_begun_is_refused(transaction):
    with transaction():
        an_estab(a_school())
        with pytest.raises(RuntimeError, match="begun"):
            set_asynchronous_commit()
