"""A person who acts for several schools chooses one at sign-in, and can change it; each decision is for that school."""

from datetime import timedelta
from typing import NamedTuple

import pytest

from idp.audit import events
from idp.audit.models import Entry
from idp.estabs import people
from idp.estabs.models import Administrator, Estab, Membership
from idp.foundation import clock as clocks
from idp.signin import removal
from idp.signin.models import BrowserSession
from tests.factories import PASSWORD, a_membership, an_estab
from tests.html import parse

CHOOSE = "/sign-in/school"


class SecondSchool(NamedTuple):
    """Another school of the person."""

    estab_id: str
    id: str


@pytest.fixture
def second_school(transaction, account):
    """The Estab ID and the internal id of another school, for which the account's person is a viewer."""
    with transaction() as session:
        estab = an_estab()
        a_membership(session.get_one(Administrator, account.id), estab, role="viewer")
        return SecondSchool(estab.estab_id, estab.id)


def first_estab_id(transaction, account):
    with transaction() as session:
        return session.get_one(Estab, account.estab_id).estab_id


def choose_school(jo, estab_id, back="/manage"):
    return jo.submit(f"{CHOOSE}?next={back}", school=estab_id)


def test_a_person_with_one_school_is_not_asked_to_choose(jo, account, transaction):
    jo.sign_in(account.username)
    assert jo.open("/manage").status_code == 200
    assert "Change school" not in jo.response.text
    with transaction() as session:
        assert session.get_one(Membership, (account.id, account.estab_id)).signed_in_at is not None


def test_a_person_with_several_schools_chooses_one_first(jo, account, second_school):
    jo.sign_in(account.username)
    jo.open("/manage")
    assert jo.response.location == f"{CHOOSE}?next=/manage"
    jo.open(jo.response.location)
    assert {field["value"] for field in jo.page.find_all("input", {"name": "school"})} == {
        second_school.estab_id,
        account.username,
    }


def test_the_chosen_school_is_named_in_the_header_and_can_be_changed(jo, account, second_school, transaction):
    jo.sign_in(account.username)
    choose_school(jo, second_school.estab_id)
    assert jo.response.location == "/manage"
    jo.open("/manage")
    assert "Jo Bloggs, viewer" in jo.page_text
    assert jo.page.find("nav").find("a", string="Change school")["href"] == CHOOSE
    choose_school(jo, first_estab_id(transaction, account))
    jo.open("/manage")
    assert "Jo Bloggs, owner" in jo.page_text
    assert account.school in jo.page.find("nav").get_text(" ")


def test_a_second_click_continues_as_the_first_and_a_form_from_before_another_choice_chooses_nothing(
    jo, account, second_school
):
    jo.sign_in(account.username)
    jo.open(f"{CHOOSE}?next=/manage/people")
    page = jo.response
    for _ in range(2):
        jo.response = page
        assert jo.post(f"{CHOOSE}?next=/manage/people", school=second_school.estab_id).location == "/manage/people"
    jo.response = page
    assert jo.post(f"{CHOOSE}?next=/manage/people", school=account.username).status_code == 400
    assert "Jo Bloggs, viewer" in " ".join(jo.open("/manage").text.split())


def test_the_school_chosen_last_stands_first(clock, jo, account, second_school):
    jo.sign_in(account.username)
    clock.move(timedelta(minutes=1))
    choose_school(jo, second_school.estab_id)
    jo.submit("/sign-out")
    jo.sign_in(account.username)
    jo.open(CHOOSE)
    assert jo.page.find("input", {"name": "school"})["value"] == second_school.estab_id


def test_a_school_from_which_one_is_removed_at_that_moment_is_not_chosen(
    jo, account, second_school, transaction, run_overlapping
):
    jo.sign_in(account.username)
    choose_school(jo, first_estab_id(transaction, account))
    jo.open(f"{CHOOSE}?next=/manage")

    outcome = run_overlapping(
        lambda: removal.remove(people.membership(account.id, second_school.id), by="cli"),
        lambda: jo.post(f"{CHOOSE}?next=/manage", school=second_school.estab_id),
    )

    assert outcome.status_code in {404, 422}, "refused, or no longer among the choices"
    assert jo.open("/manage").status_code == 200, "they continue for the other school"


def test_a_form_without_a_choice_is_an_error(jo, account, second_school):
    jo.sign_in(account.username)
    assert jo.submit(CHOOSE).status_code == 422
    assert "Choose the school" in jo.page_text


def test_a_school_of_others_and_one_that_is_not_open_cannot_be_chosen(jo, account, second_school, transaction):
    with transaction() as session:
        others, mine = an_estab().estab_id, second_school.id
    jo.sign_in(account.username)
    assert choose_school(jo, others).status_code == 422
    with transaction() as session:
        session.get_one(Estab, mine).state = "suspended"
    assert choose_school(jo, second_school.estab_id).status_code == 422


@pytest.mark.parametrize("reason", ["removed", "suspended"])
def test_a_session_for_a_school_ends_with_the_membership_and_leaves_the_others(
    jo, account, second_school, transaction, reason
):
    jo.sign_in(account.username)
    choose_school(jo, second_school.estab_id)
    with transaction() as session:
        if reason == "removed":
            session.get_one(Membership, (account.id, second_school.id)).removed_at = clocks.now()
        else:
            session.get_one(Estab, second_school.id).state = "suspended"
    assert jo.open("/manage").location == "/sign-in?next=/manage"
    jo.sign_in(account.username)
    jo.open("/manage")
    assert account.school in jo.page_text


def test_a_form_opened_for_one_school_does_not_change_another(jo, account, second_school, transaction):
    """Two tabs: in one a form of the first school is open, in the other the person changes to the second school."""
    jo.sign_in(account.username)
    choose_school(jo, first_estab_id(transaction, account))
    jo.open("/mobile/confirm")
    stale = jo.token
    choose_school(jo, second_school.estab_id)
    jo.response = jo.web.post("/mobile/confirm", data={"csrf_token": stale, "send-code": "yes"})
    assert jo.response.status_code == 400
    assert "send" not in (jo.response.location or "")
    with transaction() as session:
        assert session.query(Entry).filter_by(event=events.SCHOOL_CHOSEN).count() == 2


def test_signing_in_again_continues_for_the_same_school(jo, account, second_school, transaction):
    jo.sign_in(account.username)
    choose_school(jo, second_school.estab_id)
    jo.submit("/sign-in?next=/manage", username=account.username, password=PASSWORD)
    with transaction() as session:
        open_sessions = session.query(BrowserSession).filter_by(ended_at=None).all()
        assert [open_session.estab_id for open_session in open_sessions] == [second_school.id]


def test_signing_in_is_required(jo):
    assert jo.open(CHOOSE).location == "/sign-in?next=/manage"
    assert parse(jo.response.text).find("input", {"name": "school"}) is None
