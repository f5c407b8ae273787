"""A school names another system: sharing with services that do not work with it is paused, and both sides are told."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.estabs.models import Administrator
from idp.foundation.database import session
from idp.partner_events.models import PartnerEvent
from idp.partners import event_types
from idp.partners.models import Client
from idp.sharing import agreement_state, authorise, mis
from tests.factories import a_client, an_administrator


@pytest.fixture
def owner(transaction, clock):
    """The id of an owner whose school has SIMS and shares with services that accept it, of which one accepts Arbor."""
    with transaction():
        person = an_administrator()
        for name, accepted in (("SchoolBooking", {"sims", "arbor"}), ("Timetabler", {"sims"}), ("Any", ())):
            client = a_client(client_name=name, accepted_mis=frozenset(accepted), events_method=event_types.POLL)
            authorise.give(
                client, client.required_scopes, by=person.memberships[0], agreement_version="1",
                until=authorise.default_end(client),
            )  # fmt: skip
        return person.id


def set_mis(owner, code):
    mis.set_by_school(code, by=session().get_one(Administrator, owner).memberships[0])


def live_by_service(owner):
    """Whether each service's agreement is in force."""
    rows = authorise.current(session().get_one(Administrator, owner).memberships[0].estab_id)
    return {row.client.client_name: agreement_state.state(row.id).is_in_force for row in rows}


def sent_events(transaction):
    with transaction():
        rows = session().scalars(select(PartnerEvent).order_by(PartnerEvent.number)).all()
        clients = {row.id: row.client_name for row in session().scalars(select(Client))}
        return [(clients[row.client_id], row.name) for row in rows if row.name != "sharing-authorised"]


def test_sharing_with_a_client_that_does_not_accept_the_system_is_paused_and_announced(transaction, owner, outbox):
    with transaction():
        set_mis(owner, "arbor")
    with transaction():
        assert live_by_service(owner) == {"SchoolBooking": True, "Timetabler": False, "Any": True}
        history = authorise.history(session().get_one(Administrator, owner).memberships[0].estab_id)
        assert history[0].what == "unsupported"
    [message] = outbox.all("system_changed")
    assert "now uses another system: Arbor" in message.subject
    assert "- Timetabler" in message.text
    assert "SchoolBooking" not in message.text
    assert sent_events(transaction) == [("Timetabler", "sharing-paused")]


def test_sharing_is_resumed_when_the_system_is_changed_back(transaction, owner, outbox, clock):
    with transaction():
        set_mis(owner, "isams")
    clock.move(timedelta(minutes=1))
    with transaction():
        set_mis(owner, "sims")
    with transaction():
        assert set(live_by_service(owner).values()) == {True}
    message = outbox.last("system_changed")
    assert "they again receive what your school agreed to" in message.text
    assert {event for _, event in sent_events(transaction)} == {"sharing-paused", "sharing-resumed"}


def test_a_change_of_mis_that_affects_only_paused_sharing_notifies_no_one(transaction, owner, outbox):
    with transaction():
        member = session().get_one(Administrator, owner).memberships[0]
        for row in authorise.current(member.estab_id):
            authorise.pause(member.estab_id, row.client_id, by=member)
        set_mis(owner, "isams")
    assert outbox.all("system_changed") == []


def test_setting_the_same_mis_again_notifies_no_one(transaction, owner, outbox):
    with transaction():
        set_mis(owner, "sims")
    assert outbox.all("system_changed") == sent_events(transaction) == []
