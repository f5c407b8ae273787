"""The people who act for a school, and the names by which they are found."""

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from idp.estabs import links, people
from idp.estabs.models import Administrator, Estab, PersonalSecret
from idp.foundation import clock
from idp.foundation.database import session
from tests.factories import a_membership, an_administrator, an_estab

AL = {"name": "Al Bloggs", "mobile": "+447700900124", "role": "admin"}


@pytest.mark.parametrize(
    "typed", ["Office@Oakhill.Example", " office@oakhill.example ", "2135001", "213/5001", "213 5001"]
)
def test_a_person_is_found_by_either_name_however_it_is_typed(transaction, typed):
    with transaction():
        person = an_administrator(an_estab(estab_id="2135001"), email="office@oakhill.example")

        assert people.by_name(typed) is person


@pytest.mark.parametrize("typed", ["", "@", "unknown", "office@oakhill.exampl", "of\u212aice@oakhill.example"])
def test_another_name_finds_no_one(transaction, typed):
    with transaction():
        an_administrator(email="ofkice@oakhill.example")

        assert people.by_name(typed) is None


def test_removed_people_are_not_found(transaction):
    with transaction():
        person = an_administrator(removed_at=clock.now())

        assert people.by_name(person.username) is None
        assert people.by_name(person.email) is None
        assert people.get(person.id) is None
        assert people.owners(person.first_estab_id) == []


def test_a_colleague_is_found_by_email_or_by_the_estab_id_and_a_number(transaction):
    with transaction():
        an_administrator()  # of another school, so it does not count
        owner = an_administrator(an_estab(estab_id="E123456"))
        colleague = people.add(owner.memberships[0].estab, email="Al@Oakhill.example", **AL)

        assert colleague.username == "e123456-2"
        assert people.by_name("E123456-2") is people.by_name("al@oakhill.example") is colleague
        assert colleague.password_hash is None


def test_a_person_who_acts_for_two_schools_signs_in_to_the_second_by_username(transaction):
    with transaction():
        first, second = an_administrator(), an_estab()
        again = people.add(second, email=first.email, **AL)

        assert people.by_name(first.email) is first
        assert people.by_name(again.username) is again
        assert again.sign_in_email is None


@pytest.mark.parametrize("state", ["rejected", "closed"])
def test_a_person_whose_account_ended_signs_in_by_email_to_the_next_one(transaction, state):
    with transaction():
        before = an_administrator(an_estab(state=state), email="office@oakhill.example")
        a_membership(before, removed_at=clock.now())  # of an open school, which they left
        colleague = an_administrator(an_estab(state=state), email="head@oakhill.example")
        assert people.by_name("office@oakhill.example") is before

        person = people.add(an_estab(), **AL | {"email": "Office@oakhill.example"})

        assert people.by_name("office@oakhill.example") is person
        assert people.by_name(before.username) is before
        assert people.by_name("head@oakhill.example") is colleague


def test_colleagues_added_at_once_get_names_of_their_own(transaction, run_concurrently):
    with transaction():
        estab_id = an_administrator().memberships[0].estab_id

    def add():
        return people.add(session().get_one(Estab, estab_id), email="al@oakhill.example", **AL).username

    outcomes = run_concurrently(6, add)

    assert len({str(outcome) for outcome in outcomes}) == 6
    assert all(isinstance(outcome, str) for outcome in outcomes)


@given(st.text())
def test_folding_a_sign_in_name_twice_changes_nothing_more(name):
    assert people.fold_sign_in_name(people.fold_sign_in_name(name)) == people.fold_sign_in_name(name)


@given(st.emails())
def test_addresses_that_differ_in_more_than_the_case_of_letters_stay_different(address):
    assert people.fold_email(address) == address.lower()


def test_people_of_an_estab_are_listed_owners_first_without_removed_ones(transaction, clock):
    with transaction():
        estab, other = an_estab(), an_administrator(an_estab())
        people_added: list[Administrator] = []
        for role in ("viewer", "owner", "admin", "owner"):
            people_added.append(an_administrator(estab, role=role, username=f"person-{len(people_added)}"))
            clock.move(timedelta(minutes=1))
        an_administrator(estab, username="removed", removed_at=clock.now())
        viewer, owner, admin, second_owner = (person.id for person in people_added)

        assert [member.person_id for member in people.list_for_estab(estab.id)] == [owner, second_owner, admin, viewer]
        assert [person.id for person in people.owners(estab.id)] == [owner, second_owner]
        assert [member.person_id for member in people.list_for_estab(other.memberships[0].estab_id)] == [other.id]


def test_a_number_is_confirmed_for_one_person_who_has_it_and_was_not_removed(transaction, clock):
    with transaction() as session:
        person, colleague = an_administrator(), an_administrator()
        removed = an_administrator(removed_at=clock.now())
        assert person.mobile == colleague.mobile == removed.mobile

        assert not people.confirm_mobile(person.id, "+447700900999")
        assert not people.confirm_mobile(removed.id, removed.mobile)
        assert people.confirm_mobile(person.id, person.mobile)
        session.expire_all()
        assert [account.mobile_confirmed_at for account in (person, colleague, removed)] == [clock.now(), None, None]


def test_erasing_the_people_of_one_estab_leaves_the_others_and_their_links(transaction):
    with transaction() as session:
        person, other = an_administrator(name="Al"), an_administrator(name="Sam")
        for account in (person, other):
            links.issue(account.id, "welcome", timedelta(days=1))
        assert people.erase(person.memberships[0].estab_id) == 1
        session.expire_all()

        assert (person.name, other.name) == (people.ERASED, "Sam")
        assert [row.person_id for row in session.query(PersonalSecret)] == [other.id]


def test_erasing_spares_those_who_act_for_another_estab_and_what_was_erased_or_ended_before(transaction, clock):
    with transaction() as session:
        estab, other_estab, before = an_estab(), an_estab(), clock.now()
        acts_for_both, left_the_other = (an_administrator(estab, username=f"person-{number}") for number in range(2))
        kept_membership = a_membership(acts_for_both, other_estab)
        a_membership(left_the_other, other_estab, removed_at=before)
        former = an_administrator(other_estab, username="former", removed_at=before)
        ended_membership = a_membership(an_administrator(other_estab), estab, removed_at=before)
        clock.move(timedelta(days=1))

        assert [people.erase(estab.id) for _ in range(2)] == [1, 0]
        session.expire_all()
        assert (acts_for_both.name, former.name, left_the_other.name) == ("Jo Bloggs", "Jo Bloggs", people.ERASED)
        assert (kept_membership.removed_at, ended_membership.removed_at) == (None, before)
        assert people.list_for_estab(estab.id) == []
