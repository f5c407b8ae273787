"""A school registers once, and its Estab ID is its own for ever."""

import pytest

from idp.estabs import accounts, people
from idp.estabs.models import Administrator, Estab
from tests.factories import a_school, an_estab

JO = {"name": "Jo Bloggs", "email": "Jo@Oakhill.example", "mobile": "+447700900123"}


def test_the_estab_id_is_the_dfe_number_and_the_owners_username(work):
    with work():
        school = a_school(dfe_number="3124567")
        estab, owner = accounts.register(school, **JO)

        assert (estab.estab_id, estab.state) == ("3124567", "unverified")
        assert (owner.username, owner.role, owner.sign_in_email) == ("3124567", "owner", "jo@oakhill.example")
        assert accounts.of_school(school.id) is estab


@pytest.mark.parametrize("dfe_number", [None, "", "312456", "3124 67"])
def test_without_a_whole_dfe_number_it_is_e_and_six_digits(work, dfe_number):
    with work():
        estab, owner = accounts.register(a_school(dfe_number=dfe_number), **JO)

        assert estab.estab_id[0] == "E"
        assert len(estab.estab_id) == 7
        assert estab.estab_id[1:].isdigit()
        assert owner.username == estab.estab_id.lower()


def test_a_number_that_another_estab_ever_had_is_not_given_again(work):
    with work():
        an_estab(a_school(dfe_number="3124567"), state="closed")
        estab, _ = accounts.register(a_school(dfe_number="3124567"), **JO)

        assert estab.estab_id.startswith("E")


def test_a_rejected_school_may_register_again_under_another_id(work):
    with work():
        school = a_school(dfe_number="3124567")
        first, _ = accounts.register(school, **JO)
        accounts.change_state(first, "rejected", by="cli")
        second, _ = accounts.register(school, **(JO | {"email": "head@oakhill.example"}))

        assert second.estab_id != first.estab_id
        assert accounts.of_school(school.id) is second


def test_of_many_who_register_one_school_at_once_one_succeeds(work, at_once):
    with work():
        school_id = a_school(dfe_number="3124567").id

    def register():
        from idp.foundation.database import session
        from idp.schools.models import School

        return accounts.register(session().get_one(School, school_id), **JO)[0].estab_id

    outcomes = at_once(6, register)

    assert outcomes.count("3124567") == 1
    assert sum(isinstance(outcome, accounts.SchoolTaken) for outcome in outcomes) == 5


def test_schools_that_share_a_number_register_at_once_under_different_ids(work, at_once):
    with work():
        ids = [a_school(dfe_number="3124567").id for _ in range(4)]
    waiting = iter(ids)

    def register():
        from idp.foundation.database import session
        from idp.schools.models import School

        return accounts.register(session().get_one(School, next(waiting)), **JO)[0].estab_id

    outcomes = at_once(4, register)

    assert len(set(outcomes)) == 4
    assert "3124567" in outcomes
    with work() as session:
        by_mail = [person for person in session.query(Administrator) if person.sign_in_email]
        assert len(by_mail) == 1  # one address, one account that it signs in to


@pytest.mark.parametrize("typed", ["3124567", "312/4567", " 312 4567 "])
def test_an_estab_is_found_however_its_id_is_typed(work, typed):
    with work():
        estab = an_estab(a_school(dfe_number="3124567"))

        assert accounts.find(typed) is estab


def test_an_unknown_estab_id_is_refused(work):
    with work(), pytest.raises(accounts.UnknownEstab):
        accounts.find("E000000")


def test_a_decision_is_recorded_and_cannot_be_taken_twice(work):
    with work():
        estab = an_estab(state="unverified")
        accounts.change_state(estab, "verified", by="cli", reason="called the school")

        assert estab.is_verified
        with pytest.raises(accounts.WrongState):
            accounts.change_state(estab, "rejected", by="cli")


def test_of_two_who_decide_at_once_one_is_told_so(work, at_once):
    with work():
        estab_id = an_estab(state="unverified").id
    states = iter(["verified", "rejected"])

    def decide():
        from idp.foundation.database import session

        accounts.change_state(session().get_one(Estab, estab_id), next(states), by="cli")

    outcomes = at_once(2, decide)

    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, accounts.WrongState) for outcome in outcomes) == 1


def test_owners_are_listed_longest_first(work, clock):
    with work():
        estab, owner = accounts.register(a_school(), **JO)
        people.add(estab, name="Al", email="al@oakhill.example", mobile="+447700900124", role="viewer")

        assert people.owners(estab.id) == [owner]
