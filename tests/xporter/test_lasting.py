"""A server's tokens work as long as its school's agreement, and the response to a report says when that ends."""

from datetime import timedelta

from idp.estabs.models import Administrator
from idp.sharing import authorise, renewal
from tests.xporter.agents import EXTRACT


def months_until_refused(agent, clock, on_each_month=lambda month: None):
    """Use the server every month until its tokens end; returns the number of months, or None after three years."""
    for month in range(1, 40):
        clock.move(timedelta(days=30))
        on_each_month(month)
        if agent.use_refresh_token().status_code != 200:
            return month
        agent.report(last_extract=EXTRACT)
    return None


def test_the_tokens_of_a_server_last_while_the_school_renews_its_agreement(agent, transaction, clock):
    agent.report()

    def renew(month):
        if month % 12 == 0:
            with transaction() as session:
                by = session.get_one(Administrator, agent.person_id).memberships[0]
                [agreement] = authorise.current(by.estab_id)
                renewal.renew(by.estab_id, agent.id, replaces=agreement.id, by=by, version=agreement.agreement)

    assert months_until_refused(agent, clock, renew) is None


def test_without_a_renewal_the_tokens_of_a_server_end_with_the_agreement(agent, clock):
    assert agent.report()["connected_until"] == "2027-03-02T09:30:00Z"
    assert months_until_refused(agent, clock) == 13


def test_the_refresh_token_of_a_server_expires_unused_after_three_months(agent, clock):
    agent.report()
    clock.move(timedelta(days=91))
    assert agent.use_refresh_token().json["error"] == "invalid_grant"
