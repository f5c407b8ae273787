"""Of many threads that insert a row if it is absent, one does; on both databases."""

from datetime import timedelta

import pytest

from idp.foundation import clock, crypto, inserts
from idp.oidc.models import UsedJti


def test_inserting_an_existing_row_returns_false(transaction):
    until = clock.now() + timedelta(minutes=1)
    with transaction():
        assert inserts.insert_if_absent(UsedJti, digest=crypto.digest("a"), expires_at=until)
        assert not inserts.insert_if_absent(UsedJti, digest=crypto.digest("a"), expires_at=until)
        assert inserts.insert_if_absent(UsedJti, digest=crypto.digest("b"), expires_at=until)
    with transaction():
        assert not inserts.insert_if_absent(UsedJti, digest=crypto.digest("a"), expires_at=until)


@pytest.mark.usefixtures("also_on_postgresql")
def test_an_insert_that_is_listened_to_returns_the_same(transaction, record_statements):
    """Instrumentation listens to statements: SQLAlchemy runs them then, and by itself counts no inserted rows."""
    values = {"digest": crypto.digest("a"), "expires_at": clock.now() + timedelta(minutes=1)}
    with transaction(), record_statements() as statements:
        assert inserts.insert_if_absent(UsedJti, **values)
        assert not inserts.insert_if_absent(UsedJti, **values)
    assert len([statement for statement in statements if statement.startswith("INSERT")]) == 2


def test_of_many_inserts_at_once_one_returns_true(run_concurrently):
    until = clock.now() + timedelta(minutes=1)
    outcomes = run_concurrently(
        8, lambda: inserts.insert_if_absent(UsedJti, digest=crypto.digest("c"), expires_at=until)
    )
    assert sorted(outcomes) == [False] * 7 + [True]
