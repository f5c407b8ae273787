"""An owner's answer to a person who asks to join the school."""

from datetime import timedelta

import pytest

from idp.estabs.models import Administrator
from idp.onboarding.models import JoinRequest
from tests.factories import PASSWORD, a_membership, an_administrator
from tests.onboarding.registrations import a_registration, complete
from tests.onboarding.visitor import Visitor


@pytest.fixture
def sign_in_as(app, new_browser):
    """`sign_in_as(person)` is a browser in which this person is signed in."""

    def sign_in(person):
        visitor = Visitor(new_browser())
        visitor.sign_in(person.username)
        return visitor

    return sign_in


@pytest.fixture
def owner(transaction, clock):
    with transaction():
        return an_administrator(email="owner@oakhill.example")


@pytest.fixture
def join_page(transaction, owner):
    """The path of the owner's page about a request to join the school."""
    with transaction() as database:
        complete(a_registration(database.merge(owner).memberships[0].estab.school, email="sam@oakhill.example"))
        return f"/join/{database.query(JoinRequest).one().id}"


def test_an_owner_sees_who_asks_and_approves(sign_in_as, owner, join_page, transaction):
    visitor = sign_in_as(owner)
    page = visitor.open(join_page)
    assert "Jo Bloggs" in page.text
    assert "s…@oakhill.example (verified)" in page.text
    assert "sam@" not in page.text
    assert "07700" not in page.text

    assert visitor.press("approve").status == 422, "a role has to be chosen"
    page = visitor.press("approve", role="viewer")
    assert "can now join" in page.text
    assert "has been approved" in page.text
    assert "sam@oakhill.example (verified)" in page.text
    with transaction() as database:
        assert (
            database.query(Administrator).filter_by(email="sam@oakhill.example").one().memberships[0].role == "viewer"
        )


def test_an_owner_declines(sign_in_as, owner, join_page, outbox):
    visitor = sign_in_as(owner)
    visitor.open(join_page)

    assert "declined" in visitor.press("decline").text
    assert outbox.last("join_declined").to == "sam@oakhill.example"


def test_a_second_decision_is_refused_and_changes_nothing(sign_in_as, owner, join_page, transaction):
    visitor = sign_in_as(owner)
    page = visitor.open(join_page)
    visitor.press("decline")
    visitor.page = page

    assert visitor.press("approve", role="admin").status == 409
    with transaction() as database:
        assert database.query(Administrator).count() == 1


def test_the_request_is_not_found_by_other_owners_and_needs_a_sign_in(sign_in_as, join_page, transaction, new_browser):
    with transaction():
        stranger = an_administrator()

    assert sign_in_as(stranger).open(join_page).status == 404
    assert Visitor(new_browser()).open(join_page).path.startswith("/sign-in")


def test_an_owner_of_several_schools_who_acts_for_another_one_is_redirected_to_that_of_the_mail(
    sign_in_as, join_page, owner, transaction
):
    with transaction() as database:
        person = database.get_one(Administrator, owner.id)
        requested, other = person.memberships[0].estab, a_membership(person).estab
        viewer = an_administrator(username="vi")
        own = viewer.memberships[0].estab.estab_id
        a_membership(viewer, requested, role="viewer")
    visitor = sign_in_as(owner)
    visitor.press("Continue", school=other.estab_id)
    page = visitor.open(join_page)
    assert page.title == "Which school are you acting for?"
    assert f"This request is about {requested.name}." in page.text
    assert "Jo Bloggs" in visitor.press("Continue", school=requested.estab_id).text
    assert visitor.page.path == join_page

    visitor = sign_in_as(viewer)
    visitor.press("Continue", school=own)
    assert visitor.open(join_page).status == 404


def test_a_role_that_is_not_offered_is_not_given(sign_in_as, owner, join_page):
    visitor = sign_in_as(owner)
    visitor.open(join_page)

    assert visitor.press("approve", role="owner").status == 422
    assert visitor.press("approve", role="viewer", decision="maybe").status == 400


def test_an_owner_signs_in_again_after_five_minutes_and_finds_the_role_chosen(
    sign_in_as, owner, join_page, transaction, clock
):
    visitor = sign_in_as(owner)
    visitor.open(join_page)
    clock.move(timedelta(minutes=6))
    page = visitor.press("approve", role="viewer")
    assert page.path == f"/sign-in?next={join_page}&login_hint={owner.username}"
    with transaction() as database:
        assert database.query(JoinRequest.used_at).scalar() is None
    page = visitor.press("sign-in", username=owner.username, password=PASSWORD)
    assert page.fields("approve")["role"] == "viewer"
    assert "can now join" in visitor.press("approve").text
