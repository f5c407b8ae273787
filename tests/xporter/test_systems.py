"""The system that a school's server reads becomes the school's, unless the school has named another."""

import pytest

from idp.audit import events
from idp.estabs.models import Administrator
from idp.sharing import authorise
from tests import factories
from tests.audit_entries import recorded
from tests.signin.person import Person


@pytest.fixture
def owner_of_school(agent, transaction, new_browser):
    """`owner_of_school(mis)` is the owner of the agent's school, which has named this system, signed in."""

    def make(mis) -> Person:
        with transaction() as session:
            person = session.get_one(Administrator, agent.person_id)
            membership = person.memberships[0]
            membership.estab.mis = mis
            jo = Person(new_browser(), estab_id=membership.estab_id)
            username = person.username
        jo.sign_in(username)
        return jo

    return make


def share_with_service(transaction, agent, accepted):
    """The school shares with a service that works with these systems alone."""
    with transaction() as session:
        by = session.get_one(Administrator, agent.person_id).memberships[0]
        by.estab.mis = min(accepted)
        client = factories.a_client(client_name="SchoolBooking", accepted_mis=frozenset(accepted))
        until = authorise.default_end(client)
        authorise.give(client, client.required_scopes, by=by, agreement_version="1", until=until)
        by.estab.mis = None


def test_a_school_without_a_chosen_system_gets_that_of_its_endpoint(agent, owner_of_school, transaction):
    jo = owner_of_school(None)
    jo.open("/manage")
    assert "Not known yet" in jo.page_text
    agent.report(mis="arbor")
    agent.report(mis="arbor")
    jo.open("/manage")
    assert "System (MIS) Arbor" in jo.page_text
    with transaction():
        assert len(recorded(events.ESTAB_MIS_TOLD)) == 1


@pytest.mark.parametrize(("mis", "continues"), [("arbor", True), ("sims", False)])
def test_services_that_accept_the_system_continue_and_others_pause(
    mis, continues, agent, owner_of_school, transaction, outbox
):
    share_with_service(transaction, agent, {"arbor", "isams"})
    jo = owner_of_school(None)
    agent.report(mis=mis)
    jo.open("/manage")
    assert ("it does not work with your school's system" in jo.page_text) is not continues
    mails = outbox.all("system_changed")
    assert len(mails) == continues
    assert all("the program on your school's server recorded that" in mail.text for mail in mails)


def test_a_school_that_chose_another_system_is_shown_both_and_can_change_its_choice(
    agent, owner_of_school, transaction
):
    jo = owner_of_school("sims")
    agent.report(mis="arbor")
    jo.open("/manage")
    assert "System (MIS) SIMS" in jo.page_text
    assert "SERVER-1 reads Arbor, and your school's system is recorded as SIMS." in jo.page_text
    jo.open("/manage/endpoint")
    assert "This server reads Arbor, and your school's system is recorded as SIMS" in jo.page_text
    jo.submit("/manage/system", mis="arbor")
    jo.open("/manage")
    assert "System (MIS) Arbor" in jo.page_text
    assert "Which system does your school use?" not in jo.page_text
