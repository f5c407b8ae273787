"""Owners who help a colleague at the same moment, and an owner who loses that role meanwhile."""

import pytest
from sqlalchemy import update

from idp.estabs import people
from idp.estabs.models import Administrator, Estab, Membership
from idp.foundation.database import session as database_session
from idp.signin import colleagues
from idp.signin.models import FactorRecovery
from tests.factories import a_membership, an_administrator
from tests.signin.apps import an_app

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def sam(account, transaction):
    """The id of a colleague who has a second factor."""
    with transaction() as session:
        estab = session.get_one(Estab, account.estab_id)
        person = an_administrator(estab, username="sam", email="sam@oakhill.example", role="viewer")
        an_app(person.id)
        return person.id


def membership(account):
    return people.membership(account.id, account.estab_id)


def test_of_many_links_at_once_three_are_sent(run_concurrently, account, sam, outbox):
    outcomes = run_concurrently(6, lambda: colleagues.send_reset_link(membership(account), sam).id)

    assert outcomes.count(sam) == 3
    assert sum(isinstance(outcome, colleagues.StartedOften) for outcome in outcomes) == 3
    assert len(outbox.all("reset_link")) == 3


def test_of_two_recoveries_at_once_one_counts(run_concurrently, account, sam, transaction, outbox):
    outcomes = run_concurrently(4, lambda: colleagues.start_factor_recovery(membership(account), sam).id)

    assert len(set(outcomes)) == 1, "starting it again makes no second one"
    with transaction() as session:
        assert session.query(FactorRecovery).count() == 1
    assert len(outbox.all("recovery_notice")) == 1


def test_recoveries_that_were_stopped_count_towards_the_limit(account, sam, transaction, clock):
    for _ in range(colleagues.MAX_STARTS_FOR_A_PERSON):
        with transaction():
            colleagues.start_factor_recovery(membership(account), sam).stopped_at = clock.now()
    with pytest.raises(colleagues.StartedOften), transaction():
        colleagues.start_factor_recovery(membership(account), sam)


def test_the_role_of_an_owner_is_read_again_before_a_link_is_sent(account, sam, transaction, outbox):
    """The role is read again, under a lock: it may have been taken away since the page was opened (S46)."""
    with transaction():
        owner = membership(account)
        stale = owner.role
        database_session().execute(
            update(Membership.__table__).where(Membership.person_id == account.id).values(role="viewer")
        )
        assert owner.role == stale == "owner"
        with pytest.raises(colleagues.OwnersOnly):
            colleagues.send_reset_link(owner, sam)
    assert outbox.all() == []


def test_an_owner_who_has_a_second_factor_cannot_have_their_own_removed(account, sam, transaction, outbox):
    with transaction():
        an_app(account.id)
        with pytest.raises(colleagues.OwnAccount):
            colleagues.start_factor_recovery(membership(account), account.id)
    assert outbox.all() == []


def test_the_factor_of_one_who_acts_for_a_school_unknown_to_the_owner_is_left_to_our_staff(
    account, sam, transaction, outbox
):
    with transaction() as session:
        a_membership(session.get_one(Administrator, sam), role="admin")
        with pytest.raises(colleagues.OtherSchools):
            colleagues.start_factor_recovery(membership(account), sam)
    assert outbox.all() == []
