"""Removing second factors: the last one stays while a school requires one, whatever happens at the same moment."""

import pytest

from idp.estabs import people
from idp.signin import factor_removal, factors, passkeys, recovery_codes, second_step_rule
from tests.signin.apps import an_app
from tests.signin.authenticator import a_passkey

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def account_with_factors(account, transaction, settings):
    """The account has an app, a passkey and recovery codes."""
    with transaction():
        an_app(account.id)
        a_passkey(account.id, settings.server.issuer)
        recovery_codes.make(people.get(account.id))
    return account


def remove_app(account):
    factor_removal.remove_app(people.get(account.id))


def remove_passkey(account):
    (passkey,) = passkeys.list_for_person(account.id)
    factor_removal.remove_passkey(people.get(account.id), passkey.id)


def test_of_two_factors_removed_at_once_one_stays_where_a_school_requires_one(
    account_with_factors, transaction, run_overlapping
):
    with transaction():
        second_step_rule.require(people.membership(account_with_factors.id, account_with_factors.estab_id))

    outcome = run_overlapping(lambda: remove_app(account_with_factors), lambda: remove_passkey(account_with_factors))

    assert isinstance(outcome, factor_removal.FactorNeeded)
    with transaction():
        assert factors.kinds(account_with_factors.id) == {"passkey"}
        assert recovery_codes.count_unused(account_with_factors.id) == recovery_codes.CODES_PER_SET


def test_recovery_codes_are_deleted_with_the_last_factor_even_if_two_are_removed_at_once(
    account_with_factors, transaction, run_overlapping
):
    assert (
        run_overlapping(lambda: remove_app(account_with_factors), lambda: remove_passkey(account_with_factors)) is None
    )

    with transaction():
        assert (factors.has_any(account_with_factors.id), recovery_codes.count_unused(account_with_factors.id)) == (
            False,
            0,
        )


def test_the_last_factor_stays_where_a_school_begins_to_require_one_at_that_moment(
    account_with_factors, transaction, run_overlapping
):
    with transaction():
        remove_passkey(account_with_factors)

    outcome = run_overlapping(
        lambda: second_step_rule.require(people.membership(account_with_factors.id, account_with_factors.estab_id)),
        lambda: remove_app(account_with_factors),
    )

    assert isinstance(outcome, factor_removal.FactorNeeded)
