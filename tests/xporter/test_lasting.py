"""A server works for as long as its school's agreement, and is told when it ends."""

from datetime import timedelta

from idp.estabs.models import Administrator
from idp.sharing import authorise, renewal
from tests.xporter.agents import EXTRACT


def lasts_until(agent):
    """Use the server every month until its tokens end; returns the number of months."""
    for month in range(1, 40):
        agent.clock.move(timedelta(days=30))
        agent.on_each_month(month)
        if agent.use_refresh_token().status_code != 200:
            return month
        agent.report(last_extract=EXTRACT)
    return None


def test_a_server_that_is_used_works_on_while_the_school_renews_its_agreement(agent, transaction, clock):
    agent.report()

    def renew(month):
        if month % 12 == 0:
            with transaction() as session:
                by = session.get_one(Administrator, agent.person_id).memberships[0]
                [agreement] = authorise.current(by.estab_id)
                renewal.renew(by.estab_id, agent.id, replaces=agreement.id, by=by, version=agreement.agreement)

    agent.clock, agent.on_each_month = clock, renew
    assert lasts_until(agent) is None, "more than three years"


def test_without_a_renewal_it_ends_with_the_agreement_and_says_when(agent, clock):
    assert agent.report()["connected_until"] == "2027-03-02T09:30:00Z"
    agent.clock, agent.on_each_month = clock, lambda month: None
    assert lasts_until(agent) == 13


def test_a_server_that_was_away_for_three_months_is_connected_again_by_a_code(agent, clock):
    agent.report()
    clock.move(timedelta(days=91))
    assert agent.use_refresh_token().json["error"] == "invalid_grant"
