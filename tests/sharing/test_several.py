"""One review for several schools: each has its own agreement, and an obstacle at one does not affect the others."""

from datetime import timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import select

from idp.audit import events
from idp.audit.models import Entry
from idp.estabs import authority
from idp.estabs.models import Administrator, Estab, Membership
from idp.foundation import clock as clocks
from idp.foundation.database import session
from idp.partners.models import Client
from idp.sharing import authorise, several_schools
from idp.sharing.models import Authorisation
from tests.factories import a_client, a_membership, an_administrator, an_estab


class TrustIds(NamedTuple):
    """The ids of a person, of the three estabs that they act for, and of a client that accepts SIMS only."""

    person: str
    estabs: list[str]
    client: str


@pytest.fixture
def trust_ids(transaction, clock):
    with transaction():
        person = an_administrator()
        estabs = [person.memberships[0].estab, *(a_membership(person, an_estab()).estab for _ in range(2))]
        return TrustIds(person.id, [estab.id for estab in estabs], a_client(accepted_mis=frozenset({"sims"})).id)


def give_several(trust_ids, chosen=0, also=(1, 2)):
    person_id, estab_ids, client_id = trust_ids
    client = session().get_one(Client, client_id)
    members = [session().get_one(Membership, (person_id, estab_id)) for estab_id in estab_ids]
    return several_schools.give(
        client, client.required_scopes, by=members[chosen], also=[members[other_school] for other_school in also],
        offered=client.scopes, agreement_version=client.agreement_version, until=authorise.default_end(client),
    )  # fmt: skip


def agreed_estabs(transaction):
    with transaction() as database:
        rows = database.scalars(select(Authorisation).where(Authorisation.superseded_at.is_(None)))
        return sorted(row.estab_id for row in rows)


def test_each_school_has_an_agreement_an_audit_entry_and_a_receipt_of_its_own(transaction, trust_ids, outbox):
    with transaction():
        result = give_several(trust_ids)
    assert (result.authorisation.estab_id, result.refused) == (trust_ids.estabs[0], [])
    assert agreed_estabs(transaction) == sorted(trust_ids.estabs)
    with transaction() as database:
        entries = database.scalars(select(Entry).where(Entry.event == events.SHARING_GIVEN)).all()
        assert sorted(entry.estab for entry in entries) == sorted(trust_ids.estabs)
        names = {database.get_one(Estab, estab_id).name for estab_id in trust_ids.estabs}
    receipts = outbox.all("sharing_receipt")
    assert len(receipts) == 3
    assert {name for name in names for receipt in receipts if name in receipt.text} == names


OBSTACLES = [
    ("is a viewer", "Only an owner or an administrator of this school"),
    ("uses another system", "does not work with this school's system, Arbor"),
    ("has not said which system it uses", "we do not know yet which one"),
    ("shares already", "It is authorised already, until 1 April 2026."),
    ("has paused", "This school has paused it."),
    ("requires a second step", "This school requires a second step when you sign in"),
]


@pytest.mark.parametrize(("obstacle", "sentence"), OBSTACLES)
def test_an_obstacle_at_one_school_is_explained_and_does_not_affect_the_others(
    transaction, trust_ids, obstacle, sentence
):
    person_id, estab_ids, client_id = trust_ids
    with transaction() as database:
        member = database.get_one(Membership, (person_id, estab_ids[1]))
        if obstacle == "is a viewer":
            member.role = "viewer"
        elif obstacle in {"shares already", "has paused"}:
            client = database.get_one(Client, client_id)
            until = clocks.now() + timedelta(days=30)
            authorise.give(client, client.required_scopes, by=member, agreement_version="old", until=until)
            if obstacle == "has paused":
                authorise.pause(member.estab_id, client_id, by=member)
        elif obstacle == "requires a second step":
            member.estab.second_step_required_at = clocks.now()
        else:
            member.estab.mis = "arbor" if obstacle == "uses another system" else None
    with transaction() as database:
        by = database.get_one(Membership, (person_id, estab_ids[0]))
        shown = several_schools.other_schools(database.get_one(Client, client_id), by, second_step=False)
        assert {other_school.member.estab_id: other_school.obstacle is None for other_school in shown} == {
            estab_ids[1]: False, estab_ids[2]: True,
        }  # fmt: skip
        assert sentence in next(other_school.obstacle for other_school in shown if other_school.obstacle)
    with transaction():
        result = give_several(trust_ids)
        assert [
            (refused_school.member.estab_id, sentence in refused_school.obstacle) for refused_school in result.refused
        ] == [(estab_ids[1], True)]
    with transaction() as database:
        made = database.scalars(select(Authorisation).where(Authorisation.agreement != "old")).all()
        assert sorted(row.estab_id for row in made) == sorted([estab_ids[0], estab_ids[2]])


def test_a_school_that_requires_a_second_step_is_authorised_by_a_person_who_took_it(transaction, trust_ids):
    person_id, estab_ids, client_id = trust_ids
    with transaction() as database:
        database.get_one(Estab, estab_ids[1]).second_step_required_at = clocks.now()
        by = database.get_one(Membership, (person_id, estab_ids[0]))
        shown = several_schools.other_schools(database.get_one(Client, client_id), by, second_step=True)
        assert [other_school.obstacle for other_school in shown] == [None, None]


def test_agreements_of_other_services_and_stopped_ones_do_not_prevent_authorising(transaction, trust_ids, clock):
    person_id, estab_ids, client_id = trust_ids
    with transaction() as database:
        members = [database.get_one(Membership, (person_id, estab_id)) for estab_id in estab_ids]
        until = clocks.now() + timedelta(days=30)
        for client, member in ((a_client(), members[1]), (database.get_one(Client, client_id), members[2])):
            for version in ("older", "old"):  # the second replaces the first
                authorise.give(client, client.required_scopes, by=member, agreement_version=version, until=until)
        authorise.withdraw(estab_ids[2], client_id, by=members[2])
    with transaction():
        assert give_several(trust_ids).refused == []


def test_an_expired_agreement_is_given_again_and_data_of_an_unverified_school_is_withheld(
    transaction, trust_ids, clock
):
    person_id, estab_ids, client_id = trust_ids
    with transaction() as database:
        member, client = database.get_one(Membership, (person_id, estab_ids[1])), database.get_one(Client, client_id)
        authorise.give(
            client, client.required_scopes, by=member, agreement_version="old", until=clocks.now() + timedelta(days=1)
        )
        database.get_one(Estab, estab_ids[2]).state = "unverified"
    clock.move(timedelta(days=2))
    with transaction():
        assert give_several(trust_ids).refused == []
    with transaction() as database:
        withheld = [agreement for agreement in authorise.current(estab_ids[2]) if agreement.is_withheld]
        assert [agreement.client_id for agreement in withheld] == [client_id]


def test_where_the_chosen_school_is_refused_nothing_is_recorded(transaction, trust_ids):
    with transaction() as database:
        database.get_one(Membership, (trust_ids.person, trust_ids.estabs[0])).role = "viewer"
    with pytest.raises(authority.NotPermitted), transaction():
        give_several(trust_ids)
    assert agreed_estabs(transaction) == []


def test_two_reviews_of_the_same_schools_at_once_do_not_wait_for_each_other(transaction, trust_ids, run_concurrently):
    """Each person acts for another school and ticks the others: in the end, every school has one agreement."""
    with transaction() as database:
        colleague = an_administrator(database.get_one(Estab, trust_ids.estabs[2]), username="colleague")
        for estab_id in trust_ids.estabs[:2]:
            a_membership(colleague, database.get_one(Estab, estab_id))
        reviews = [(trust_ids, 0, (1, 2)), (trust_ids._replace(person=colleague.id), 2, (0, 1))]

    outcomes = run_concurrently(2, lambda: give_several(*reviews.pop()))

    failed = [outcome for outcome in outcomes if not isinstance(outcome, several_schools.ReviewResult)]
    assert all(isinstance(fault, authorise.ChangedMeanwhile) for fault in failed), failed
    assert len(failed) < 2
    assert agreed_estabs(transaction) == sorted(trust_ids.estabs)


def test_people_and_schools_of_others_are_not_shown(transaction, trust_ids):
    with transaction() as database:
        an_administrator()
        database.get_one(Estab, trust_ids.estabs[2]).state = "suspended"
        by = database.get_one(Administrator, trust_ids.person).memberships[0]
        shown = several_schools.other_schools(database.get_one(Client, trust_ids.client), by, second_step=True)
        assert [other_school.member.estab_id for other_school in shown] == [
            estab for estab in trust_ids.estabs[:2] if estab != by.estab_id
        ]
