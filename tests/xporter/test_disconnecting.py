"""A server that is removed: its tokens and the school's agreement end, and pages and mails speak of a server."""

import itertools
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from idp.audit import events
from idp.audit.models import Entry
from idp.estabs.models import Administrator
from idp.sharing import authorise, expiry, releases
from idp.sharing.agreements import NothingShared
from idp.sharing.models import Release
from idp.xporter import endpoints
from tests.signin.person import Person
from tests.xporter.agents import EXTRACT


@pytest.fixture
def jo(agent, transaction, new_browser):
    """The owner who connected the server, signed in at a browser."""
    with transaction() as session:
        person = session.get_one(Administrator, agent.person_id)
        facts = {"estab_id": person.memberships[0].estab_id, "username": person.username}
    jo = Person(new_browser(), **facts)
    agent.report(last_extract=EXTRACT)
    jo.sign_in(jo.facts["username"])
    return jo


def agreement_states(transaction, jo):
    """The states of the school's current agreements."""
    with transaction():
        return [agreement.state for agreement in authorise.current(jo.facts["estab_id"])]


def remove(jo):
    """Remove the server on its page."""
    jo.open("/manage/endpoint/remove")
    jo.post("/manage/endpoint/remove", endpoint=jo.page.find("input", {"name": "endpoint"})["value"])
    jo.open("/manage")


def test_removing_a_server_ends_its_tokens_and_the_agreement(agent, jo, transaction, outbox):
    remove(jo)
    assert agent.report(status=401)["code"] == "invalid_token"
    assert agent.use_refresh_token().json["error"] == "invalid_grant"
    assert agreement_states(transaction, jo) == []
    assert "What your school's server sends" not in jo.page_text
    assert "Disconnected Your school's server" in " ".join(jo.page.find("table").get_text(" ").split())
    mail = outbox.last("sharing_stopped")
    assert "has disconnected its server" in mail.subject
    for words in ("the server can send nothing more", "stays as it is", "connects it again, with a new code"):
        assert words in mail.text
    assert "keeps what it has already received" not in mail.text


def test_disconnecting_from_the_list_of_services_leads_to_the_page_to_remove_the_server(
    agent, jo, clients, transaction
):
    for send in (jo.open, jo.post):
        jo.open("/manage")
        response = send(f"/manage/sharing/{clients.agent}/stop")
        assert (response.status_code, response.location) == (303, "/manage/endpoint/remove")
    assert agreement_states(transaction, jo) == ["active"]
    remove(jo)
    assert agreement_states(transaction, jo) == []


def test_an_agreement_without_a_server_can_be_ended_on_the_page_to_stop_sharing(agent, jo, clients, transaction):
    with transaction() as session:
        session.delete(endpoints.current(jo.facts["estab_id"]))
    jo.open(f"/manage/sharing/{clients.agent}/stop")
    jo.post(f"/manage/sharing/{clients.agent}/stop")
    jo.open("/manage")
    assert "Your school has disconnected its server." in jo.page_text
    assert agreement_states(transaction, jo) == []


def test_the_agreement_ends_when_our_staff_or_the_program_remove_the_last_server(
    agent, new_agent, jo, transaction, outbox
):
    with transaction():
        endpoints.remove_by_staff(jo.facts["estab_id"], by="cli", reason="The school asked.")
    assert agreement_states(transaction, jo) == []
    assert "our staff disconnected the server" in outbox.last("sharing_stopped").text

    second = new_agent(agent.person_id)
    second.report()
    third = new_agent(agent.person_id)
    second.unregister()
    assert agreement_states(transaction, jo) == ["active"], (
        "another server, which is connected already, takes its place"
    )
    third.unregister()
    assert agreement_states(transaction, jo) == []
    texts = " ".join(mail.text for mail in outbox.all("sharing_stopped"))
    assert "the program on your school's server disconnected" in texts


def test_the_agreement_continues_when_another_server_replaces_the_first(agent, new_agent, jo, transaction):
    second = new_agent(agent.person_id)
    second.report(replaces=True)
    assert agreement_states(transaction, jo) == ["active"]
    assert second.report()["state"] == "registered"


def test_an_agreement_about_data_is_not_ended_with_the_server(agent, jo, clients, transaction):
    with transaction() as session:
        agreement = authorise.current(jo.facts["estab_id"])[0]
        agreement.scopes = agreement.scopes | {"students"}
        session.flush()
    remove(jo)
    assert agreement_states(transaction, jo) == ["active"]


@pytest.mark.parametrize(
    ("act", "flash", "name", "subject"),
    [
        ("pause", "has been paused. It sends nothing until you resume.", "sharing_paused", "has paused its server"),
        ("resume", "Your school's server sends data again.", "sharing_resumed", "sends data again"),
    ],
)
def test_the_messages_about_pausing_and_resuming_name_the_server(act, flash, name, subject, agent, jo, clients, outbox):
    for step in ("pause", "resume")[: 1 + (act == "resume")]:
        jo.open("/manage")
        jo.post(f"/manage/sharing/{clients.agent}/{step}")
    jo.open("/manage")
    assert flash in jo.page_text
    assert subject in outbox.last(name).subject
    assert "receives" not in outbox.last(name).text


def test_the_mails_about_the_end_of_the_agreement_name_the_server(agent, jo, clients, transaction, outbox, clock):
    assert "has connected a server" in outbox.last("sharing_receipt").subject
    assert "connecting the server authorises none" in outbox.last("sharing_receipt").text
    clock.move(timedelta(days=336))
    with transaction():
        expiry.remind_due()
    mail = outbox.last("sharing_expires")
    assert "'s server ends on" in mail.subject
    assert "then has to be connected again, with a new code" in mail.text
    clock.move(timedelta(days=30))
    with transaction():
        expiry.remind_due()
    mail = outbox.last("sharing_expired")
    assert "no longer sends data" in mail.subject
    assert "run the command xporter-endpoint register on the server" in mail.text
    assert "renew" not in mail.text
    jo.sign_in(jo.facts["username"])
    jo.open("/manage")
    assert "It no longer sends data." in jo.page_text
    assert "Renew" not in jo.page_text
    assert jo.open(f"/manage/sharing/{clients.agent}/renew").location == "/manage/endpoint"


def test_a_successor_is_not_offered_the_agreement_about_the_server(agent, jo, transaction):
    with transaction() as session:
        member = session.get_one(Administrator, agent.person_id).memberships[0]
        release = Release(estab_id=member.estab_id)
        assert releases._offer(release, member).services == []


def test_of_several_removals_at_once_one_ends_the_agreement_and_is_mailed(
    agent, jo, transaction, outbox, run_concurrently
):
    with transaction() as session:
        estab_id = jo.facts["estab_id"]
        [member] = session.get_one(Administrator, agent.person_id).memberships
        endpoint_id = endpoints.current(estab_id).id
    before = len(outbox.all("sharing_stopped"))
    jobs = itertools.cycle([
        lambda: endpoints.remove_for_school(endpoint_id, by=member),
        lambda: endpoints.remove_by_staff(estab_id, by="cli", reason="The school asked.").id,
        lambda: authorise.withdraw(estab_id, agent.id, by=member).id,
    ])  # fmt: skip

    outcomes = run_concurrently(6, lambda: next(jobs)())  # noqa: PLW0108  each thread takes another
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert {type(refusal) for refusal in refusals} <= {endpoints.NoEndpoint, NothingShared}
    assert agreement_states(transaction, jo) == []
    assert len(outbox.all("sharing_stopped")) == before + 1
    with transaction() as session:
        withdrawn, removed = (
            session.scalar(select(func.count()).select_from(Entry).where(Entry.estab == estab_id, Entry.event == event))
            for event in (events.SHARING_WITHDRAWN, events.ENDPOINT_REMOVED)
        )
    assert (withdrawn, removed) == (1, 1)
