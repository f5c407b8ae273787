"""A school registers once, and its Estab ID is its own for ever."""

from datetime import timedelta

import pytest

from idp.estabs import accounts, people
from idp.estabs.models import Administrator, Estab
from idp.foundation.database import session
from idp.schools.models import School
from tests.conftest import MONDAY
from tests.factories import a_school, an_administrator, an_estab

JO = {"name": "Jo Bloggs", "email": "Jo@Oakhill.example", "mobile": "+447700900123"}


def test_the_estab_id_is_the_dfe_number_and_the_owners_username(transaction):
    with transaction():
        school = a_school(dfe_number="3124567")
        estab, owner = accounts.register(school, **JO)

        assert (estab.estab_id, estab.state) == ("3124567", "unverified")
        assert (owner.username, owner.memberships[0].role, owner.sign_in_email) == (
            "3124567",
            "owner",
            "jo@oakhill.example",
        )
        assert accounts.find_by_school(school.id) is estab


@pytest.mark.parametrize("dfe_number", [None, "", "312456", "3124 67"])
def test_without_a_whole_dfe_number_the_estab_id_is_e_and_six_digits(transaction, dfe_number):
    with transaction():
        estab, owner = accounts.register(a_school(dfe_number=dfe_number), **JO)

        assert estab.estab_id[0] == "E"
        assert len(estab.estab_id) == 7
        assert estab.estab_id[1:].isdigit()
        assert owner.username == estab.estab_id.lower()


def test_a_dfe_number_that_another_estab_ever_had_does_not_become_an_estab_id_again(transaction):
    with transaction():
        an_estab(a_school(dfe_number="3124567"), state="closed")
        estab, _ = accounts.register(a_school(dfe_number="3124567"), **JO)

        assert estab.estab_id.startswith("E")


def test_a_rejected_school_may_register_again_under_another_id(transaction):
    with transaction():
        school = a_school(dfe_number="3124567")
        first, _ = accounts.register(school, **JO)
        accounts.change_state(first, "rejected", by="cli")
        second, _ = accounts.register(school, **(JO | {"email": "head@oakhill.example"}))

        assert second.estab_id != first.estab_id
        assert accounts.find_by_school(school.id) is second


def test_of_many_who_register_one_school_at_once_one_succeeds(transaction, run_concurrently):
    with transaction():
        school_id = a_school(dfe_number="3124567").id

    def register():
        return accounts.register(session().get_one(School, school_id), **JO)[0].estab_id

    outcomes = run_concurrently(6, register)

    assert outcomes.count("3124567") == 1
    assert sum(isinstance(outcome, accounts.SchoolTaken) for outcome in outcomes) == 5


def test_schools_that_share_a_number_register_at_once_under_different_ids(transaction, run_concurrently):
    with transaction():
        ids = [a_school(dfe_number="3124567").id for _ in range(4)]
    waiting = iter(ids)

    def register():
        return accounts.register(session().get_one(School, next(waiting)), **JO)[0].estab_id

    outcomes = run_concurrently(4, register)

    assert len(set(outcomes)) == 4
    assert "3124567" in outcomes
    with transaction() as database:
        by_mail = [person for person in database.query(Administrator) if person.sign_in_email]
        assert len(by_mail) == 1  # one address, one account that it signs in to


@pytest.mark.parametrize("typed", ["3124567", "312/4567", " 312 4567 "])
def test_an_estab_is_found_however_its_id_is_typed(transaction, typed):
    with transaction():
        estab = an_estab(a_school(dfe_number="3124567"))

        assert accounts.find(typed) is estab


def test_an_unknown_estab_id_is_refused(transaction):
    with transaction(), pytest.raises(accounts.UnknownEstab):
        accounts.find("E000000")


def test_a_decision_is_recorded_and_cannot_be_taken_twice(transaction):
    with transaction():
        estab = an_estab(state="unverified")
        accounts.change_state(estab, "verified", by="cli", reason="called the school")

        assert estab.is_verified
        with pytest.raises(accounts.WrongState):
            accounts.change_state(estab, "rejected", by="cli")


@pytest.mark.parametrize("over", ["rejected", "closed"])
@pytest.mark.parametrize("state", ["unverified", "verified", "suspended", "rejected", "closed"])
def test_a_rejected_or_closed_account_is_not_reopened(transaction, over, state):
    with transaction():
        estab = an_estab(state=over)
        with pytest.raises(accounts.WrongState):
            accounts.change_state(estab, state, by="cli")


def test_the_time_of_a_decision_is_stored_at_its_estab_only(transaction, clock):
    with transaction() as session:
        estab, other = an_estab(state="unverified"), an_estab(state="unverified")
        clock.move(timedelta(hours=1))
        accounts.change_state(estab, "verified", by="cli")
        session.refresh(other)

        assert estab.state_changed_at == MONDAY + timedelta(hours=1)
        assert (other.state, other.state_changed_at) == ("unverified", MONDAY)


def test_of_two_decisions_at_once_the_second_is_refused(transaction, run_concurrently):
    with transaction():
        estab_id = an_estab(state="unverified").id
    states = iter(["verified", "rejected"])

    def decide():
        accounts.change_state(session().get_one(Estab, estab_id), next(states), by="cli")

    outcomes = run_concurrently(2, decide)

    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, accounts.WrongState) for outcome in outcomes) == 1


# Found by what an operator types


def test_of_several_ended_accounts_the_newest_is_found(transaction, clock):
    with transaction():
        school = a_school(dfe_number="3124567")
        for estab_id in ("3124567", "E000002", "E000003"):
            an_estab(school, estab_id=estab_id, state="rejected")
            clock.move(timedelta(days=1))

        assert accounts.look_up(school.register_id).estab_id == "E000003"
        assert accounts.look_up("312/4567").estab_id == "3124567"  # an Estab ID is looked up before a DfE number


def test_of_accounts_of_one_school_the_active_one_is_meant_though_a_newer_one_is_over(transaction, clock):
    with transaction():
        school = a_school(dfe_number=None)
        for estab_id, state in (("E000001", "closed"), ("E000002", "suspended"), ("E000003", "rejected")):
            an_estab(school, estab_id=estab_id, state=state)
            clock.move(timedelta(days=1))

        assert accounts.look_up(school.register_id).estab_id == "E000002"


@pytest.mark.parametrize("typed", ["", " ", "/", "E999999"])
def test_a_name_of_no_account_is_refused(transaction, typed):
    with transaction():
        an_estab(a_school(dfe_number=""))
        with pytest.raises(accounts.UnknownEstab):
            accounts.look_up(typed)


@pytest.mark.parametrize(
    ("text", "expected_names"),
    [
        ("oak", ["Little Oak", "Oak Hill"]), ("OAK hill", ["Oak Hill"]), ("hill norwich", ["Oak Hill"]),
        ("oak leeds", []), ("norwich", ["Elm", "Oak Hill"]), ("jo@oakhill.example", ["Oak Hill"]),
        (" Jo@OakHill.example ", ["Oak Hill"]), ("oakhill.example", []), ("@", []),
    ],
)  # fmt: skip
def test_every_word_has_to_be_in_name_or_town_and_an_address_has_to_be_whole(transaction, text, expected_names):
    with transaction():
        an_administrator(an_estab(a_school(name="Oak Hill", town="Norwich")), email="jo@oakhill.example")
        an_administrator(an_estab(a_school(name="Little Oak", town="York")), email="al@oakhill.example")
        an_estab(a_school(name="Elm", town="Norwich"))

        assert [estab.school.name for estab in accounts.search(text)] == expected_names


def test_of_many_that_match_the_first_by_name_are_shown(transaction):
    with transaction():
        for letter in "CABD":
            an_estab(a_school(name=f"{letter} Oak"))

        assert [estab.school.name for estab in accounts.search("oak", limit=3)] == ["A Oak", "B Oak", "C Oak"]


def test_owners_are_listed_longest_first(transaction, clock):
    with transaction():
        estab, owner = accounts.register(a_school(), **JO)
        people.add(estab, name="Al", email="al@oakhill.example", mobile="+447700900124", role="viewer")

        assert people.owners(estab.id) == [owner]
